//! Inbound notifications from networks: sources, guards, requests and their contents.

pub mod admission;
pub mod body;
pub mod guards;
pub mod inbound_request;
pub mod notification;
pub mod replay;
pub mod source;
