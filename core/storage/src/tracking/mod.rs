//! Queries of clicks, links, coupons, conversions and events.

pub mod clicks;
pub mod conversions;
pub mod coupons;
pub mod events;
pub mod exports;
pub mod links;
pub mod test_conversions;
