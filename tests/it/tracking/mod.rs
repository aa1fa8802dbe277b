//! Clicks, links, conversions and their attribution.

mod agreed_terms;
mod attribution;
mod clicks;
mod conversions;
mod exports;
mod geoip;
mod known_transactions;
mod rejection_reasons;
mod test_conversions;
mod visits;
