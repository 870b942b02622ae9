//! Randomness, as a value that is passed in: the operating system's for everything real, a seeded one for tests.

use std::sync::{Arc, Mutex, PoisonError};

use rand::rngs::{StdRng, SysRng};
use rand::{Rng, SeedableRng, TryRng};

/// A source of random bytes, good enough for keys and tokens.
pub trait Random: Send + Sync + 'static {
    /// Fills `buf` with random bytes.
    fn fill(&self, buf: &mut [u8]);
}

/// The randomness that everybody holds.
pub type SharedRandom = Arc<dyn Random>;

/// The operating system's randomness.
#[derive(Clone, Copy, Debug, Default)]
pub struct OsRandom;

impl OsRandom {
    /// The operating system's randomness, ready to be handed around.
    #[must_use]
    pub fn shared() -> SharedRandom {
        Arc::new(Self)
    }
}

impl Random for OsRandom {
    #[expect(
        clippy::panic,
        reason = "without randomness no key or token may be made; going on would be worse than stopping the request"
    )]
    fn fill(&self, buf: &mut [u8]) {
        if let Err(error) = SysRng.try_fill_bytes(buf) {
            panic!("the operating system gives no random bytes: {error}");
        }
    }
}

/// Repeatable randomness, for tests only. Clones continue the same sequence.
#[derive(Clone, Debug)]
pub struct SeededRandom(Arc<Mutex<StdRng>>);

impl SeededRandom {
    /// The sequence that belongs to `seed`.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self(Arc::new(Mutex::new(StdRng::seed_from_u64(seed))))
    }

    /// This sequence, ready to be handed around.
    #[must_use]
    pub fn shared(&self) -> SharedRandom {
        Arc::new(self.clone())
    }
}

impl Random for SeededRandom {
    fn fill(&self, buf: &mut [u8]) {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .fill_bytes(buf);
    }
}

const ALPHABET: &[u8; 62] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";

/// A random word of `len` characters from `[A-Za-z0-9]`, each worth 5.95 bits: 27 of them make the 160 bits of an access token.
#[must_use]
pub fn token(random: &dyn Random, len: usize) -> String {
    let mut word = String::with_capacity(len);
    let mut bytes = [0_u8; 64];
    while word.len() < len {
        random.fill(&mut bytes);
        // Values from 248 on are thrown away: 248 is the largest multiple of 62 in a byte, so that all characters stay equally likely.
        let fresh = bytes
            .iter()
            .filter(|&&byte| byte < 248)
            .filter_map(|&byte| ALPHABET.get(usize::from(byte % 62)));
        word.extend(fresh.take(len - word.len()).map(|&byte| char::from(byte)));
    }
    word
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_have_the_length_and_alphabet_promised() {
        for len in [0, 1, 27, 500] {
            let word = token(&OsRandom, len);
            assert_eq!(word.len(), len);
            assert!(word.bytes().all(|byte| byte.is_ascii_alphanumeric()));
        }
    }

    #[test]
    fn every_character_is_equally_likely() {
        let word = token(&SeededRandom::new(1), 62_000);
        for &letter in ALPHABET {
            let seen = word.bytes().filter(|&byte| byte == letter).count();
            assert!(
                (850..1150).contains(&seen),
                "{} came {seen} times in 62,000",
                char::from(letter)
            );
        }
    }

    #[test]
    fn a_seed_repeats_itself_and_the_system_does_not() {
        assert_eq!(
            token(&SeededRandom::new(7), 40),
            token(&SeededRandom::new(7), 40)
        );
        assert_ne!(token(&OsRandom, 40), token(&OsRandom, 40));
    }
}
