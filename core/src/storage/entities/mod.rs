//! The tables, as SeaORM sees them. What a column means is said by the domain type it becomes.

pub mod adapters;
pub mod affiliates;
pub mod api_keys;
pub mod attempts;
pub mod clicks;
pub mod conversions;
pub mod deliveries;
pub mod events;
pub mod idempotency_keys;
pub mod inbound_firsts;
pub mod inbound_reports;
pub mod inbound_requests;
pub mod links;
pub mod offers;
pub mod postbacks;
pub mod sources;
