//! Hashing passwords: argon2id, on blocking threads, a few at a time. It is the one thing here that is meant to be
//! slow, so a crowd of strangers must not get all of the machine for it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use argon2::password_hash::{PasswordHash, PasswordHasher, PasswordVerifier, SaltString};
use argon2::{Algorithm, Argon2, Params, Version};
use tokio::sync::Semaphore;

use domain::people::auth_error::AuthError;

/// OWASP's password storage cheat sheet: 19 MiB, two passes, one lane.
const MEMORY_KIB: u32 = 19_456;
const PASSES: u32 = 2;
/// Of nobody's password: verified when there is none, so that an unknown account takes as long as a known one.
const NOBODYS: &str =
    "$argon2id$v=19$m=19456,t=2,p=1$c29tZXNhbHRzb21lc2FsdA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
/// Each costs 19 MiB while it runs.
const AT_ONCE: usize = 2;
const WAIT: Duration = Duration::from_secs(10);

#[derive(Clone, Debug)]
pub struct Passwords {
    slots: Arc<Semaphore>,
    runs: Arc<AtomicU64>,
}

impl Default for Passwords {
    fn default() -> Self {
        Self { slots: Arc::new(Semaphore::new(AT_ONCE)), runs: Arc::default() }
    }
}

impl Passwords {
    pub async fn hash(&self, password: String) -> Result<String, AuthError> {
        let salt = SaltString::encode_b64(&rand::random::<[u8; 16]>()).expect("16 bytes make a salt");
        self.run(move || {
            let hash = argon2().hash_password(password.as_bytes(), &salt);
            hash.expect("the parameters are within the limits of argon2").to_string()
        })
        .await
    }

    /// Takes as long without a hash as with one.
    pub async fn verify(&self, password: String, hash: Option<String>) -> Result<bool, AuthError> {
        self.run(move || {
            let known = hash.is_some();
            let hash = hash.unwrap_or_else(|| NOBODYS.to_owned());
            let matches =
                PasswordHash::new(&hash).and_then(|hash| argon2().verify_password(password.as_bytes(), &hash)).is_ok();
            matches && known
        })
        .await
    }

    /// How often it has hashed. What people are told must not depend on work that was left out, and this shows it
    /// where a stopwatch can't.
    pub fn runs(&self) -> u64 {
        self.runs.load(Ordering::Relaxed)
    }

    async fn run<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T, AuthError> {
        let slot = tokio::time::timeout(WAIT, self.slots.clone().acquire_owned());
        let slot = slot.await.map_err(|_| AuthError::Busy)?.expect("it is never closed");
        let runs = self.runs.clone();
        let task = tokio::task::spawn_blocking(move || {
            // Held by the work itself: a caller who hangs up must not let another one start beside it.
            let _slot = slot;
            runs.fetch_add(1, Ordering::Relaxed);
            work()
        });
        Ok(task.await.expect("hashing does not panic"))
    }
}

fn argon2() -> Argon2<'static> {
    let params = Params::new(MEMORY_KIB, PASSES, 1, None).expect("these are valid parameters");
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_password_matches_its_own_hash_only() {
        let passwords = Passwords::default();
        let hash = passwords.hash("correct horse".into()).await.unwrap();
        assert!(hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{hash}");
        assert!(passwords.verify("correct horse".into(), Some(hash.clone())).await.unwrap());
        assert!(!passwords.verify("correct horses".into(), Some(hash)).await.unwrap());
    }

    #[tokio::test]
    async fn nobodys_hash_is_a_real_one_that_nothing_matches() {
        assert!(PasswordHash::new(NOBODYS).is_ok());
        assert!(!Passwords::default().verify(String::new(), None).await.unwrap());
    }
}
