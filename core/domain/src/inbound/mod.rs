//! What networks report: sources, guards, requests and what they say.

pub mod guards;
pub mod inbound_request;
pub mod report;
pub mod source;
