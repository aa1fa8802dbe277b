//! Operations on users, sessions, keys, warnings and the audit log.

pub mod api_keys;
pub mod audit;
pub mod auth;
pub mod saved_views;
pub mod users;
pub mod warnings;
