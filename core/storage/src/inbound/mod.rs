//! Queries of sources, inbound requests and fingerprints.

pub mod fingerprints;
pub mod inbound_activity;
pub mod inbound_requests;
pub mod sources;
