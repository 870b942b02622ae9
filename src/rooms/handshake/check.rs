//! Signatures of the events that a handshake is about: fetches the keys that are needed, many at once, and makes checked events of
//! unchecked ones.

use event::{Checked, Pdu, UncheckedPdu};
use peers::{KeyRing, Wanted};

use ruma::ServerName;

use crate::Rooms;
use crate::error::{Error, Result};

impl Rooms {
    /// The keys by which these events were signed, as far as they are to be had.
    pub(super) async fn ring<'a>(&self, events: impl Iterator<Item = &'a UncheckedPdu>) -> KeyRing {
        let mut wanted = Vec::new();
        for event in events {
            let at = event.origin_server_ts();
            let keys = event.wanted_keys().map(|(server, key_id)| Wanted {
                server: server.to_owned(),
                key_id: key_id.to_owned(),
                at,
            });
            wanted.extend(keys);
        }
        self.peers().keys().gather(wanted).await
    }

    /// The keys by which a server has signed an event, whether or not it had to.
    pub(super) async fn ring_of(&self, event: &UncheckedPdu, server: &ServerName) -> KeyRing {
        let at = event.origin_server_ts();
        let wanted = event.signatures_by(server).map(|key_id| Wanted {
            server: server.to_owned(),
            key_id: key_id.to_owned(),
            at,
        });
        let wanted: Vec<Wanted> = wanted.collect();
        self.peers().keys().gather(wanted).await
    }

    /// Checks one event whose content must be whole.
    ///
    /// # Errors
    /// [`Error::Forbidden`] if a signature or the content hash is wrong.
    pub(super) async fn check(&self, event: UncheckedPdu) -> Result<Pdu> {
        let ring = self.ring(std::iter::once(&event)).await;
        match event.check(&ring) {
            Ok(Checked::Whole(pdu)) => Ok(pdu),
            Ok(Checked::Redacted(_)) => {
                Err(Error::Forbidden("the content hash is wrong".to_owned()))
            }
            Err(error) => Err(Error::Forbidden(error.to_string())),
        }
    }
}
