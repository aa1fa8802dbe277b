//! Operations on affiliates, offers, applications and customers.

pub mod affiliates;
pub mod applications;
pub mod buyers;
pub mod conversion_settings;
pub mod customers;
pub mod offers;
pub mod payout_overrides;
pub mod rejection_reasons;
pub mod sub_affiliates;
