//! Clicks, links, conversions, events and their attribution.

pub mod attribution;
pub mod clicks;
pub mod conversions;
pub mod events;
pub mod exports;
pub mod links;
pub(crate) mod record_clicks;
pub mod record_conversions;
