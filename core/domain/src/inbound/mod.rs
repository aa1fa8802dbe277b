//! Inbound notifications from networks: sources, guards, requests and their contents.

pub mod admission;
pub mod guards;
pub mod inbound_request;
pub mod notification;
pub mod source;
