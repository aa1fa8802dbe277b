//! Postbacks: rules, adapters, templates, sending.

mod adapter_commands;
mod adapter_load;
mod adapters;
mod breakers;
mod contract;
mod egress;
mod explanations;
mod macros;
mod pasted_urls;
mod postbacks;
mod previews;
mod retry_jobs;
mod rules;
mod sealing;
mod sending;
mod templates;
