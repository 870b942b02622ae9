//! Registration by those who know a secret of the server's, as administrators' scripts do it: a nonce, and an HMAC over it
//! and the wanted account. The endpoint, `/_synapse/admin/v1/register`, is in `admin`.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use base::{Secret, SharedClock, SharedRandom, random};
use hmac::{Hmac, KeyInit, Mac};
use sha1::Sha1;

use crate::{Error, Refusal, Users};

const LIFETIME: Duration = Duration::from_secs(60);
const MOST: usize = 1024;

/// An account that somebody wants to create by the shared secret.
#[derive(Debug, Clone)]
pub struct SharedSecretAsk<'a> {
    /// The nonce that they were given.
    pub nonce: &'a str,
    /// The wanted name.
    pub username: &'a str,
    /// Its password.
    pub password: &'a Secret,
    /// Whether its owner shall administer this server.
    pub admin: bool,
    /// What kind of user it is, if they said so.
    pub user_type: Option<&'a str>,
    /// The HMAC-SHA1 over all that, in hexadecimal.
    pub mac: &'a str,
}

/// Nonces that have been given out.
pub(crate) struct Nonces {
    clock: SharedClock,
    random: SharedRandom,
    given: Mutex<HashMap<String, Duration>>,
}

impl Nonces {
    pub(crate) fn new(clock: SharedClock, random: SharedRandom) -> Self {
        Self {
            clock,
            random,
            given: Mutex::default(),
        }
    }
}

impl Users {
    /// A nonce, good for one registration within a minute.
    ///
    /// # Errors
    /// If too many have been asked for.
    pub fn registration_nonce(&self) -> Result<String, Error> {
        let nonces = &self.inner.nonces;
        let now = nonces.clock.monotonic();
        let mut given = nonces.given.lock().unwrap_or_else(PoisonError::into_inner);
        given.retain(|_, expires| now < *expires);
        if given.len() >= MOST {
            return Err(Error::LimitExceeded {
                retry_after: LIFETIME,
            });
        }
        let nonce = random::token(&*nonces.random, 64);
        given.insert(nonce.clone(), now + LIFETIME);
        Ok(nonce)
    }

    /// Checks that whoever asks knows the secret. The nonce is used up either way.
    ///
    /// # Errors
    /// If the nonce is unknown, used or expired, or the MAC is not right.
    pub fn check_shared_secret(
        &self,
        secret: &Secret,
        ask: &SharedSecretAsk<'_>,
    ) -> Result<(), Error> {
        let nonces = &self.inner.nonces;
        let now = nonces.clock.monotonic();
        let expires = nonces
            .given
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(ask.nonce);
        if expires.is_none_or(|expires| expires <= now) {
            return Err(Error::InvalidParam("unrecognised nonce".to_owned()));
        }
        let sent = from_hex(ask.mac).ok_or(Error::Forbidden(Refusal::Mac))?;
        let mac = mac(secret, ask)?;
        mac.verify_slice(&sent)
            .map_err(|_| Error::Forbidden(Refusal::Mac))
    }
}

fn mac(secret: &Secret, ask: &SharedSecretAsk<'_>) -> Result<Hmac<Sha1>, Error> {
    let mut mac = Hmac::<Sha1>::new_from_slice(secret.expose().as_bytes())
        .map_err(|_| Error::Bug("a key that HMAC refuses"))?;
    let admin: &str = if ask.admin { "admin" } else { "notadmin" };
    let parts = [
        Some(ask.nonce),
        Some(ask.username),
        Some(ask.password.expose().as_str()),
        Some(admin),
        ask.user_type,
    ];
    for (place, part) in parts.into_iter().flatten().enumerate() {
        if place > 0 {
            mac.update(b"\0");
        }
        mac.update(part.as_bytes());
    }
    Ok(mac)
}

fn from_hex(text: &str) -> Option<Vec<u8>> {
    if !text.is_ascii() || !text.len().is_multiple_of(2) {
        return None;
    }
    text.as_bytes()
        .chunks(2)
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mac_is_the_one_that_scripts_compute() {
        // printf 'abc\0bob\0pass\0notadmin' | openssl dgst -sha1 -hmac secret
        let (password, secret) = (
            Secret::from("pass".to_owned()),
            Secret::from("secret".to_owned()),
        );
        let ask = SharedSecretAsk {
            nonce: "abc",
            username: "bob",
            password: &password,
            admin: false,
            user_type: None,
            mac: "",
        };
        let computed = mac(&secret, &ask).unwrap().finalize().into_bytes();
        let hex: String = computed.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(hex, "132fa534ec749e7c55193bb4884eb07a6d7f6d37");
    }
}
