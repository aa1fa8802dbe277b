//! Queries of sources and of what they received.

pub mod fingerprints;
pub mod inbound_requests;
pub mod sources;
