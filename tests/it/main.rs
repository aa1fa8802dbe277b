//! Postrider's behaviour as its users see it: one test per business rule, over HTTP, on both databases.

mod access;
mod adapter_commands;
mod adapters;
mod clicks;
mod contract;
mod conversions;
mod crash;
mod delivery;
mod demo;
mod earnings;
mod egress;
mod errors;
mod idempotency;
mod inbound;
mod macros;
mod openapi;
mod operation;
mod parse;
mod postbacks;
mod rules;
mod templates;
mod tracking;
mod withdrawal_batches;
mod withdrawal_crash;
mod withdrawals;
