//! Leases: which process works on a row, and until when.

use crate::timestamp::Timestamp;

/// The exclusive right to work on rows until it ends. A process that still holds the token afterwards may finish them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Lease {
    /// A random token, different for every process and claim.
    pub claim: i64,
    /// When the lease ends.
    pub until: Timestamp,
}

/// Work, and the lease on its row.
#[derive(Clone, Debug)]
pub struct Leased<T> {
    /// The work.
    pub it: T,
    /// The lease.
    pub lease: Lease,
}
