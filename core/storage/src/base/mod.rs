//! Shared by all queries: connections, group commit, bulk statements, pages, queues, partitions and retention.

pub(crate) mod bulk;
pub(crate) mod connection_check;
pub mod database;
pub mod failures;
pub mod idempotency;
pub mod page;
pub mod partitions;
pub(crate) mod queue;
pub mod retention;
pub mod schema;
pub(crate) mod search;
pub mod servers;
pub mod sqlite;
pub mod time;
pub mod write_probe;
pub mod writer;
pub mod writes;
