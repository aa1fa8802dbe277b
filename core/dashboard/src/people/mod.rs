//! Pages of accounts: signing in, registration and passwords.

pub mod home;
pub mod login_link;
pub mod password;
pub mod registration;
pub mod sign_in;
