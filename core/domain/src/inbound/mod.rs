//! Inbound notifications from networks: sources, guards, requests and their contents.

pub mod guards;
pub mod inbound_request;
pub mod report;
pub mod source;
