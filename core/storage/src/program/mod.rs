//! Queries of affiliates, offers, applications, caps and customers.

pub mod affiliates;
pub mod applications;
pub mod caps;
pub mod customers;
pub mod offers;
pub mod payout_overrides;
pub mod program_settings;
pub mod quotas;
