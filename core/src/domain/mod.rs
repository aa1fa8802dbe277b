//! The rules of affiliate tracking. PURE: no async, no I/O, no clock; time and chance are passed in.

pub mod actor;
pub mod affiliate;
pub mod api_key;
pub mod attribution;
pub mod click;
pub mod conversion;
pub mod delivery;
pub mod event;
pub mod guards;
pub mod inbound_request;
pub mod landing;
pub mod lease;
pub mod ledger;
pub mod link;
pub mod masking;
pub mod offer;
pub mod pasted;
pub mod postback;
pub mod postings;
pub mod report;
pub mod retry;
pub mod rules;
pub mod source;
pub mod template;
pub mod zone;
