//! The files of a SQLite database: its WAL and its copies.

pub mod backup;
pub mod checkpoints;
