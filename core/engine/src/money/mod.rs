//! Earnings, balances, payout details, exchanges and withdrawals.

pub mod adjustments;
pub mod balances;
pub(crate) mod deferred_releases;
pub mod earnings;
pub mod exchanges;
pub mod payout_details;
pub mod payout_methods;
pub(crate) mod release_events;
pub mod releases;
pub(crate) mod settle;
pub mod withdrawal_batches;
pub mod withdrawals;
