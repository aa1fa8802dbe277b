//! Postrider's behaviour as its users see it: one test per business rule, over HTTP, on both databases.

mod access;
mod adapter_commands;
mod adapters;
mod attribution;
mod caps;
mod clicks;
mod contract;
mod conversions;
mod crash;
mod delivery;
mod demo;
mod egress;
mod errors;
mod idempotency;
mod inbound;
mod macros;
mod offers;
mod openapi;
mod operation;
mod parse;
mod postbacks;
mod rules;
mod templates;
mod tracking;
