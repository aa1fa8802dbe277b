//! Operations on clicks, links, conversions, events and exports.

pub mod clicks;
pub mod conversions;
pub mod events;
pub mod exports;
pub mod links;
