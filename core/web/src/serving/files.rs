//! Open files: how many this process may have, and how many of them connections may take.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Raises the soft limit to the hard one, which needs no privilege. Returns what holds; `None` when nothing limits it.
pub fn raise_file_limit() -> Option<u64> {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    match setrlimit(Resource::Nofile, raised) {
        Ok(()) => limit.maximum,
        Err(error) => {
            tracing::warn!(%error, limit = limit.current, "The limit of open files can't be raised");
            limit.current
        }
    }
}

/// How many of the `wanted` connections the limit of open files leaves room for, beside `others`: databases, postbacks
/// on their way, and the rest. Never less than half of what there is.
pub fn connections_within(wanted: usize, limit: Option<u64>, others: usize) -> usize {
    let limit = limit.map_or(usize::MAX, |limit| usize::try_from(limit).unwrap_or(usize::MAX));
    wanted.min(limit.saturating_sub(others).max(limit / 2)).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_leave_files_for_the_rest() {
        for (wanted, limit, others, connections) in [
            (8_192, Some(1_048_576), 600, 8_192),
            (8_192, Some(4_096), 600, 3_496),
            (8_192, Some(1_024), 600, 512),
            (100, Some(1_024), 600, 100),
            (8_192, None, 600, 8_192),
        ] {
            assert_eq!(connections_within(wanted, limit, others), connections, "{wanted} {limit:?}");
        }
    }
}
