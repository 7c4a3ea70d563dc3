//! Sealing of secrets at rest (`docs/core/model.md` 8): XChaCha20-Poly1305 under a key derived for each row from the
//! master key, bound to table, row and column, so that a sealed value opens nowhere else.

use chacha20poly1305::aead::{Aead, Payload};
use chacha20poly1305::{KeyInit, XChaCha20Poly1305, XNonce};
use chandler_model::Uid;
use hkdf::Hkdf;
use rand::Rng;
use secrecy::{ExposeSecret, SecretBox};
use sha2::Sha256;
use zeroize::Zeroizing;

const NONCE: usize = 24;
/// First byte of a sealed value: its layout.
const FORMAT: u8 = 1;

/// Where a secret lies. A value sealed for one place does not open for another.
#[derive(Clone, Copy, Debug)]
pub struct Seat<'a> {
    pub table: &'a str,
    pub row: Uid,
    pub column: &'a str,
}

/// A value could not be opened: another master key, another place, or damaged bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a sealed value does not open with this master key")]
pub struct DoesNotOpen;

/// Seals and opens secrets with one master key.
#[derive(Debug)]
pub struct Sealer {
    master: SecretBox<[u8; 32]>,
}

impl Sealer {
    /// A sealer over 32 random bytes.
    #[must_use]
    pub fn new(master: [u8; 32]) -> Self {
        Self { master: SecretBox::new(Box::new(master)) }
    }

    /// 32 fresh random bytes: a new master key.
    #[must_use]
    pub fn random_key() -> [u8; 32] {
        let mut key = [0; 32];
        rand::rng().fill_bytes(&mut key);
        key
    }

    /// Seals bytes for a seat. Two calls never give the same output.
    ///
    /// # Errors
    /// Only for inputs beyond 256 GiB.
    pub fn seal(&self, seat: Seat<'_>, clear: &[u8]) -> Result<Vec<u8>, DoesNotOpen> {
        let mut nonce = [0; NONCE];
        rand::rng().fill_bytes(&mut nonce);
        let associated = associated_data(seat);
        let payload = Payload { msg: clear, aad: &associated };
        let sealed = self.cipher(seat).encrypt(&XNonce::from(nonce), payload).map_err(|_| DoesNotOpen)?;
        Ok([&[FORMAT], nonce.as_slice(), &sealed].concat())
    }

    /// Opens what [`Self::seal`] made for the same seat.
    pub fn open(&self, seat: Seat<'_>, sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, DoesNotOpen> {
        let Some((&[FORMAT], rest)) = sealed.split_first_chunk::<1>() else { return Err(DoesNotOpen) };
        let Some((nonce, message)) = rest.split_first_chunk::<NONCE>() else { return Err(DoesNotOpen) };
        let associated = associated_data(seat);
        let payload = Payload { msg: message, aad: &associated };
        self.cipher(seat).decrypt(&XNonce::from(*nonce), payload).map(Zeroizing::new).map_err(|_| DoesNotOpen)
    }

    fn cipher(&self, seat: Seat<'_>) -> XChaCha20Poly1305 {
        let mut key = Zeroizing::new([0; 32]);
        let info = [seat.table.as_bytes(), &[0], seat.row.0.as_bytes()];
        // 32 bytes are always within what HKDF-SHA-256 expands to.
        let expanded = Hkdf::<Sha256>::new(None, self.master.expose_secret()).expand_multi_info(&info, &mut *key);
        debug_assert!(expanded.is_ok());
        XChaCha20Poly1305::new(&(*key).into())
    }
}

fn associated_data(seat: Seat<'_>) -> Vec<u8> {
    [seat.table.as_bytes(), &[0], seat.row.0.as_bytes(), &[0], seat.column.as_bytes()].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seat(column: &str) -> Seat<'_> {
        Seat { table: "credentials", row: Uid(uuid::Uuid::from_u128(7)), column }
    }

    #[test]
    fn a_sealed_value_opens_in_its_own_seat_with_its_own_key_only() {
        let sealer = Sealer::new([1; 32]);
        let sealed = sealer.seal(seat("sealed"), b"hunter2").unwrap();
        assert_eq!(&**sealer.open(seat("sealed"), &sealed).unwrap(), b"hunter2");
        assert!(!sealed.windows(7).any(|window| window == b"hunter2"));

        assert_eq!(sealer.open(seat("other"), &sealed).err(), Some(DoesNotOpen));
        let elsewhere = Seat { row: Uid(uuid::Uuid::from_u128(8)), ..seat("sealed") };
        assert_eq!(sealer.open(elsewhere, &sealed).err(), Some(DoesNotOpen));
        assert_eq!(Sealer::new([2; 32]).open(seat("sealed"), &sealed).err(), Some(DoesNotOpen));
    }

    #[test]
    fn damaged_and_cut_values_are_refused() {
        let sealer = Sealer::new([1; 32]);
        let sealed = sealer.seal(seat("sealed"), b"").unwrap();
        for cut in 0..sealed.len() {
            assert_eq!(sealer.open(seat("sealed"), &sealed[..cut]).err(), Some(DoesNotOpen));
        }
        for at in 0..sealed.len() {
            let mut damaged = sealed.clone();
            damaged[at] ^= 1;
            assert_eq!(sealer.open(seat("sealed"), &damaged).err(), Some(DoesNotOpen));
        }
    }

    #[test]
    fn the_key_is_in_no_debug_output() {
        assert!(!format!("{:?}", Sealer::new([0xAB; 32])).contains("171"));
    }
}
