//! What follows from an adapter's faults. Pure.
//!
//! Whatever a visitor, a buyer or a network sends ends up in the events that an adapter is called with, so a call that fails proves
//! little by itself. After [`FAULTS_IN_A_ROW`](super::adapter::FAULTS_IN_A_ROW) the host makes the same call with a known-good sample,
//! for each owner whose calls failed: data alone never takes a version out of service.

use std::time::Duration;

/// What is known when a version has failed too often in a row.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Case {
    /// It comes with the program.
    pub built_in: bool,
    /// Owners whose calls failed, and fail with the sample too.
    pub owners_failing: usize,
    /// Whether owners whose calls did not fail use the version as well.
    pub others_use: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ruling {
    /// The events were at fault: their deliveries failed with a reason, and that is all.
    Keep,
    /// One owner's configuration is what the adapter fails with: that owner's deliveries wait.
    Suspend,
    /// It fails for everybody.
    TakeOut,
}

impl Case {
    pub fn ruling(self) -> Ruling {
        match self {
            Self { owners_failing: 0, .. } | Self { built_in: true, .. } => Ruling::Keep,
            Self { owners_failing: 1, others_use: true, .. } => Ruling::Suspend,
            _ => Ruling::TakeOut,
        }
    }
}

/// How long an owner's deliveries wait for a version after its `times`-th suspension in a row. Then it is tried again.
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
        // built in, owners that fail with the sample, others use it
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
