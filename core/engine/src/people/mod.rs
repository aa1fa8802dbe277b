//! Users, sign-in, API keys, messages and the audit log.

pub mod api_keys;
pub mod audit;
pub mod auth;
pub(crate) mod chosen_mails;
pub(crate) mod live_session;
pub mod mail;
pub mod notices;
pub mod outbox;
pub mod passwords;
pub mod saved_views;
pub mod users;
pub(crate) mod weekly_summaries;
