//! Measures the processor time of a thread. The elapsed time would make adapters look slow on a busy machine, which
//! interrupts threads.

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// A timer of processor time. It can only be read on the thread that started it.
pub struct CpuTimer(Duration);

impl CpuTimer {
    /// Starts a timer for this thread.
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
