//! Postrider: clicks become conversions become postbacks.
//!
//! Layers, each using only those to its right:
//! `web, cli, pipeline → services → storage, adapters, egress → clock → domain`.
//! Folders within them are areas: tracking, program, delivery, inbound, money, people and reports.
//! ARCHITECTURE.md has the map and the walkthroughs.

#[macro_use(text_enum)]
pub extern crate postrider_domain as domain;
pub extern crate postrider_egress as egress;
pub extern crate postrider_host as adapters;

pub mod app;
pub mod cli;
pub mod clock;
pub mod config;
pub mod pipeline;
mod private_files;
pub mod server;
pub mod services;
pub mod storage;
pub mod web;

pub use domain::{amounts as money, ids};
pub use server::Server;
