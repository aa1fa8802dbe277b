//! Users, sessions, API keys, permissions, and the audit log.

pub mod actor;
pub mod api_key;
pub mod audit;
pub mod auth_error;
pub mod changes;
pub mod grant;
pub mod mail;
pub mod masking;
pub mod origin;
pub mod permission;
pub mod preferences;
pub mod redaction;
pub mod saved_view;
pub mod session;
pub mod throttle;
pub mod totp;
pub mod user;
