//! Warnings: problems that the operator should fix. A warning is counted and listed for staff; it is logged when it
//! first occurs and then once an hour. Each process has its own warnings.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::Duration;

use domain::timestamp::Timestamp;

const LOG_EVERY: Duration = Duration::from_secs(3_600);
/// A warning that did not occur for this time is not listed any more.
const SHOWN_FOR: Duration = Duration::from_secs(24 * 3_600);

/// A problem that the operator should fix.
#[derive(Clone, Debug)]
pub struct Warning {
    pub code: &'static str,
    /// A sentence that says what to do. It is renewed with each log line.
    pub sentence: String,
    pub first_at: Timestamp,
    pub last_at: Timestamp,
    /// The number of occurrences.
    pub times: u64,
    logged_at: Timestamp,
}

/// The warnings of this process, by code.
#[derive(Debug, Default)]
pub struct Warnings(Mutex<BTreeMap<&'static str, Warning>>);

impl Warnings {
    /// Counts an occurrence of a warning. `sentence` is called only if the warning is logged.
    pub fn record(&self, code: &'static str, now: Timestamp, sentence: impl FnOnce() -> String) {
        metrics::counter!("postrider_warnings_total", "code" => code).increment(1);
        let mut known = self.0.lock().expect("nothing panics while it is held");
        match known.get_mut(code) {
            Some(it) => {
                it.times += 1;
                it.last_at = now;
                if now.since(it.logged_at) >= LOG_EVERY {
                    it.logged_at = now;
                    it.sentence = sentence();
                    tracing::warn!(code, times = it.times, "{}", it.sentence);
                }
            }
            None => {
                let sentence = sentence();
                tracing::warn!(code, "{sentence}");
                let it = Warning { code, sentence, first_at: now, last_at: now, times: 1, logged_at: now };
                known.insert(code, it);
            }
        }
    }

    /// The warnings of the last 24 hours.
    pub fn list(&self, now: Timestamp) -> Vec<Warning> {
        let known = self.0.lock().expect("nothing panics while it is held");
        known.values().filter(|it| now.since(it.last_at) < SHOWN_FOR).cloned().collect()
    }
}
