//! How large the body of a request may be.

/// The largest body of a request.
pub const BODY_LIMIT: usize = 4 * 1024 * 1024;
/// The same without credentials: an address, a password and a code.
pub const STRANGERS_BODY_LIMIT: usize = 16 * 1024;
