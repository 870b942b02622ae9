//! What we answer as a notary: other servers' documents with our signature added (server-server API, *Querying Keys Through Another Server*).

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::stream::{self, StreamExt};
use ruma::{OwnedServerName, ServerName};
use serde_json::value::RawValue;
use tokio::time::{Instant, timeout_at};

use super::{Keys, Uses, document};
use crate::error::Result;

/// About how many servers one question may be; the rest is not looked at.
const SERVERS: usize = 100;
/// How many of them are asked at once.
const AT_ONCE: usize = 8;
/// How long servers are asked before the question is answered with what there is.
const PATIENCE: Duration = Duration::from_secs(20);

/// What somebody wants to know from us about the keys of one server.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct KeyQuery {
    /// Which keys, and until when each should be valid at least, in milliseconds since 1970; all of them, until now, if empty.
    pub keys: BTreeMap<String, Option<u64>>,
}

impl Keys {
    /// The documents of these servers, each signed by its server and by us. Servers that cannot be asked are answered for from what they published
    /// last; those that are not known at all are left out.
    ///
    /// # Errors
    /// Only if our own document cannot be made.
    pub async fn as_notary(
        &self,
        queries: BTreeMap<OwnedServerName, KeyQuery>,
    ) -> Result<Vec<Box<RawValue>>> {
        let deadline = Instant::now() + PATIENCE;
        let answers: Vec<Result<Option<String>>> = stream::iter(queries)
            .take(SERVERS)
            .map(|(server, query)| async move { self.notarised(&server, &query, deadline).await })
            .buffered(AT_ONCE)
            .collect()
            .await;
        let mut documents = Vec::new();
        for answer in answers {
            // What we have signed is JSON.
            documents.extend(answer?.and_then(|json| RawValue::from_string(json).ok()));
        }
        Ok(documents)
    }

    async fn notarised(
        &self,
        server: &ServerName,
        query: &KeyQuery,
        deadline: Instant,
    ) -> Result<Option<String>> {
        if server == self.inner.own.server_name() {
            return self.own_document().map(Some);
        }
        let now = self.inner.clock.now().millis();
        let uses: Uses = query
            .keys
            .iter()
            .map(|(key_id, until)| (key_id.clone(), until.unwrap_or(now)))
            .collect();
        // Not in time: what the server published last will do.
        let _ = timeout_at(deadline, self.ask_server(server, &uses)).await;
        let document = self.known(server).and_then(|known| known.document.clone());
        let object = document.and_then(|document| document::object(&document));
        object.map(|object| self.inner.own.sign(object)).transpose()
    }
}
