//! Measures how long this thread computes. A busy machine takes the processor away from a thread again and again, and that
//! must not make an adapter look slow.

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// Only for the thread that started it.
pub struct CpuTimer(Duration);

impl CpuTimer {
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
        let cpu_timer = CpuTimer::start();
        std::thread::sleep(Duration::from_millis(200));
        assert!(cpu_timer.elapsed() < Duration::from_millis(100), "{:?}", cpu_timer.elapsed());
        let mut number = 1_u64;
        let before = cpu_timer.elapsed();
        while cpu_timer.elapsed() == before {
            number = std::hint::black_box(number.wrapping_mul(3));
        }
        assert!(cpu_timer.elapsed() > before);
    }
}
