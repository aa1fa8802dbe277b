//! Earnings, balances, payout details, exchanges and withdrawals.

pub mod adjustments;
pub mod balances;
pub mod earnings;
pub mod exchanges;
pub mod payout_details;
pub mod payout_methods;
pub(crate) mod put_off;
pub(crate) mod release_events;
pub mod releases;
pub(crate) mod settle;
pub mod withdrawal_batches;
pub mod withdrawals;
