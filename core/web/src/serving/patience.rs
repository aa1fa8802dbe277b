//! How long a connection may take for what, and which ones make room when there are too many.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::Duration;

/// What a connection is at.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Phase {
    /// It is new, or a request has begun.
    Head = 0,
    /// Its last request is answered.
    Idle = 1,
    /// The body of a request comes in.
    Body = 2,
    /// The answer is being made.
    Answer = 3,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Patience {
    /// From the first byte of a request, or from the beginning of the connection, to the end of its headers.
    pub header: Duration,
    /// From one request to the next.
    pub idle: Duration,
    /// For a body; and a second more for each [`BODY_BYTES_PER_SEC`] that came.
    pub body: Duration,
    /// For which the peer takes nothing of an answer.
    pub write: Duration,
}

/// Slower than any telephone; 4 MiB may take a quarter of an hour.
pub const BODY_BYTES_PER_SEC: u64 = 4_096;

/// Why a connection was ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Reason {
    HeaderTimeout,
    IdleTimeout,
    WriteTimeout,
    /// It made room for another.
    Evicted,
}

impl Reason {
    pub fn word(self) -> &'static str {
        match self {
            Self::HeaderTimeout => "header_timeout",
            Self::IdleTimeout => "idle_timeout",
            Self::WriteTimeout => "write_timeout",
            Self::Evicted => "evicted",
        }
    }
}

impl Patience {
    /// How soon to look again at what is in `phase` for `age`, or why it has to end. A body keeps its own time.
    pub fn judge(self, phase: Phase, age: Duration, stalled: Option<Duration>) -> Result<Duration, Reason> {
        if stalled.is_some_and(|stalled| stalled >= self.write) {
            return Err(Reason::WriteTimeout);
        }
        let (limit, reason) = match phase {
            Phase::Head => (self.header, Reason::HeaderTimeout),
            Phase::Idle => (self.idle, Reason::IdleTimeout),
            Phase::Body | Phase::Answer => (Duration::MAX, Reason::IdleTimeout),
        };
        match limit.checked_sub(age) {
            None | Some(Duration::ZERO) => Err(reason),
            // The next request may begin right after this look.
            Some(left) => Ok(left.min(self.header).min(self.write)),
        }
    }

    /// How long after its beginning a body must have ended of which so much has come.
    pub fn body_limit(self, received: u64) -> Duration {
        self.body + Duration::from_millis(received * 1_000 / BODY_BYTES_PER_SEC)
    }
}

/// A connection that could make room.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Candidate {
    pub peer: IpAddr,
    pub phase: Phase,
    pub age: Duration,
}

/// The places of those that make room, at most `most`: of the peers with the most connections first, so that nobody is
/// pushed out by a crowd from elsewhere; of these what waits for a request, the longest first; then what is still
/// sending one. What is being answered stays.
pub fn victims(open: &[Candidate], most: usize) -> Vec<usize> {
    let mut of_peer = HashMap::<IpAddr, usize>::new();
    for it in open {
        *of_peer.entry(it.peer).or_default() += 1;
    }
    let mut places: Vec<usize> = (0..open.len()).filter(|place| open[*place].phase != Phase::Answer).collect();
    places.sort_by_key(|place| {
        let it = &open[*place];
        std::cmp::Reverse((of_peer[&it.peer], it.phase != Phase::Body, it.age))
    });
    places.truncate(most);
    places
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Patience = Patience {
        header: Duration::from_secs(10),
        idle: Duration::from_secs(75),
        body: Duration::from_secs(20),
        write: Duration::from_secs(30),
    };

    #[test]
    fn each_phase_has_its_time() {
        let secs = Duration::from_secs;
        for (phase, age, stalled, wanted) in [
            (Phase::Head, 0, None, Ok(10)),
            (Phase::Head, 9, None, Ok(1)),
            (Phase::Head, 10, None, Err(Reason::HeaderTimeout)),
            (Phase::Idle, 10, None, Ok(10)),
            (Phase::Idle, 70, None, Ok(5)),
            (Phase::Idle, 80, None, Err(Reason::IdleTimeout)),
            (Phase::Body, 10_000, None, Ok(10)),
            (Phase::Answer, 10_000, None, Ok(10)),
            (Phase::Answer, 40, Some(29), Ok(10)),
            (Phase::Answer, 40, Some(30), Err(Reason::WriteTimeout)),
        ] {
            let judged = PATIENCE.judge(phase, secs(age), stalled.map(secs));
            assert_eq!(judged, wanted.map(secs), "{phase:?} {age} {stalled:?}");
        }
    }

    #[test]
    fn a_body_gets_more_time_with_what_it_brings() {
        assert_eq!(PATIENCE.body_limit(0), Duration::from_secs(20));
        assert_eq!(PATIENCE.body_limit(40_960), Duration::from_secs(30));
    }

    #[test]
    fn the_idle_of_the_largest_crowd_make_room_first() {
        let candidate = |peer: u8, phase, age| Candidate {
            peer: IpAddr::from([10, 0, 0, peer]),
            phase,
            age: Duration::from_secs(age),
        };
        let open = [
            candidate(1, Phase::Idle, 70),
            candidate(2, Phase::Answer, 500),
            candidate(2, Phase::Head, 3),
            candidate(2, Phase::Idle, 5),
            candidate(2, Phase::Body, 9),
        ];
        assert_eq!(victims(&open, 1), [3], "the longest idle of the crowd");
        assert_eq!(victims(&open, 3), [3, 2, 4], "then what is still sending a body");
        assert_eq!(victims(&open, 9), [3, 2, 4, 0], "what is answered stays");
    }
}
