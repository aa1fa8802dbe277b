//! Affiliates, offers, applications, customers, caps and quotas.

pub mod affiliates;
pub mod applications;
pub mod caps;
pub mod customers;
pub mod exceptions;
pub mod offers;
pub mod quota;
pub mod recruiting;
