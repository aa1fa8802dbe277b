//! Measures how long this thread computes. A busy machine takes the processor away from a thread again and again, and that
//! must not make an adapter look slow.

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// Only for the thread that started it.
pub struct Stopwatch(Duration);

impl Stopwatch {
    pub fn start() -> Self {
        Self(processor_time())
    }

    /// The processor time of this thread since the start.
    pub fn elapsed(&self) -> Duration {
        processor_time().saturating_sub(self.0)
    }
}

fn processor_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sleep_costs_no_processor_time() {
        let stopwatch = Stopwatch::start();
        std::thread::sleep(Duration::from_millis(200));
        assert!(stopwatch.elapsed() < Duration::from_millis(100), "{:?}", stopwatch.elapsed());
        let mut number = 1_u64;
        let before = stopwatch.elapsed();
        while stopwatch.elapsed() == before {
            number = std::hint::black_box(number.wrapping_mul(3));
        }
        assert!(stopwatch.elapsed() > before);
    }
}
