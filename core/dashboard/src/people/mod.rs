//! Pages about people.

pub mod account;
pub mod audit;
pub mod home;
pub mod login_link;
pub mod password;
pub mod registration;
pub mod saved_views;
pub mod second_factor;
pub mod sign_in;
