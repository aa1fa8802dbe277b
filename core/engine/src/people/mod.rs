//! Users, sign-in, keys, messages and the audit log.

pub mod api_keys;
pub mod audit;
pub mod auth;
pub mod mail;
pub mod notices;
pub mod outbox;
pub mod passwords;
pub(crate) mod signed_in;
pub mod users;
