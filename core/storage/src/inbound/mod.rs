//! Queries of sources and of what they received.

pub mod inbound_requests;
pub mod sources;
