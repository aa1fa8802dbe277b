//! Queries of earnings, balances, the ledger, exchanges and withdrawals.

pub mod balances;
pub mod earnings;
pub mod exchange_rates;
pub mod exchanges;
pub mod ledger;
pub mod payout_details;
pub mod payout_methods;
pub(crate) mod sums;
pub mod withdrawal_batches;
pub mod withdrawals;
