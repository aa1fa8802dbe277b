//! How often somebody may try: some attempts are free, then each costs twice the wait of the one before.

use std::time::Duration;

use crate::timestamp::Timestamp;

/// Attempts are forgotten when none came for so long.
pub const FORGOTTEN_AFTER: Duration = Duration::from_secs(3_600);
const WAIT_MAX: Duration = Duration::from_secs(900);
/// What an account may try however many others failed from where it comes from: one may mistype.
const OWN_ATTEMPTS: i32 = 3;

/// What is counted by itself, and how many attempts of it are free.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Account,
    /// Many people may share one.
    Address,
    /// An address that an unlisted proxy from inside names. Nobody vouches for it, so it may stand for more people.
    Forwarded,
    /// An address from inside that names nobody: it may be a proxy for everybody. It counts the accounts that failed from
    /// there and keeps none of them out: the account decides.
    Unnamed,
    /// An address from outside that forwards for others, or says so.
    Shared,
    /// Messages to one mailbox.
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

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Throttle {
    pub subject: String,
    /// Attempts that did not succeed, or not yet.
    pub failures: i32,
    pub last_at: Timestamp,
    pub blocked_until: Timestamp,
}

impl Throttle {
    pub fn new(subject: String, now: Timestamp) -> Self {
        Self { subject, failures: 0, last_at: now, blocked_until: now }
    }

    /// Whether an attempt at this account, which is counted already, is let through although many others failed from
    /// where it comes from.
    pub fn is_let_through(&self, from: Kind) -> bool {
        from == Kind::Shared && self.failures <= OWN_ATTEMPTS
    }

    /// Whether this is the account's first attempt since one succeeded or all were forgotten.
    pub fn is_first(&self) -> bool {
        self.failures == 1
    }

    /// Counts an attempt that is let through although it would have to wait.
    pub fn count(&mut self, now: Timestamp) {
        self.failures = self.failures.saturating_add(1);
        self.last_at = now;
    }

    /// Counts an attempt before it is made, so that many at once are counted too; or how long to wait for the next.
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

    /// The attempt succeeded. An account starts afresh; an address only gets its own attempt back, or whoever has
    /// one account could guess at all others.
    pub fn succeeded(&mut self, kind: Kind, now: Timestamp) {
        self.failures = if kind == Kind::Account { 0 } else { (self.failures - 1).max(0) };
        // Who is let through must not clear the way for others.
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
    fn success_clears_the_account_and_only_the_account() {
        let now = Timestamp::from_millis(1_773_144_000_000);
        let mut account = Throttle { failures: 5, ..Throttle::new("a".into(), now) };
        account.succeeded(Kind::Account, now);
        assert_eq!(account.failures, 0);
        let mut address = Throttle { failures: 20, ..Throttle::new("b".into(), now) };
        address.succeeded(Kind::Address, now);
        assert_eq!(address.failures, 19);
    }

    #[test]
    fn an_account_is_not_kept_out_by_what_others_try_from_a_shared_address() {
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
        assert_eq!((shared.failures, shared.blocked_until), (400, later), "it clears the way for nobody");
    }

    #[test]
    fn an_hour_of_peace_forgives() {
        let start = Timestamp::from_millis(1_773_144_000_000);
        let mut throttle = Throttle { failures: 50, ..Throttle::new("a".into(), start) };
        let later = start.plus(FORGOTTEN_AFTER);
        assert_eq!(throttle.attempt(Kind::Account, later), Ok(()));
        assert_eq!(throttle.failures, 1);
    }
}
