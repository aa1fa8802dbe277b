//! The HTTP edge: authenticates, authorizes, translates requests and responses. It contains no query and no rule.

pub mod access;
pub mod api;
pub mod audit;
pub mod auth;
mod body;
pub mod errors;
pub mod extract;
pub mod filters;
pub mod health;
pub mod idempotency;
pub mod inbound;
pub mod limits;
pub mod openapi;
pub mod operations;
mod public_path;
mod query;
pub mod request_ids;
pub mod router;
pub mod serving;
pub mod site;
pub mod streaming;
pub mod tracking;
mod verification;
