//! What all queries stand on: connections, groups of writes, bulk rows, pages, partitions and queues.

pub(crate) mod bulk;
pub(crate) mod connection_check;
pub mod database;
pub mod failures;
pub mod idempotency;
pub mod page;
pub mod partitions;
pub(crate) mod queue;
pub mod schema;
pub mod servers;
pub mod sqlite;
pub mod time;
pub mod upkeep;
pub mod write_probe;
pub mod writer;
