//! Reads the memory and processor time of a process from the kernel, and describes the machine that produced the figures.

use std::fs::File;
use std::io::Write;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::generator::median;
use postrider_tests::temp::TempDir;

/// Resident memory in MiB.
pub fn resident_mib(pid: u32) -> f64 {
    status_kib(pid, "VmRSS:") / 1_024.0
}

/// The maximum resident memory since the process began, in MiB.
pub fn resident_peak_mib(pid: u32) -> f64 {
    status_kib(pid, "VmHWM:") / 1_024.0
}

fn status_kib(pid: u32, field: &str) -> f64 {
    let text = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix(field));
    line.and_then(|rest| rest.split_whitespace().next()?.parse().ok()).unwrap_or(0.0)
}

/// Processor time that a process has used so far.
pub fn processor_time(pid: u32) -> Duration {
    /// Clock ticks per second. Linux reports this constant to programs.
    const TICKS: u64 = 100;
    let text = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    // The name in parentheses may contain spaces; user and system time are the 14th and 15th field of all.
    let fields = text.rsplit_once(')').map_or("", |(_, rest)| rest).split_whitespace();
    let ticks: u64 = fields.skip(11).take(2).filter_map(|it| it.parse::<u64>().ok()).sum();
    Duration::from_millis(ticks * 1_000 / TICKS)
}

/// Prints and returns the number of cores, the load before the run, and the time of a durable write.
pub fn describe() -> Value {
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let load = load.split_whitespace().next().unwrap_or("?").to_owned();
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let sync_us = sync_us().unwrap_or(0.0);
    println!(
        "{cores} cores, load before {load}, a durable write of 4 KiB takes {sync_us:.0} us (in {})",
        std::env::temp_dir().display()
    );
    if load.parse::<f64>().is_ok_and(|it| it > 0.5) {
        println!("The machine is not idle: the figures are too low.");
    }
    json!({"cores": cores, "load_before": load, "sync_us": sync_us.round()})
}

fn sync_us() -> std::io::Result<f64> {
    let dir = TempDir::new("sync");
    let mut file = File::create(dir.path().join("probe"))?;
    let times = (0..100).map(|_| {
        let before = Instant::now();
        file.write_all(&[7; 4_096])?;
        file.sync_data()?;
        Ok(before.elapsed().as_secs_f64() * 1e6)
    });
    Ok(median(times.collect::<std::io::Result<_>>()?))
}
