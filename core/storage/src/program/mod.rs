//! Queries of affiliates, offers, applications, caps and customers.

pub mod affiliates;
pub mod applications;
pub mod caps;
pub mod customers;
pub mod exceptions;
pub mod offers;
pub mod program_settings;
pub mod quotas;
