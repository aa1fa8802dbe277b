//! Postbacks: rules, adapters, templates, sending.

mod adapter_commands;
mod adapter_load;
mod adapters;
mod breakers;
mod contract;
mod egress;
mod macros;
mod pasted_urls;
mod postbacks;
mod rules;
mod sealing;
mod sending;
mod templates;
