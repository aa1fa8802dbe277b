//! Postrider's behaviour from the users' point of view: one test per business rule, over HTTP, on both databases.

mod api;
mod delivery;
mod documents;
mod inbound;
mod money;
mod operation;
mod pages;
mod people;
mod program;
mod reports;
mod sources;
mod structure;
mod tracking;
mod year;
