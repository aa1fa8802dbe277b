//! Affiliates, offers, applications, customers, caps, quotas and what affiliates see of buyers.

pub mod affiliates;
pub mod applications;
pub mod buyers;
pub mod caps;
pub mod customers;
pub mod offers;
pub mod order_scope;
pub mod payout_overrides;
pub mod quota;
pub mod rejection_reasons;
pub mod sub_affiliates;
