//! Clicks, links, conversions and their attribution.

mod attribution;
mod clicks;
mod conversions;
mod exports;
mod geoip;
mod visits;
