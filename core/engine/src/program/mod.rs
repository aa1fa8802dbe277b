//! Affiliates, offers, applications, customers, caps and quotas.

pub mod affiliates;
pub mod applications;
pub mod caps;
pub mod customers;
pub mod offers;
pub mod payout_overrides;
pub mod quota;
pub mod sub_affiliates;
