//! Telling other servers (server-server API, *Transactions*).
//!
//! One follower of the log (`follow.rs`) decides who must hear of what. Each destination (`queue.rs`) has the few events that wait for it in memory;
//! one that is slow or cannot be reached has, in the store, one row per room from where to where it was not told, so that a dead server costs nothing
//! per event. Transactions (`transaction.rs`) are written down before they are sent and repeated as they are until they are answered. What a server
//! missed for long is not repeated one by one (`catch_up.rs`).

mod audience;
mod catch_up;
mod edus;
mod follow;
mod queue;
mod transaction;

use std::sync::Arc;

use base::{SharedClock, SharedRandom, Supervisor};
use peers::Peers;
use rooms::{Rooms, Stored};
use ruma::ServerName;
use store::rows::outbox::OwedRow;
use store::{Order, Pos, Snapshot, Store, Tx, tables};
use users::{Users, to_device_out};

use crate::Needs;
use crate::error::Result;
use queue::Desk;

/// Most rows looked at to tell how much a server is owed.
const COUNTED: usize = 10_000;

/// The federation sender. Clones are handles of the same.
#[derive(Clone)]
pub(crate) struct Federation {
    inner: Arc<Inner>,
}

struct Inner {
    store: Store,
    rooms: Rooms,
    users: Users,
    peers: Peers,
    clock: SharedClock,
    random: SharedRandom,
    desk: Desk,
}

/// How it stands with sending to a server.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Status {
    /// Every event up to here that the server must hear was delivered, or stands among what it is owed.
    pub sent: Pos,
    /// The transaction that is on its way or waits to be repeated.
    pub transaction: Option<String>,
    /// Events that wait in memory.
    pub waiting: usize,
    /// Rooms in which it has to catch up.
    pub rooms_owed: usize,
    /// To-device messages that wait for it.
    pub to_device: usize,
    /// Users of whose devices it has to be told.
    pub device_lists: usize,
    /// What went wrong, if the last attempt failed.
    pub failing: Option<Failing>,
}

/// What went wrong with a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failing {
    /// How many attempts in a row have failed since the start.
    pub attempts: u32,
    /// When the first of them failed, in milliseconds since 1970.
    pub since: u64,
    /// Until when the server is left alone, unless it speaks to us before; in milliseconds since 1970.
    pub until: Option<u64>,
    /// What came of the last one.
    pub why: String,
}

impl Federation {
    pub(crate) fn new(needs: Needs) -> Self {
        let Needs {
            store,
            rooms,
            users,
            peers,
            clock,
            random,
            config: _,
        } = needs;
        let inner = Inner {
            store,
            rooms,
            users,
            peers,
            clock,
            random,
            desk: Desk::default(),
        };
        Self {
            inner: Arc::new(inner),
        }
    }

    pub(crate) fn start(&self, supervisor: &Supervisor) {
        if !self.inner.peers.is_enabled() {
            return;
        }
        supervisor.start(follow::Follow::new(self.clone()));
        for lane in queue::Lane::ALL {
            supervisor.start(queue::Dispatch::new(self.clone(), lane, supervisor.tasks()));
        }
    }

    /// How it stands with sending to a server.
    pub(crate) async fn status(&self, server: &ServerName) -> Result<Status> {
        let mut status = self.inner.desk.status(server);
        if let Some(failing) = &mut status.failing {
            let until = self.inner.peers.backoff().wait_until(server);
            failing.until = until.map(base::Timestamp::millis);
        }
        let server = server.to_owned();
        let read = move |s: &Snapshot| {
            let name = server.as_str();
            if let Some(row) = s.get(tables::DESTINATIONS, name)? {
                status.sent = row.sent;
                status.transaction = status.transaction.or(row.flight.map(|flight| flight.id));
            }
            let owed = s.prefix(tables::OWED, &(name,), Order::Forward);
            status.rooms_owed = owed.keys().take(COUNTED).count();
            let lists = s.prefix(tables::OWED_DEVICE_LISTS, &(name,), Order::Forward);
            status.device_lists = lists.keys().take(COUNTED).count();
            status.to_device = to_device_out::waiting(s, &server, Pos::ZERO, COUNTED)?.len();
            Ok(status)
        };
        self.inner.store.read(read).await
    }
}

impl Inner {
    /// Whether telling others of an event is our business: it is ours, or its server asked us to bring it into the room.
    fn is_ours(&self, s: &Snapshot, event: &Stored) -> Result<bool> {
        let sender = event.sender();
        let own = self.rooms.server_name().as_str();
        if sender
            .split_once(':')
            .is_some_and(|(_, server)| server == own)
        {
            return Ok(true);
        }
        Ok(event.membership().is_some() && event.is_relayed(s)?)
    }
}

/// Lengthens what is owed by a stretch.
fn lengthened(before: Option<OwedRow>, more: &OwedRow) -> OwedRow {
    match before {
        None => more.clone(),
        // What came before the server left is none of its business once it is back: it has joined anew.
        Some(before) if before.left && more.newest > before.newest => more.clone(),
        Some(before) => OwedRow {
            since: before.since.min(more.since),
            left: if more.newest > before.newest {
                more.left
            } else {
                before.left
            },
            newest: before.newest.max(more.newest),
        },
    }
}

/// Shortens what is owed by what has been told up to `upto`.
fn shortened(row: &OwedRow, upto: Pos) -> Option<OwedRow> {
    (row.newest > upto).then(|| OwedRow {
        since: row.since.max(upto.next()),
        ..*row
    })
}

/// Writes down what a server is owed in a table of such rows.
fn owe<K, Q>(tx: &mut Tx, table: store::Table<K, OwedRow>, key: &Q, more: &OwedRow) -> Result<()>
where
    Q: store::KeyOf<K>,
{
    let before = tx.get_for_update(table, key)?;
    let row = lengthened(before.clone(), more);
    if before.as_ref() != Some(&row) {
        tx.put(table, key, &row)?;
    }
    Ok(())
}

/// Writes down that a server has been told up to a position.
fn settle<K, Q>(tx: &mut Tx, table: store::Table<K, OwedRow>, key: &Q, upto: Pos) -> Result<()>
where
    Q: store::KeyOf<K>,
{
    if let Some(row) = tx.get_for_update(table, key)? {
        match shortened(&row, upto) {
            Some(row) => tx.put(table, key, &row)?,
            None => tx.delete(table, key),
        }
    }
    Ok(())
}
