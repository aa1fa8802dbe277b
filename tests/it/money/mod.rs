//! Earnings and withdrawals.

mod bounds;
mod earnings;
mod statements;
mod withdrawal_batches;
mod withdrawal_crash;
mod withdrawals;
