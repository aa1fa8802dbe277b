//! The program: affiliates and sub-affiliates, offers, applications, caps, customers, rejection reasons and what affiliates see of buyers.

pub mod affiliate;
pub mod application;
pub mod buyer_visibility;
pub mod cap;
pub mod customer;
pub mod offer;
pub mod order_scope;
pub mod payout_override;
pub mod places;
pub mod quota;
pub mod rate;
pub mod rejection_reason;
pub mod sub_affiliate;
