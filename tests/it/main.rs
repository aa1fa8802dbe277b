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
mod egress;
mod errors;
mod exports;
mod geoip;
mod idempotency;
mod inbound;
mod macros;
mod openapi;
mod operation;
mod parse;
mod postbacks;
mod reports;
mod rules;
mod templates;
mod tracking;
