//! Hashes passwords with argon2id on blocking threads. Hashing is slow on purpose, so only a few passwords are hashed
//! at the same time: many callers must not use the whole machine.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use argon2::password_hash::{PasswordHash, PasswordHasher, PasswordVerifier, SaltString};
use argon2::{Algorithm, Argon2, Params, Version};
use tokio::sync::Semaphore;

use domain::people::auth_error::AuthError;

/// The parameters of OWASP's password storage cheat sheet: 19 MiB, two passes, one lane.
const MEMORY_KIB: u32 = 19_456;
const PASSES: u32 = 2;
/// A hash that no password matches. It is verified for an unknown account, so that it takes as long as a known account.
const DUMMY_HASH: &str =
    "$argon2id$v=19$m=19456,t=2,p=1$c29tZXNhbHRzb21lc2FsdA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
/// The maximum number of passwords that are hashed at the same time. Each needs 19 MiB.
const MAX_CONCURRENT: usize = 2;
/// The maximum time that a caller waits until hashing begins.
const WAIT_MAX: Duration = Duration::from_secs(10);

/// Hashes and verifies passwords.
#[derive(Clone, Debug)]
pub struct Passwords {
    slots: Arc<Semaphore>,
    runs: Arc<AtomicU64>,
}

impl Default for Passwords {
    fn default() -> Self {
        Self { slots: Arc::new(Semaphore::new(MAX_CONCURRENT)), runs: Arc::default() }
    }
}

impl Passwords {
    /// # Errors
    /// Too many passwords are being hashed.
    pub async fn hash(&self, password: String) -> Result<String, AuthError> {
        let salt = SaltString::encode_b64(&rand::random::<[u8; 16]>()).expect("16 bytes make a salt");
        self.run(move || {
            let hash = argon2().hash_password(password.as_bytes(), &salt);
            hash.expect("the parameters are within the limits of argon2").to_string()
        })
        .await
    }

    /// Whether the password matches the hash. Without a hash it does not, and the check takes the same time.
    ///
    /// # Errors
    /// Too many passwords are being hashed.
    pub async fn verify(&self, password: String, hash: Option<String>) -> Result<bool, AuthError> {
        self.run(move || {
            let known = hash.is_some();
            let hash = hash.unwrap_or_else(|| DUMMY_HASH.to_owned());
            let matches =
                PasswordHash::new(&hash).and_then(|hash| argon2().verify_password(password.as_bytes(), &hash)).is_ok();
            matches && known
        })
        .await
    }

    /// The number of hashes that were computed. Known and unknown accounts must cause the same work; tests compare this
    /// number, because durations are not exact enough.
    pub fn runs(&self) -> u64 {
        self.runs.load(Ordering::Relaxed)
    }

    async fn run<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T, AuthError> {
        let slot = tokio::time::timeout(WAIT_MAX, self.slots.clone().acquire_owned());
        let slot = slot.await.map_err(|_| AuthError::Busy)?.expect("it is never closed");
        let runs = self.runs.clone();
        let task = tokio::task::spawn_blocking(move || {
            // The work holds the slot, so that no other work starts if the caller disconnects.
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
    async fn no_password_matches_the_dummy_hash() {
        assert!(PasswordHash::new(DUMMY_HASH).is_ok());
        assert!(!Passwords::default().verify(String::new(), None).await.unwrap());
    }
}
