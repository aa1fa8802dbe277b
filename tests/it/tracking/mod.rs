//! Clicks, links, conversions and their attribution.

mod attribution;
mod clicks;
mod conversions;
mod exports;
mod geoip;
mod rejection_reasons;
mod test_conversions;
mod visits;
