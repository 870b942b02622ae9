//! Messages from device to device: kept until they have been fetched, in the order in which they came (CS
//! "Send-to-Device messaging").
//!
//! Messages to other servers' users go to the queue of their server (`to_device_out.rs`) in the same batch. For those the
//! device may be `*`: another server knows best which devices its users have.

use std::collections::BTreeMap;
use std::time::Duration;

use quick_cache::sync::Cache;
use ruma::{DeviceId, OwnedUserId, ServerName, UserId};
use serde::Serialize;
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};
use store::tables::{DEVICES, EXPIRING, TO_DEVICE, TO_DEVICE_SEEN};
use store::{Change, Json, Order, Pos, Snapshot, Tx, UserNo};

use crate::{Error, Users, sweep, to_device_out};

/// For how long a transaction is recognised.
const REMEMBERED: Duration = Duration::from_secs(24 * 60 * 60);
/// Most devices that one request may name.
const MOST_MESSAGES: usize = 20_000;
/// Characters of the id by which another server recognises a message that reaches it twice.
const MESSAGE_ID: usize = 24;

/// Messages to be sent, all of the same type.
#[derive(Debug, Clone)]
pub struct Messages {
    /// Who sends them.
    pub sender: OwnedUserId,
    /// Their type.
    pub event_type: String,
    /// Their contents, by device, by user. The device `*` stands for all devices.
    pub contents: BTreeMap<OwnedUserId, BTreeMap<String, Box<RawValue>>>,
    /// What makes a repeated request recognisable.
    pub once: Option<Once>,
}

/// What makes a repeated request recognisable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Once([u8; 32]);

impl Once {
    /// A client's transaction id.
    #[must_use]
    pub fn by_client(user: &UserId, device: &DeviceId, transaction: &str) -> Self {
        Self::of("client", [user.as_str(), device.as_str(), transaction])
    }

    /// Another server's message id.
    #[must_use]
    pub fn by_server(origin: &ServerName, sender: &UserId, message: &str) -> Self {
        Self::of("server", [origin.as_str(), sender.as_str(), message])
    }

    fn of(kind: &str, parts: [&str; 3]) -> Self {
        let mut hash = Sha256::new_with_prefix(kind);
        for part in parts {
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part);
        }
        Self(hash.finalize().into())
    }
}

/// What a client gets to see.
#[derive(Serialize)]
struct Event<'a> {
    content: &'a RawValue,
    sender: &'a UserId,
    #[serde(rename = "type")]
    kind: &'a str,
}

/// Roughly how many messages wait for each device.
pub(crate) struct Inboxes(Cache<(UserNo, String), usize>);

impl Inboxes {
    pub(crate) fn new(capacity: usize) -> Self {
        Self(Cache::new(capacity))
    }

    /// Makes room for one more message in an inbox that is full.
    fn make_room(
        &self,
        tx: &mut Tx,
        user: UserNo,
        device: &str,
        limit: usize,
    ) -> Result<(), Error> {
        let place = (user, device.to_owned());
        let before = match self.0.get(&place) {
            Some(count) => count,
            None => count(tx, user, device)?,
        };
        if before < limit {
            self.0.insert(place, before + 1);
            return Ok(());
        }
        // A tenth at once, so that a full inbox is not counted anew for every message.
        let oldest = tx
            .prefix(TO_DEVICE, &(user, device), Order::Forward)
            .keys()
            .take(limit / 10 + 1);
        let oldest: Vec<_> = oldest.collect::<Result<_, _>>()?;
        tracing::info!(user = %user, device, dropped = oldest.len(), "a device's inbox is full: its oldest messages are dropped");
        oldest.iter().for_each(|place| tx.delete(TO_DEVICE, place));
        self.0.remove(&place);
        Ok(())
    }
}

fn count(s: &Snapshot, user: UserNo, device: &str) -> Result<usize, Error> {
    let mut count = 0;
    for place in s.prefix(TO_DEVICE, &(user, device), Order::Forward).keys() {
        place?;
        count += 1;
    }
    Ok(count)
}

/// The messages for a device in `(after, upto]`, oldest first, at most `limit`, as events. If there are `limit`, there may
/// be more: the client's next token has to stand at the last position given.
pub fn pending(
    s: &Snapshot,
    user: UserNo,
    device: &str,
    after: Pos,
    upto: Pos,
    limit: usize,
) -> Result<Vec<(Pos, Json)>, Error> {
    let range = (user, device.to_owned(), after.next())..=(user, device.to_owned(), upto);
    let rows = s.scan(TO_DEVICE, range, Order::Forward).take(limit);
    rows.map(|row| {
        row.map(|((_, _, pos), event)| (pos, event))
            .map_err(Error::from)
    })
    .collect()
}

/// Removes everything that waits for a device.
pub(crate) fn remove(tx: &mut Tx, user: UserNo, device: &str) {
    tx.delete_prefix(TO_DEVICE, &(user, device));
}

fn send(
    tx: &mut Tx,
    users: &Users,
    messages: &Messages,
    forget_at: u64,
    message_id: &str,
) -> Result<bool, Error> {
    if let Some(Once(hash)) = messages.once {
        if tx.get_for_update(TO_DEVICE_SEEN, &hash)?.is_some() {
            return Ok(false);
        }
        tx.put(TO_DEVICE_SEEN, &hash, &())?;
        tx.put(EXPIRING, &(forget_at, sweep::TO_DEVICE_TXN, hash), &())?;
    }
    let (here, elsewhere): (Vec<_>, Vec<_>) = messages
        .contents
        .iter()
        .partition(|(user, _)| users.is_local(user));
    for (user, contents) in here {
        let Some(no) = tx.user_no(user)? else {
            continue;
        };
        for (device, content) in contents {
            let event = Event {
                content,
                sender: &messages.sender,
                kind: &messages.event_type,
            };
            let event = Json::of(&event).map_err(|_| Error::Bug("an event that is not JSON"))?;
            for device in recipients(tx, no, device)? {
                users.inner.inboxes.make_room(
                    tx,
                    no,
                    &device,
                    users.inner.settings.to_device_limit,
                )?;
                let pos = tx.log(Change::ToDevice {
                    user: no,
                    device: device.clone(),
                });
                tx.put(TO_DEVICE, &(no, device.as_str(), pos), &event)?;
            }
        }
    }
    to_device_out::queue(tx, users, messages, &elsewhere, message_id)?;
    Ok(true)
}

/// The devices that a name stands for.
fn recipients(s: &Snapshot, user: UserNo, device: &str) -> Result<Vec<String>, Error> {
    if device != "*" {
        let known = s.contains(DEVICES, &(user, device))?;
        return Ok(if known {
            vec![device.to_owned()]
        } else {
            Vec::new()
        });
    }
    s.prefix(DEVICES, &(user,), Order::Forward)
        .keys()
        .map(|key| key.map(|(_, device)| device).map_err(Error::from))
        .collect()
}

impl Users {
    /// Sends messages to devices, once. Says whether that was new. Devices of this server that do not exist are passed over.
    pub async fn send_to_devices(&self, messages: Messages) -> Result<bool, Error> {
        if messages.contents.values().map(BTreeMap::len).sum::<usize>() > MOST_MESSAGES {
            return Err(Error::TooMany("messages"));
        }
        let forget_at = self.inner.clock.now().plus(REMEMBERED).millis();
        let users = self.clone();
        let message_id = base::random::token(&*self.inner.random, MESSAGE_ID);
        self.write(move |tx| send(tx, &users, &messages, forget_at, &message_id))
            .await
    }

    /// Forgets what a device has fetched: everything up to a position. Costs no write if there is nothing.
    pub async fn acknowledge_to_device(
        &self,
        user: UserNo,
        device: &DeviceId,
        upto: Pos,
    ) -> Result<(), Error> {
        let device = device.as_str().to_owned();
        let range = move |device: &str| {
            (user, device.to_owned(), Pos::ZERO)..=(user, device.to_owned(), upto)
        };
        if self
            .store()
            .snapshot()
            .scan(TO_DEVICE, range(&device), Order::Forward)
            .keys()
            .next()
            .transpose()?
            .is_none()
        {
            return Ok(());
        }
        self.inner.inboxes.0.remove(&(user, device.clone()));
        // Should this be lost, nothing is given twice: who asks for what comes after a position gets no more than that.
        let write = self.inner.store.write_relaxed::<(), Error>(move |tx| {
            let fetched = tx.scan(TO_DEVICE, range(&device), Order::Forward).keys();
            let fetched: Vec<_> = fetched.collect::<Result<_, _>>()?;
            fetched.iter().for_each(|place| tx.delete(TO_DEVICE, place));
            Ok(())
        });
        write.await.map(|_| ())
    }
}
