//! What an operator should put right, noticed while serving: logged at first sight and then once an hour, counted, and
//! listed for staff. Each process notices for itself.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::Duration;

use domain::timestamp::Timestamp;

const LOG_EVERY: Duration = Duration::from_secs(3_600);
/// What did not come up for so long is put right.
const SHOWN_FOR: Duration = Duration::from_secs(24 * 3_600);

/// Something to put right.
#[derive(Clone, Debug)]
pub struct Warning {
    pub code: &'static str,
    /// A sentence that says what to do, about what was seen last.
    pub sentence: String,
    pub first_at: Timestamp,
    pub last_at: Timestamp,
    pub times: u64,
    logged_at: Timestamp,
}

#[derive(Debug, Default)]
pub struct Warnings(Mutex<BTreeMap<&'static str, Warning>>);

impl Warnings {
    /// Notices it; `sentence` is only made when it is to be said.
    pub fn notice(&self, code: &'static str, now: Timestamp, sentence: impl FnOnce() -> String) {
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

    /// Those of the last day.
    pub fn list(&self, now: Timestamp) -> Vec<Warning> {
        let known = self.0.lock().expect("nothing panics while it is held");
        known.values().filter(|it| now.since(it.last_at) < SHOWN_FOR).cloned().collect()
    }
}
