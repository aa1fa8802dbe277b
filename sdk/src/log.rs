//! Log lines for the author of an adapter. The host keeps a limited number of lines and cuts long ones. Never log a
//! buyer's data or a secret.

use crate::bindings::postrider::adapter::log::Level;

/// Logs a line for a person who debugs the adapter.
pub fn debug(message: &str) {
    emit(Level::Debug, message);
}

/// Logs a line about normal operation.
pub fn info(message: &str) {
    emit(Level::Info, message);
}

/// Logs a problem after which the adapter continues, for example an optional value that it leaves out.
pub fn warn(message: &str) {
    emit(Level::Warn, message);
}

/// Logs a problem because of which the adapter cannot continue.
pub fn error(message: &str) {
    emit(Level::Error, message);
}

#[cfg(target_arch = "wasm32")]
fn emit(level: Level, message: &str) {
    crate::bindings::postrider::adapter::log::emit(level, message);
}

/// Unit tests have no host, so their lines go to the standard error.
#[cfg(not(target_arch = "wasm32"))]
fn emit(level: Level, message: &str) {
    eprintln!("{level:?}: {message}");
}
