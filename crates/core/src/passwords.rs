//! Password hashes (argon2id, 19 MiB, t=2, p=1) and a short memory of verdicts, because some clients send the password
//! with every call and one check costs some 26 ms of processor.

use std::time::Duration;

use argon2::password_hash::{PasswordHasher, PasswordVerifier, phc::PasswordHash};
use argon2::{Algorithm, Argon2, Params, Version};
use rand::Rng;
use sha2::{Digest, Sha256};
use tokio::sync::Semaphore;

use crate::error::{Error, Result};

/// How long a right password is remembered. A changed hash is another key, so a reset is felt at once.
const REMEMBER: Duration = Duration::from_secs(60);
/// Checks that may run at once; the others wait.
const AT_ONCE: usize = 2;
const REMEMBERED_MAX: u64 = 10_000;

/// Checks passwords off the async threads.
pub(crate) struct Passwords {
    slots: Semaphore,
    /// Digests of (process key, hash, password) that were right.
    right: moka::future::Cache<[u8; 32], ()>,
    process_key: [u8; 32],
}

impl std::fmt::Debug for Passwords {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Passwords")
    }
}

impl Default for Passwords {
    fn default() -> Self {
        let mut process_key = [0; 32];
        rand::rng().fill_bytes(&mut process_key);
        let right = moka::future::Cache::builder().max_capacity(REMEMBERED_MAX).time_to_live(REMEMBER).build();
        Self { slots: Semaphore::new(AT_ONCE), right, process_key }
    }
}

impl Passwords {
    /// Whether the password belongs to the hash. An absent hash takes as long as a wrong password.
    pub(crate) async fn verify(&self, hash: Option<&str>, password: &str) -> Result<bool> {
        let known = hash.is_some();
        let hash = hash.unwrap_or(NOBODY).to_owned();
        let digest: [u8; 32] = Sha256::new()
            .chain_update(self.process_key)
            .chain_update((hash.len() as u64).to_le_bytes())
            .chain_update(&hash)
            .chain_update(password)
            .finalize()
            .into();
        if self.right.get(&digest).await.is_some() {
            return Ok(true);
        }
        let password = password.to_owned();
        let verdict = self.off_thread(move || matches(&hash, &password)).await?;
        if verdict && known {
            self.right.insert(digest, ()).await;
        }
        Ok(verdict && known)
    }

    /// The hash to store for a new password.
    pub(crate) async fn hash(&self, password: &str) -> Result<String> {
        let password = password.to_owned();
        self.off_thread(move || {
            let mut salt = [0; 16];
            rand::rng().fill_bytes(&mut salt);
            argon2().hash_password_with_salt(password.as_bytes(), &salt).map(|hash| hash.to_string())
        })
        .await?
        .map_err(|error| Error::internal(format!("hashing a password: {error}")))
    }

    async fn off_thread<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T> {
        let _slot = self.slots.acquire().await.map_err(Error::internal)?;
        tokio::task::spawn_blocking(work).await.map_err(Error::internal)
    }
}

/// A well-formed hash that no password has: what is checked when there is no such person.
const NOBODY: &str =
    "$argon2id$v=19$m=19456,t=2,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

fn argon2() -> Argon2<'static> {
    Argon2::new(Algorithm::Argon2id, Version::V0x13, Params::DEFAULT)
}

fn matches(hash: &str, password: &str) -> bool {
    PasswordHash::new(hash).is_ok_and(|hash| argon2().verify_password(password.as_bytes(), &hash).is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn only_the_right_password_verifies_also_the_second_time() {
        let passwords = Passwords::default();
        let hash = passwords.hash("correct horse").await.unwrap();
        assert!(hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{hash}");
        for _ in 0..2 {
            assert!(passwords.verify(Some(&hash), "correct horse").await.unwrap());
            assert!(!passwords.verify(Some(&hash), "correct horse ").await.unwrap());
            assert!(!passwords.verify(None, "correct horse").await.unwrap());
            assert!(!passwords.verify(Some("not a hash"), "correct horse").await.unwrap());
        }
    }
}
