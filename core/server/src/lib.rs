//! The program: commands, and a server of the web edge and the workers over one application.

pub mod cli;
pub mod server;
mod telemetry;

pub use server::Server;
