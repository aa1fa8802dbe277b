//! Leases: who works on a row, and until when.

use crate::timestamp::Timestamp;

/// The right to work on rows until it ends. Whoever still holds the token may finish them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Lease {
    /// Random, so that no two processes ever draw the same.
    pub claim: i64,
    pub until: Timestamp,
}

/// Something to work on, and the lease on its row.
#[derive(Clone, Debug)]
pub struct Leased<T> {
    pub it: T,
    pub lease: Lease,
}
