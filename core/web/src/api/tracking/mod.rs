//! Operations on clicks, links, conversions, events and exports.

pub mod clicks;
pub mod conversion_decisions;
pub mod conversions;
pub mod events;
pub mod exports;
pub mod links;
pub mod test_conversions;
