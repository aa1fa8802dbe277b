//! Open files: the limit of this process, and how many of them connections can use.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Raises the soft limit to the hard limit, which requires no privilege. Returns the limit; `None` if there is none.
pub fn raise_file_limit() -> Option<u64> {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    match setrlimit(Resource::Nofile, raised) {
        Ok(()) => limit.maximum,
        Err(error) => {
            tracing::warn!(%error, limit = limit.current, "The limit of open files cannot be raised");
            limit.current
        }
    }
}

/// The number of connections that the limit of open files allows, at most `requested`. `reserved` is the number of
/// other files: databases, requests to destinations, and so on. The result is never less than half of the limit.
pub fn connections_within(requested: usize, limit: Option<u64>, reserved: usize) -> usize {
    let limit = limit.map_or(usize::MAX, |limit| usize::try_from(limit).unwrap_or(usize::MAX));
    requested.min(limit.saturating_sub(reserved).max(limit / 2)).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_leave_reserved_files() {
        for (requested, limit, reserved, connections) in [
            (8_192, Some(1_048_576), 600, 8_192),
            (8_192, Some(4_096), 600, 3_496),
            (8_192, Some(1_024), 600, 512),
            (100, Some(1_024), 600, 100),
            (8_192, None, 600, 8_192),
        ] {
            assert_eq!(connections_within(requested, limit, reserved), connections, "{requested} {limit:?}");
        }
    }
}
