//! The keys of other servers (server-server API, *Retrieving server keys*): what is known of them, gathering what is not, and our own as others see them.
//!
//! What a document must satisfy is in `document.rs`, what is learnt from one in `known.rs`, where they are fetched in `fetch.rs`, what we answer as a
//! notary in `notary.rs`. Which keys an event needs is the business of whoever checks it.

mod document;
mod fetch;
mod known;
mod notary;
mod own;
mod ring;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use base::{SharedClock, Timestamp};
use futures_util::stream::{self, StreamExt};
use quick_cache::sync::Cache;
use ruma::{OwnedServerName, ServerName};
use store::{Store, tables};
use tokio::time::{Instant, timeout_at};

use crate::asker::Asker;
use crate::error::{Error, Result};
use crate::trace::Step;
use fetch::Fetches;
use known::Known;
use own::OwnKeys;

pub use notary::KeyQuery;
pub use own::OldKey;
pub use ring::KeyRing;

/// Of how many servers the keys are kept in memory. One costs about 300 bytes.
const IN_MEMORY: usize = 10_000;
/// How many servers are asked for their keys at once.
const AT_ONCE: usize = 32;
/// How long keys are gathered; what has not come by then is missing.
const GATHERING: Duration = Duration::from_secs(60);
/// How long a request waits for the key that it is signed with.
const FOR_REQUEST: Duration = Duration::from_secs(15);
/// If the keys of more servers than this are missing, notaries are asked first, for many at once: in an old room most of them no longer answer.
const NOTARIES_FIRST: usize = 8;

/// A key that is needed to check something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// Whose.
    pub server: OwnedServerName,
    /// Its name, `ed25519:…`.
    pub key_id: String,
    /// When it was used, in milliseconds since 1970: it should be known to be valid then.
    pub at: u64,
}

/// Keys of one server: by name, when each was used last.
type Uses = BTreeMap<String, u64>;

/// The keys of servers. Clones share what they know.
#[derive(Clone)]
pub struct Keys {
    inner: Arc<Inner>,
}

struct Inner {
    asker: Arc<Asker>,
    own: Arc<OwnKeys>,
    refused: Arc<HashSet<String>>,
    notaries: Vec<OwnedServerName>,
    memory: Cache<OwnedServerName, Arc<Known>>,
    fetches: Fetches,
    store: Store,
    clock: SharedClock,
}

impl Keys {
    pub(crate) fn new(
        asker: Arc<Asker>,
        old: Vec<OldKey>,
        refused: HashSet<String>,
        notaries: Vec<OwnedServerName>,
        store: Store,
    ) -> Self {
        let clock = asker.clock.clone();
        let inner = Inner {
            own: Arc::new(OwnKeys::new(asker.own.clone(), old, clock.clone())),
            asker,
            refused: Arc::new(refused),
            notaries,
            memory: Cache::new(IN_MEMORY),
            fetches: Fetches::new(),
            store,
            clock,
        };
        Self {
            inner: Arc::new(inner),
        }
    }

    /// The signed document with our own keys, as `/_matrix/key/v2/server` answers it.
    ///
    /// # Errors
    /// Only if our own name or key is none.
    pub fn own_document(&self) -> Result<String> {
        self.inner.own.document()
    }

    /// Gathers keys: what is known, and for the rest the servers themselves and then the notaries are asked. A key that is not to be had, or not in
    /// time, is absent from what is returned; one of which only an older validity is known is there with that.
    pub async fn gather(&self, wanted: impl IntoIterator<Item = Wanted>) -> KeyRing {
        self.gather_until(wanted, Instant::now() + GATHERING).await
    }

    /// The key that a request is signed with; somebody waits for it.
    pub(crate) async fn gather_for_request(&self, wanted: Wanted) -> KeyRing {
        self.gather_until([wanted], Instant::now() + FOR_REQUEST)
            .await
    }

    async fn gather_until(
        &self,
        wanted: impl IntoIterator<Item = Wanted>,
        deadline: Instant,
    ) -> KeyRing {
        let wanted = self.by_server(wanted);
        let missing = self.missing(&wanted);
        if !missing.is_empty() {
            let fetching = self.fetch(missing);
            if timeout_at(deadline, fetching).await.is_err() {
                tracing::debug!("not all keys came in time");
            }
        }
        let known = wanted
            .into_keys()
            .filter_map(|server| Some((server.clone(), self.known(&server)?)));
        KeyRing {
            known: known.collect(),
            own: self.inner.own.clone(),
            refused: self.inner.refused.clone(),
        }
    }

    fn by_server(
        &self,
        wanted: impl IntoIterator<Item = Wanted>,
    ) -> HashMap<OwnedServerName, Uses> {
        let mut by_server: HashMap<OwnedServerName, Uses> = HashMap::new();
        for Wanted { server, key_id, at } in wanted {
            if server != *self.inner.own.server_name() {
                let latest = by_server
                    .entry(server)
                    .or_default()
                    .entry(key_id)
                    .or_insert(at);
                *latest = at.max(*latest);
            }
        }
        by_server
    }

    /// The servers of which something is wanted that a newer document might tell.
    fn missing(&self, wanted: &HashMap<OwnedServerName, Uses>) -> Vec<(OwnedServerName, Uses)> {
        wanted
            .iter()
            .filter_map(|(server, uses)| {
                let known = self.known(server).unwrap_or_default();
                let missing: Uses = uses
                    .iter()
                    .filter(|(key_id, at)| !known.settles(key_id, **at))
                    .map(|(key_id, at)| (key_id.clone(), *at))
                    .collect();
                (!missing.is_empty()).then(|| (server.clone(), missing))
            })
            .collect()
    }

    async fn fetch(&self, mut missing: Vec<(OwnedServerName, Uses)>) {
        if missing.len() > NOTARIES_FIRST {
            self.ask_notaries(&missing).await;
            missing = self.missing(&missing.into_iter().collect());
        }
        stream::iter(&missing)
            .for_each_concurrent(AT_ONCE, |(server, uses)| self.ask_server(server, uses))
            .await;
        missing = self.missing(&missing.into_iter().collect());
        if !missing.is_empty() {
            self.ask_notaries(&missing).await;
        }
    }

    /// Fetches a server's document and says what came of it.
    pub(crate) async fn examine(&self, server: &ServerName) -> Step {
        if let Err(error) = self.fetch_document(server).await {
            return Step::failed(format!("Its keys cannot be fetched: {error}."));
        }
        let now = self.inner.clock.now().millis();
        let known = self.known(server).unwrap_or_default();
        let names = known.current(now).join(", ");
        if names.is_empty() {
            return Step::failed("It publishes keys, none of which is valid now.");
        }
        let until = Timestamp::from_millis(known.trusted_until());
        Step::good(format!("It signs with {names}, valid until {until}."))
    }

    /// What is known of a server's keys.
    fn known(&self, server: &ServerName) -> Option<Arc<Known>> {
        if let Some(known) = self.inner.memory.get(server) {
            return Some(known);
        }
        let row = self
            .inner
            .store
            .read_inline(|snapshot| snapshot.get(tables::SERVER_KEYS, server.as_str()));
        match row {
            Ok(row) => {
                let known = Arc::new(Known::from_row(row?));
                self.inner.memory.insert(server.to_owned(), known.clone());
                Some(known)
            }
            Err(error) => {
                tracing::error!(%server, %error, "cannot read a server's keys");
                None
            }
        }
    }

    /// Takes in a document, whoever it came from, and keeps it.
    async fn learn(&self, document: document::Document) -> Result<()> {
        let server = document.server.clone();
        let now = self.inner.clock.now().millis();
        let key = server.clone();
        let (known, _) = self
            .inner
            .store
            .write(move |tx| {
                let row = tx.get_for_update(tables::SERVER_KEYS, key.as_str())?;
                let mut known = row.map(Known::from_row).unwrap_or_default();
                known.learn(document.clone(), now);
                tx.put(tables::SERVER_KEYS, key.as_str(), &known.to_row())?;
                Ok::<_, Error>(known)
            })
            .await?;
        self.inner.memory.insert(server, Arc::new(known));
        Ok(())
    }
}

impl std::fmt::Debug for Keys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Keys")
    }
}
