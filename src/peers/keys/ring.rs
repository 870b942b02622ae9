//! Keys that have been gathered, ready for checking events: what is in it is there, what is not was not to be had.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use event::sign::{Keys, VerifyKey};
use ruma::{OwnedServerName, ServerName};

use super::known::Known;
use super::own::OwnKeys;

/// Keys of servers. Clones share them.
#[derive(Clone)]
pub struct KeyRing {
    pub(super) known: HashMap<OwnedServerName, Arc<Known>>,
    pub(super) own: Arc<OwnKeys>,
    pub(super) refused: Arc<HashSet<String>>,
}

impl Keys for KeyRing {
    fn key(&self, server: &ServerName, key_id: &str) -> Option<VerifyKey> {
        let key = if server == self.own.server_name() {
            self.own.key(key_id)
        } else {
            self.known.get(server).and_then(|known| known.key(key_id))
        };
        key.filter(|key| !self.refused.contains(&key.public().to_base64()))
    }
}

impl std::fmt::Debug for KeyRing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KeyRing")
            .field("servers", &self.known.keys())
            .finish_non_exhaustive()
    }
}
