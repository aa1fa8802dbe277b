//! Sign-in, permissions, messages and the audit log.

mod access;
mod audit;
mod audit_crash;
mod grants;
mod limits;
mod mail;
mod notifications;
mod permissions;
mod revocation;
mod saved_views;
mod second_factor;
mod sign_in;
mod users;
