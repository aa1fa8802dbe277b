//! What networks report: sources, guards, requests and what they say.

pub mod admission;
pub mod guards;
pub mod inbound_request;
pub mod notification;
pub mod source;
