//! The maximum sizes of request bodies, in bytes.

/// With credentials.
pub const BODY_LIMIT: usize = 4 * 1024 * 1024;
/// Without credentials: an e-mail address, a password and a code.
pub const UNAUTHENTICATED_BODY_LIMIT: usize = 16 * 1024;
