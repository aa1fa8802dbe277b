//! Pages about affiliates, offers and rejection reasons.

pub mod dashboard;
pub mod offer;
pub mod offers;
pub mod overview;
pub mod rejection_reasons;
