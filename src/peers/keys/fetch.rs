//! Fetching key documents: from the server itself, or from notaries that vouch for having seen them (server-server API, *Retrieving server keys*).
//!
//! One server is asked once at a time, however many wait for it, and not again before a pause that grows while it fails: a stranger who names a server
//! that does not exist costs one question, not one for each request.

use std::time::Duration;

use futures_util::stream::{self, StreamExt};
use quick_cache::sync::Cache;
use ruma::{OwnedServerName, ServerName};
use serde_json::{Map, Value, json};
use tokio::sync::Semaphore;

use super::document::{Document, Documents, subject};
use super::{Keys, Uses};
use crate::ask::{Ask, Patience};
use crate::error::{Error, Result};
use crate::turns::Turns;

/// How long a document may be: 256 keys fit in a tenth of it.
const DOCUMENT_BYTES: usize = 256 << 10;
/// How long a notary's answer may be.
const NOTARY_BYTES: usize = 8 << 20;
/// How many servers a notary is asked about at once.
const BATCH: usize = 50;
/// How many batches are under way with one notary at once.
const BATCHES: usize = 4;
/// How many documents of one server a notary may send: it may have kept several.
const DOCUMENTS_EACH: usize = 8;
/// How many servers are asked for their keys at once, by all who want some.
const AT_ONCE: usize = 128;
/// How long a server is not asked again after it has answered.
const PAUSE: Duration = Duration::from_secs(30);
/// How long it is not asked again after a failure; doubled by each further one.
const FIRST_PAUSE: Duration = Duration::from_secs(10);
/// And at most.
const LONGEST_PAUSE: Duration = Duration::from_secs(60 * 60);
/// Of how many servers it is remembered when they were asked. One costs about 100 bytes.
const REMEMBERED: usize = 20_000;

/// Who is being asked, and who was asked lately.
pub(super) struct Fetches {
    turns: Turns<OwnedServerName>,
    pauses: Cache<OwnedServerName, Pause>,
    limit: Semaphore,
}

/// When a server may be asked again, by monotonic time.
#[derive(Clone, Copy)]
struct Pause {
    failures: u32,
    until: Duration,
}

impl Fetches {
    pub(super) fn new() -> Self {
        Self {
            turns: Turns::default(),
            pauses: Cache::new(REMEMBERED),
            limit: Semaphore::new(AT_ONCE),
        }
    }

    fn paused(&self, server: &ServerName, now: Duration) -> bool {
        self.pauses
            .get(server)
            .is_some_and(|pause| now < pause.until)
    }

    fn note(&self, server: &ServerName, failed: bool, now: Duration) {
        let failures = self.pauses.get(server).map_or(0, |pause| pause.failures);
        let (failures, pause) = if failed {
            let factor = 2_u32.saturating_pow(failures.min(16));
            (
                failures.saturating_add(1),
                FIRST_PAUSE.saturating_mul(factor).min(LONGEST_PAUSE),
            )
        } else {
            (0, PAUSE)
        };
        let until = now + pause;
        self.pauses
            .insert(server.to_owned(), Pause { failures, until });
    }
}

impl Keys {
    /// Asks a server for its own keys, unless somebody just did. Without particular uses, a document that is still valid is wanted.
    pub(super) async fn ask_server(&self, server: &ServerName, uses: &Uses) {
        let fetches = &self.inner.fetches;
        let _turn = fetches.turns.take(server.to_owned()).await;
        let now = self.inner.clock.now().millis();
        let settled = self.known(server).is_some_and(|known| {
            let settled = uses.iter().all(|(key_id, at)| known.settles(key_id, *at));
            settled && (!uses.is_empty() || known.trusted_until() > now)
        });
        if settled || fetches.paused(server, self.inner.clock.monotonic()) {
            return;
        }
        // The semaphore is never closed.
        let _limit = fetches.limit.acquire().await;
        let fetched = self.fetch_document(server).await;
        fetches.note(server, fetched.is_err(), self.inner.clock.monotonic());
        if let Err(error) = fetched {
            tracing::debug!(%server, %error, "a server's keys cannot be fetched");
        }
    }

    /// Fetches and keeps the document of a server. The server is asked even if it failed lately: a request of its own may be what needs the key.
    pub(crate) async fn fetch_document(&self, server: &ServerName) -> Result<()> {
        let ask = Ask::get("/_matrix/key/v2/server")
            .unsigned()
            .insisting()
            .patience(Patience::quick().bytes(DOCUMENT_BYTES));
        let body = self.inner.asker.ask(server, ask).await?;
        let malformed = |why: String| Error::Malformed {
            server: server.to_owned(),
            why: format!("its key document: {why}"),
        };
        let text = std::str::from_utf8(&body).map_err(|error| malformed(error.to_string()))?;
        let document = Document::check(text, server, &self.inner.refused).map_err(malformed)?;
        self.learn(document).await
    }

    /// Asks the notaries, one after the other, for what is missing.
    pub(super) async fn ask_notaries(&self, missing: &[(OwnedServerName, Uses)]) {
        for notary in &self.inner.notaries {
            let open: Vec<_> = missing
                .iter()
                .filter(|(server, uses)| {
                    let known = self.known(server).unwrap_or_default();
                    server != notary && uses.iter().any(|(key_id, at)| !known.settles(key_id, *at))
                })
                .collect();
            if open.is_empty() || *notary == self.inner.asker.own.server_name {
                continue;
            }
            stream::iter(open.chunks(BATCH))
                .for_each_concurrent(BATCHES, |batch| async move {
                    if let Err(error) = self.ask_notary(notary, batch).await {
                        tracing::debug!(%notary, %error, "a notary does not help");
                    }
                })
                .await;
        }
    }

    async fn ask_notary(
        &self,
        notary: &ServerName,
        batch: &[&(OwnedServerName, Uses)],
    ) -> Result<()> {
        let mut servers = Map::new();
        for (server, uses) in batch {
            let criteria = uses
                .iter()
                .map(|(key_id, at)| (key_id.clone(), json!({ "minimum_valid_until_ts": at })));
            servers.insert(server.to_string(), Value::Object(criteria.collect()));
        }
        let body = json!({ "server_keys": servers }).to_string();
        let ask = Ask::post("/_matrix/key/v2/query", body)
            .patience(Patience::default().bytes(NOTARY_BYTES));
        let answer: Documents = self.inner.asker.ask_json(notary, ask).await?;
        self.ask_server(notary, &Uses::new()).await;
        for document in answer.server_keys.iter().take(BATCH * DOCUMENTS_EACH) {
            if let Some(document) = self.vouched_for(notary, document.get(), batch) {
                self.learn(document).await?;
            }
        }
        Ok(())
    }

    /// The document, if it is one that was asked for, signed by its server and by the notary.
    fn vouched_for(
        &self,
        notary: &ServerName,
        json: &str,
        batch: &[&(OwnedServerName, Uses)],
    ) -> Option<Document> {
        let server = subject(json)?;
        if !batch.iter().any(|(asked, _)| *asked == server) {
            return None;
        }
        let known = self.known(notary)?;
        if !known.vouches(notary, json, self.inner.clock.now().millis()) {
            tracing::warn!(%notary, %server, "a notary sends keys that it has not signed");
            return None;
        }
        match Document::check(json, &server, &self.inner.refused) {
            Ok(document) => Some(document),
            Err(error) => {
                tracing::debug!(%notary, %server, error, "a notary sends keys that are none");
                None
            }
        }
    }
}
