//! The program: affiliates and sub-affiliates, offers, applications, caps and customers.

pub mod affiliate;
pub mod application;
pub mod cap;
pub mod customer;
pub mod offer;
pub mod payout_override;
pub mod quota;
pub mod rate;
pub mod sub_affiliate;
