//! Queries of users, their sessions, API keys, one-time links and messages, and of the audit log.

pub mod api_keys;
pub mod audit;
pub mod mails;
pub mod recovery_codes;
pub mod saved_views;
pub mod sessions;
pub mod throttles;
pub mod tokens;
pub mod users;
