//! Operations on sources and the requests that they received.

pub mod inbound_requests;
pub mod replays;
pub mod source_activity;
pub mod sources;
