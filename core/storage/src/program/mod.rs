//! Queries of affiliates, offers, payout overrides, applications, caps, customers, quotas, rejection reasons and settings.

pub mod affiliates;
pub mod applications;
pub mod caps;
pub mod customers;
pub mod offers;
pub mod payout_overrides;
pub mod program_settings;
pub mod quotas;
pub mod rejection_reasons;
