//! Log lines for the author of the adapter. The host keeps a limited number of lines and cuts long ones. Never log a
//! buyer's data or a secret.

use crate::bindings::postrider::adapter::log::Level;

pub fn debug(message: &str) {
    emit(Level::Debug, message);
}

pub fn info(message: &str) {
    emit(Level::Info, message);
}

pub fn warn(message: &str) {
    emit(Level::Warn, message);
}

pub fn error(message: &str) {
    emit(Level::Error, message);
}

#[cfg(target_arch = "wasm32")]
fn emit(level: Level, message: &str) {
    crate::bindings::postrider::adapter::log::emit(level, message);
}

/// Unit tests have no host to log to.
#[cfg(not(target_arch = "wasm32"))]
fn emit(level: Level, message: &str) {
    eprintln!("{level:?}: {message}");
}
