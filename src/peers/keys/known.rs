//! What is known of the keys of one server, and what a new document changes about it.

use std::collections::BTreeMap;

use event::canonical;
use event::limits::KEY_TRUST_MILLIS;
use event::rules::Json;
use event::sign::{PublicKey, VerifyKey};
use ruma::ServerName;
use store::rows::peers::{ServerKeyRow, ServerKeysRow};

use super::document::{Document, KEYS, is_signed};

/// The keys of a server.
#[derive(Debug, Clone, Default)]
pub(crate) struct Known {
    keys: BTreeMap<String, Key>,
    /// The last document, its time of fetching, and until when it says to be valid.
    pub(crate) document: Option<String>,
    pub(crate) fetched: u64,
    pub(crate) valid_until: u64,
}

#[derive(Debug, Clone, Copy)]
struct Key {
    key: PublicKey,
    until: u64,
    old: bool,
    fetched: u64,
}

impl Key {
    fn good_until(&self) -> u64 {
        trusted_until(self.until, self.fetched)
    }

    fn ready(&self) -> VerifyKey {
        if self.old {
            VerifyKey::old(self.key, self.until)
        } else {
            VerifyKey::current(self.key, self.until, self.fetched)
        }
    }
}

impl Known {
    pub(crate) fn from_row(row: ServerKeysRow) -> Self {
        let keys = row.keys.into_iter().filter_map(|row| {
            let key = Key {
                key: PublicKey::from_base64(&row.key).ok()?,
                until: row.until,
                old: row.old,
                fetched: row.fetched,
            };
            Some((row.key_id, key))
        });
        Self {
            keys: keys.collect(),
            document: row.document,
            fetched: row.fetched,
            valid_until: row.valid_until,
        }
    }

    pub(crate) fn to_row(&self) -> ServerKeysRow {
        let keys = self.keys.iter().map(|(key_id, key)| ServerKeyRow {
            key_id: key_id.clone(),
            key: key.key.to_base64(),
            until: key.until,
            old: key.old,
            fetched: key.fetched,
        });
        ServerKeysRow {
            keys: keys.collect(),
            document: self.document.clone(),
            fetched: self.fetched,
            valid_until: self.valid_until,
        }
    }

    /// The key, whatever it may still be good for.
    pub(crate) fn key(&self, key_id: &str) -> Option<VerifyKey> {
        self.keys.get(key_id).map(Key::ready)
    }

    /// Whether a newer document could not tell more about this key at this time.
    pub(crate) fn settles(&self, key_id: &str, at: u64) -> bool {
        self.keys
            .get(key_id)
            .is_some_and(|key| key.old || key.ready().is_current_at(at))
    }

    /// Takes in a document that was fetched at `now`. A key that is known keeps its name: what another key of that name signs is not its server's.
    /// A key that is no longer mentioned stays good until when it was. A document that is older than the one we have tells nothing new.
    pub(crate) fn learn(&mut self, document: Document, now: u64) {
        for published in document.keys {
            let fresh = Key {
                key: published.key,
                until: published.expired.unwrap_or(document.valid_until),
                old: published.expired.is_some(),
                fetched: now,
            };
            match self.keys.get_mut(&published.key_id) {
                None => {
                    self.keys.insert(published.key_id, fresh);
                }
                Some(known) if known.key != fresh.key => {
                    tracing::warn!(server = %document.server, key = published.key_id, "a server publishes another key under a known name");
                }
                // Out of use is out of use, whatever an older document says.
                Some(known) if known.old => {
                    if fresh.old {
                        known.until = known.until.min(fresh.until);
                    }
                }
                Some(known) if fresh.old || fresh.good_until() >= known.good_until() => {
                    *known = fresh;
                }
                Some(_) => {}
            }
        }
        self.shorten();
        if trusted_until(document.valid_until, now) >= self.trusted_until() {
            self.document = Some(document.json);
            self.valid_until = document.valid_until;
            self.fetched = now;
        }
    }

    /// The names of the keys that are valid now.
    pub(crate) fn current(&self, now: u64) -> Vec<&str> {
        let current = |key: &Key| key.ready().is_current_at(now);
        let keys = self.keys.iter().filter(|(_, key)| current(key));
        keys.map(|(key_id, _)| key_id.as_str()).collect()
    }

    /// Whether the server, with a key that is valid now, has signed this.
    pub(crate) fn vouches(&self, server: &ServerName, json: &str, now: u64) -> bool {
        let Ok(object) = canonical::parse_object(json, Json::Strict) else {
            return false;
        };
        is_signed(&object, server, |key_id| {
            let key = self.key(key_id)?;
            key.is_current_at(now).then(|| key.public())
        })
    }

    /// Until when the document may be believed.
    pub(crate) fn trusted_until(&self) -> u64 {
        trusted_until(self.valid_until, self.fetched)
    }

    /// Forgets the oldest keys when there are too many.
    fn shorten(&mut self) {
        while self.keys.len() > KEYS {
            let oldest = self.keys.iter().min_by_key(|(_, key)| key.until);
            let Some(oldest) = oldest.map(|(key_id, _)| key_id.clone()) else {
                return;
            };
            self.keys.remove(&oldest);
        }
    }
}

/// A document is never believed longer than a week after it was fetched, whatever it says of itself.
fn trusted_until(valid_until: u64, fetched: u64) -> u64 {
    valid_until.min(fetched.saturating_add(KEY_TRUST_MILLIS))
}
