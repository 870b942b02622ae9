//! The handle that everybody holds: asking, keys, back-off.

use std::sync::Arc;

use base::config::FederationConfig;
use base::{SharedClock, SharedRandom};
use bytes::Bytes;
use event::KeyPair;
use event::sign::PublicKey;
use ruma::ServerName;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use store::Store;

use crate::ask::Ask;
use crate::asker::{Asker, Reply};
use crate::backoff::{Backoff, Failure};
use crate::error::{Error, Result};
use crate::keys::{Keys, OldKey};
use crate::own_key::OwnKey;
use crate::trace::Step;
use crate::transport::Transport;

/// Everything that asking other servers needs.
pub struct Needs {
    /// The section of the configuration.
    pub config: FederationConfig,
    /// Who we are.
    pub own: OwnKey,
    /// Keys that we signed with in the past, besides those in the configuration.
    pub old_keys: Vec<OldKey>,
    /// Where keys and failures are kept.
    pub store: Store,
    /// What time it is.
    pub clock: SharedClock,
    /// Spreads what would otherwise happen at the same moment.
    pub random: SharedRandom,
    /// The way to other servers.
    pub transport: Arc<dyn Transport>,
}

/// Other servers, to be asked. Clones are handles of the same.
#[derive(Clone)]
pub struct Peers {
    asker: Arc<Asker>,
    keys: Keys,
}

impl Peers {
    /// Puts it together.
    ///
    /// # Errors
    /// If something in the configuration makes no sense, or the store cannot be read.
    pub fn new(needs: Needs) -> Result<Self> {
        let Needs {
            config,
            own,
            mut old_keys,
            store,
            clock,
            random,
            transport,
        } = needs;
        for line in &config.old_keys {
            old_keys.push(OldKey::parse(line).map_err(configuration("old_keys"))?);
        }
        // What we sign with now is not old, whatever the configuration says.
        old_keys.retain(|old| old.key_id != own.key.id());
        // Of a key that is listed twice, the first end of its use counts.
        old_keys
            .sort_by(|one, other| (&one.key_id, one.expired).cmp(&(&other.key_id, other.expired)));
        old_keys.dedup_by(|later, first| later.key_id == first.key_id);
        let refused = config.refused_keys.iter().map(|key| {
            PublicKey::from_base64(key)
                .map(PublicKey::to_base64)
                .map_err(|error| configuration("refused_keys")(format!("{key:?}: {error}")))
        });
        let notaries = config.notaries.iter().map(|name| {
            ServerName::parse(name)
                .map_err(|error| configuration("notaries")(format!("{name:?}: {error}")))
        });
        let backoff = Backoff::new(store.clone(), clock.clone(), random)?;
        let how = (config.enabled, config.request_time.duration());
        let asker = Arc::new(Asker::new(own, how, transport, backoff, clock));
        let keys = Keys::new(
            asker.clone(),
            old_keys,
            refused.collect::<Result<_>>()?,
            notaries.collect::<Result<_>>()?,
            store,
        );
        Ok(Self { asker, keys })
    }

    /// Other servers as somebody asks them who keeps nothing and signs nothing: with a key of the moment, and a memory that goes with it. For
    /// commands that look at a server from outside.
    ///
    /// # Errors
    /// As [`Peers::new`].
    pub fn passing(
        name: &ServerName,
        config: &FederationConfig,
        transport: Arc<dyn Transport>,
        clock: SharedClock,
        random: SharedRandom,
    ) -> Result<Self> {
        let mut seed = [0; 32];
        random.fill(&mut seed);
        Self::new(Needs {
            config: config.clone(),
            own: OwnKey::new(
                name,
                KeyPair::from_seed(&seed, "passing").map_err(Error::Unsignable)?,
            ),
            old_keys: Vec::new(),
            store: Store::memory(),
            clock,
            random,
            transport,
        })
    }

    /// Our own name.
    #[must_use]
    pub fn server_name(&self) -> &ServerName {
        &self.asker.own.server_name
    }

    /// Our own name and key.
    #[must_use]
    pub fn own(&self) -> &OwnKey {
        &self.asker.own
    }

    /// Whether this server speaks with others at all.
    #[must_use]
    pub fn is_enabled(&self) -> bool {
        self.asker.enabled
    }

    /// Asks a server and gives the whole body of an answer that says yes.
    ///
    /// # Errors
    /// [`Error::Answered`] if the server says no, and otherwise what kept it from answering.
    pub async fn ask(&self, server: &ServerName, ask: Ask) -> Result<Bytes> {
        self.asker.ask(server, ask).await
    }

    /// As [`Peers::ask`], with the answer read as JSON.
    ///
    /// # Errors
    /// As [`Peers::ask`], and [`Error::Malformed`] if the answer is not what was expected.
    pub async fn ask_json<T: DeserializeOwned>(&self, server: &ServerName, ask: Ask) -> Result<T> {
        self.asker.ask_json(server, ask).await
    }

    /// As [`Peers::ask`], returning with the head of the answer: its body is read as it arrives, within the same bounds.
    ///
    /// # Errors
    /// As [`Peers::ask`]; the stream ends after its first error.
    pub async fn ask_stream(&self, server: &ServerName, ask: Ask) -> Result<Reply> {
        self.asker.open(server, ask).await
    }

    /// Which servers do not answer.
    #[must_use]
    pub fn backoff(&self) -> &Backoff {
        &self.asker.backoff
    }

    /// The keys of servers.
    #[must_use]
    pub fn keys(&self) -> &Keys {
        &self.keys
    }

    /// How asking a server has failed, if it has.
    #[must_use]
    pub fn status(&self, server: &ServerName) -> Option<Failure> {
        self.backoff().failure(server)
    }

    /// How a server is found and whether it answers, step by step. The last step says whether we can speak with it.
    pub async fn examine(&self, server: &ServerName) -> Vec<Step> {
        let mut steps = self.asker.transport.explain(server).await;
        let version = Ask::get("/_matrix/federation/v1/version")
            .unsigned()
            .insisting();
        steps.push(match self.ask_json::<Version>(server, version).await {
            Ok(Version { server: Some(says) }) => Step::good(format!(
                "It says that it is {} {}.",
                says.name.unwrap_or_default(),
                says.version.unwrap_or_default()
            )),
            Ok(Version { server: None }) => Step::passed("It does not say which software it is."),
            Err(error) => Step::passed(format!("It does not say which software it is: {error}.")),
        });
        steps.push(self.keys.examine(server).await);
        steps
    }

    pub(crate) fn clock(&self) -> &SharedClock {
        &self.asker.clock
    }
}

/// What a server says about its software.
#[derive(Deserialize)]
struct Version {
    server: Option<Software>,
}

#[derive(Deserialize)]
struct Software {
    name: Option<String>,
    version: Option<String>,
}

fn configuration(key: &'static str) -> impl Fn(String) -> Error {
    move |why| Error::Configuration { key, why }
}

impl std::fmt::Debug for Peers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Peers")
            .field("own", &self.asker.own)
            .finish_non_exhaustive()
    }
}
