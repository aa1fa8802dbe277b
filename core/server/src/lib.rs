//! The program: the command line, and the server that runs the web edge and the workers of one application.

pub mod cli;
pub mod server;
mod telemetry;

pub use server::Server;
