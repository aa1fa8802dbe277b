//! Earnings, the ledger, payout details, withdrawals and payment files.

pub mod csv;
pub mod earning;
pub mod exchange;
pub mod ledger;
pub mod payment_file;
pub mod payment_results;
pub mod payout_details;
pub mod payout_method;
pub mod postings;
pub mod release;
pub mod settlement;
pub mod statement;
pub mod withdrawal;
pub mod withdrawal_batch;
