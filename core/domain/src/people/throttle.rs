//! Throttling of attempts: some attempts are free, then each wait is twice the one before.

use std::time::Duration;

use crate::timestamp::Timestamp;

/// The count of attempts starts again if there was none for this long.
pub(crate) const FORGOTTEN_AFTER: Duration = Duration::from_secs(3_600);
const WAIT_MAX: Duration = Duration::from_secs(900);
/// Attempts of an account that are always allowed, regardless of other attempts from its address: a person may mistype.
const OWN_ATTEMPTS: i32 = 3;

/// What attempts are counted for; it determines how many are free.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// An account: 5.
    Account,
    /// An address, which several people may share: 30.
    Address,
    /// An address that an unlisted proxy with a private address names. It is unverified, so it may stand for more
    /// people: 100.
    Forwarded,
    /// A private address that names no visitor: it may be a proxy for all visitors. It counts the accounts that failed
    /// from there, but never blocks: only the account's own count does.
    Unnamed,
    /// A public address that forwards, or claims to: 300.
    Shared,
    /// Messages to one mailbox: 3.
    Mail,
}

impl Kind {
    fn free(self) -> i32 {
        match self {
            Self::Account => 5,
            Self::Address => 30,
            Self::Forwarded => 100,
            Self::Shared => 300,
            Self::Unnamed => i32::MAX,
            Self::Mail => 3,
        }
    }

    /// The key in the database for this account, address or mailbox.
    pub fn subject(self, of: &str) -> String {
        let kind = match self {
            Self::Account => "account",
            Self::Address => "address",
            Self::Forwarded => "forwarded",
            Self::Shared => "shared",
            Self::Unnamed => "unnamed",
            Self::Mail => "mail",
        };
        format!("{kind}:{of}")
    }
}

/// The attempts of one subject.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Throttle {
    /// See [`Kind::subject`].
    pub subject: String,
    /// Attempts that failed or are in progress.
    pub failures: i32,
    /// The last attempt.
    pub last_at: Timestamp,
    /// When the next attempt is allowed.
    pub blocked_until: Timestamp,
}

impl Throttle {
    /// A subject without attempts.
    pub fn new(subject: String, now: Timestamp) -> Self {
        Self { subject, failures: 0, last_at: now, blocked_until: now }
    }

    /// Whether an attempt at this account, which is counted already, is allowed although the address it comes from is
    /// blocked.
    pub fn is_let_through(&self, from: Kind) -> bool {
        from == Kind::Shared && self.failures <= OWN_ATTEMPTS
    }

    /// Whether this is the account's first attempt since the last success, or since the count started again.
    pub fn is_first(&self) -> bool {
        self.failures == 1
    }

    /// Counts an attempt that is allowed although its subject is blocked.
    pub fn count(&mut self, now: Timestamp) {
        self.failures = self.failures.saturating_add(1);
        self.last_at = now;
    }

    /// Counts an attempt before it is made, so that concurrent attempts are counted, too. The error is how long to
    /// wait.
    pub fn attempt(&mut self, kind: Kind, now: Timestamp) -> Result<(), Duration> {
        if now < self.blocked_until {
            return Err(self.blocked_until.since(now));
        }
        if now.since(self.last_at) >= FORGOTTEN_AFTER {
            self.failures = 0;
        }
        self.failures += 1;
        self.last_at = now;
        let beyond = self.failures - kind.free();
        if beyond >= 0 {
            let wait = Duration::from_secs(1 << (beyond as u32).min(10) << 1).min(WAIT_MAX);
            self.blocked_until = now.plus(wait);
        }
        Ok(())
    }

    /// Records a success. The count of an account is reset. The count of an address is only reduced by this attempt,
    /// because otherwise the owner of one account could try all others.
    pub fn succeeded(&mut self, kind: Kind, now: Timestamp) {
        self.failures = if kind == Kind::Account { 0 } else { (self.failures - 1).max(0) };
        // An attempt that was allowed in spite of the block must not unblock the others.
        if kind != Kind::Shared || self.failures < kind.free() {
            self.blocked_until = now;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn five_attempts_are_free_and_then_the_wait_doubles() {
        let start = Timestamp::from_millis(1_773_144_000_000);
        let mut throttle = Throttle::new("account:x".into(), start);
        for _ in 0..5 {
            assert_eq!(throttle.attempt(Kind::Account, start), Ok(()));
        }
        let mut now = start;
        for wait in [2, 4, 8, 16, 32, 64, 128, 256, 512, 900, 900, 900] {
            assert_eq!(throttle.attempt(Kind::Account, now), Err(Duration::from_secs(wait)));
            now = now.plus(Duration::from_secs(wait));
            assert_eq!(throttle.attempt(Kind::Account, now), Ok(()));
        }
    }

    #[test]
    fn success_resets_only_the_account() {
        let now = Timestamp::from_millis(1_773_144_000_000);
        let mut account = Throttle { failures: 5, ..Throttle::new("a".into(), now) };
        account.succeeded(Kind::Account, now);
        assert_eq!(account.failures, 0);
        let mut address = Throttle { failures: 20, ..Throttle::new("b".into(), now) };
        address.succeeded(Kind::Address, now);
        assert_eq!(address.failures, 19);
    }

    #[test]
    fn attempts_of_others_do_not_block_an_account_behind_a_shared_address() {
        let now = Timestamp::from_millis(1_773_144_000_000);
        let later = now.plus(WAIT_MAX);
        let mut shared = Throttle { failures: 400, blocked_until: later, ..Throttle::new("s".into(), now) };
        let mut account = Throttle::new("a".into(), now);
        for wanted in [true, true, true, false] {
            assert_eq!(account.attempt(Kind::Account, now), Ok(()));
            assert!(shared.attempt(Kind::Shared, now).is_err());
            assert_eq!(account.is_let_through(Kind::Shared), wanted);
            assert!(!account.is_let_through(Kind::Address) && !account.is_let_through(Kind::Forwarded));
        }
        shared.count(now);
        shared.succeeded(Kind::Shared, now);
        assert_eq!((shared.failures, shared.blocked_until), (400, later), "the others stay blocked");
    }

    #[test]
    fn the_count_starts_again_after_an_hour() {
        let start = Timestamp::from_millis(1_773_144_000_000);
        let mut throttle = Throttle { failures: 50, ..Throttle::new("a".into(), start) };
        let later = start.plus(FORGOTTEN_AFTER);
        assert_eq!(throttle.attempt(Kind::Account, later), Ok(()));
        assert_eq!(throttle.failures, 1);
    }
}
