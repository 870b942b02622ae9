//! Messages to devices of other servers' users: kept per server, as the contents of the EDUs that carry them, until that
//! server has taken them (SS "Send-to-device messaging"). Sending them is for `outbox`.
//!
//! Each has an id of its own, made once and stored with it, so that a server which is sent a message twice sees that it is
//! the same.

use std::collections::BTreeMap;

use quick_cache::sync::Cache;
use ruma::{OwnedServerName, OwnedUserId, ServerName, UserId};
use serde::Serialize;
use serde_json::value::RawValue;
use store::tables::TO_DEVICE_OUT;
use store::{Change, Json, Order, Pos, Snapshot, Tx};

use crate::to_device::Messages;
use crate::{Error, Users};

/// Most EDUs that wait for one server. One that is away for so long that more come loses the oldest.
const MOST_WAITING: usize = 20_000;
/// How many of the oldest are dropped at once when there are too many.
const DROPPED: usize = MOST_WAITING / 100;
/// An EDU is begun anew once it holds so many bytes of contents.
const ENOUGH: usize = 32 << 10;

type ByDevice = BTreeMap<String, Box<RawValue>>;

/// The content of an `m.direct_to_device` EDU.
#[derive(Serialize)]
struct Edu<'m> {
    sender: &'m UserId,
    #[serde(rename = "type")]
    kind: &'m str,
    message_id: String,
    messages: BTreeMap<&'m UserId, BTreeMap<&'m str, &'m RawValue>>,
}

/// Roughly how many EDUs wait for each server.
pub(crate) struct Outboxes(Cache<String, usize>);

impl Outboxes {
    pub(crate) fn new(capacity: usize) -> Self {
        Self(Cache::new(capacity))
    }

    /// Makes room for one more in a queue that is full.
    fn make_room(&self, tx: &mut Tx, server: &str) -> Result<(), Error> {
        let waiting = || tx.prefix(TO_DEVICE_OUT, &(server,), Order::Forward).keys();
        let before = match self.0.get(server) {
            Some(count) => count,
            None => waiting().try_fold(0, |count, key| key.map(|_| count + 1))?,
        };
        if before < MOST_WAITING {
            self.0.insert(server.to_owned(), before + 1);
            return Ok(());
        }
        let oldest: Vec<_> = waiting().take(DROPPED).collect::<Result<_, _>>()?;
        tracing::warn!(
            server,
            dropped = oldest.len(),
            "too many messages wait for a server: the oldest are dropped"
        );
        oldest
            .iter()
            .for_each(|place| tx.delete(TO_DEVICE_OUT, place));
        self.0.remove(server);
        Ok(())
    }
}

/// Queues what goes to other servers: EDUs of a limited size, each with an id of its own that begins with `message_id`.
pub(crate) fn queue(
    tx: &mut Tx,
    users: &Users,
    messages: &Messages,
    elsewhere: &[(&OwnedUserId, &ByDevice)],
    message_id: &str,
) -> Result<(), Error> {
    let mut servers: BTreeMap<&ServerName, Vec<(&UserId, &str, &RawValue)>> = BTreeMap::new();
    for (user, contents) in elsewhere {
        let one = contents
            .iter()
            .map(|(device, content)| (user.as_ref(), device.as_str(), content.as_ref()));
        servers.entry(user.server_name()).or_default().extend(one);
    }
    let mut number = 0_usize;
    for (server, all) in servers {
        let mut rest = all.as_slice();
        while !rest.is_empty() {
            let mut size = 0;
            let full = rest.iter().position(|(_, _, content)| {
                let full = size >= ENOUGH;
                size += content.get().len();
                full
            });
            let (now, later) = rest.split_at(full.unwrap_or(rest.len()));
            rest = later;
            put(
                tx,
                users,
                server,
                messages,
                now,
                format!("{message_id}.{number}"),
            )?;
            number += 1;
        }
    }
    Ok(())
}

fn put(
    tx: &mut Tx,
    users: &Users,
    server: &ServerName,
    about: &Messages,
    contents: &[(&UserId, &str, &RawValue)],
    message_id: String,
) -> Result<(), Error> {
    let mut messages: BTreeMap<&UserId, BTreeMap<&str, &RawValue>> = BTreeMap::new();
    for (user, device, content) in contents {
        messages.entry(user).or_default().insert(device, content);
    }
    let edu = Edu {
        sender: &about.sender,
        kind: &about.event_type,
        message_id,
        messages,
    };
    let edu = Json::of(&edu).map_err(|_| Error::Bug("an EDU that is not JSON"))?;
    users.inner.outboxes.make_room(tx, server.as_str())?;
    let pos = tx.log(Change::ToDeviceOut {
        server: server.to_string(),
    });
    Ok(tx.put(TO_DEVICE_OUT, &(server.as_str(), pos), &edu)?)
}

/// The EDUs that wait for a server after a position, oldest first, at most `limit`: contents of `m.direct_to_device`.
pub fn waiting(
    s: &Snapshot,
    server: &ServerName,
    after: Pos,
    limit: usize,
) -> Result<Vec<(Pos, Json)>, Error> {
    let range = (server.to_string(), after.next())..=(server.to_string(), Pos::MAX);
    let rows = s.scan(TO_DEVICE_OUT, range, Order::Forward).take(limit);
    rows.map(|row| row.map(|((_, pos), edu)| (pos, edu)).map_err(Error::from))
        .collect()
}

/// The servers for which something waits.
pub fn servers(s: &Snapshot) -> Result<Vec<OwnedServerName>, Error> {
    let mut found: Vec<OwnedServerName> = Vec::new();
    let mut from = String::new();
    loop {
        let range = (from, Pos::MAX)..;
        let next = s.scan(TO_DEVICE_OUT, range, Order::Forward).keys().next();
        let Some((server, _)) = next.transpose()? else {
            return Ok(found);
        };
        found.push(ServerName::parse(&server).map_err(|_| Error::Damaged("server name"))?);
        from = server;
    }
}

impl Users {
    /// Forgets what a server has taken: everything up to a position.
    pub async fn sent_to_server(&self, server: &ServerName, upto: Pos) -> Result<(), Error> {
        let server = server.to_string();
        self.inner.outboxes.0.remove(&server);
        self.write(move |tx| {
            let range = (server.clone(), Pos::ZERO)..=(server.clone(), upto);
            let sent = tx.scan(TO_DEVICE_OUT, range, Order::Forward).keys();
            let sent: Vec<_> = sent.collect::<Result<_, _>>()?;
            sent.iter()
                .for_each(|place| tx.delete(TO_DEVICE_OUT, place));
            Ok(())
        })
        .await
    }
}
