//! The consequences of an adapter's faults. Pure.
//!
//! The events of a call contain data from visitors, buyers and networks, so one failed call proves little. After
//! [`FAULTS_IN_A_ROW`](super::FAULTS_IN_A_ROW) faults the host repeats the call with a known-good sample for
//! each owner whose calls failed: data alone never takes a version out of service.

use std::time::Duration;

/// The facts about a version that failed too often in a row.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Case {
    /// Whether it came with a release of the program.
    pub built_in: bool,
    /// The number of owners whose calls failed and also fail with the sample.
    pub owners_failing: usize,
    /// Whether owners without failed calls use the version, too.
    pub others_use: bool,
}

/// What happens to the version.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ruling {
    /// The events caused the faults: their deliveries fail with a reason, and nothing else happens.
    Keep,
    /// The adapter fails with the configuration of one owner: that owner's deliveries wait.
    Suspend,
    /// The adapter fails for everybody: the version is taken out of service.
    TakeOut,
}

impl Case {
    /// The decision. A built-in version is always kept.
    pub fn ruling(self) -> Ruling {
        match self {
            Self { owners_failing: 0, .. } | Self { built_in: true, .. } => Ruling::Keep,
            Self { owners_failing: 1, others_use: true, .. } => Ruling::Suspend,
            _ => Ruling::TakeOut,
        }
    }
}

/// How long an owner's deliveries wait for a version after its `times`-th suspension in a row: 60 s, doubled each time,
/// up to 900 s. Then the version is tried again.
pub fn suspended_for(times: u32) -> Duration {
    const SHORTEST: Duration = Duration::from_secs(60);
    const LONGEST: Duration = Duration::from_secs(900);
    (SHORTEST * 2_u32.saturating_pow(times.saturating_sub(1).min(10))).min(LONGEST)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn data_alone_takes_nothing_out_of_service() {
        use Ruling::{Keep, Suspend, TakeOut};
        // Built in, owners that fail with the sample, whether others use it.
        for (built_in, owners_failing, others_use, expected) in [
            (false, 0, false, Keep),
            (false, 0, true, Keep),
            (false, 1, true, Suspend),
            (false, 1, false, TakeOut),
            (false, 2, true, TakeOut),
            (false, 2, false, TakeOut),
            (true, 0, false, Keep),
            (true, 1, false, Keep),
            (true, 1, true, Keep),
            (true, 9, true, Keep),
        ] {
            let case = Case { built_in, owners_failing, others_use };
            assert_eq!(case.ruling(), expected, "{case:?}");
        }
    }

    #[test]
    fn each_suspension_in_a_row_is_twice_as_long() {
        for (times, secs) in [(0, 60), (1, 60), (2, 120), (3, 240), (4, 480), (5, 900), (40, 900)] {
            assert_eq!(suspended_for(times).as_secs(), secs, "{times}");
        }
    }
}
