//! Operations on earnings, balances, payout details, exchanges and withdrawals.

pub mod adjustments;
pub mod balances;
pub mod earnings;
pub mod exchanges;
pub mod payout_details;
pub mod payout_methods;
pub mod withdrawal_batches;
pub mod withdrawals;
