//! Pages about money.

pub mod confirm_change;
