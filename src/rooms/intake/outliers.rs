//! Events that are known without their past: those that authorise others, and the state at places we have not been. They are
//! judged by the events they name, stored after those, and take no part in timeline or log.
//!
//! An event is never stored before the events that authorise it. So its number is greater than theirs, which is what
//! `state/settle.rs` makes its rank of. What is stored early all the same, because it came from outside of the room, is marked, and
//! judged here when the room comes.

use std::collections::{HashMap, HashSet};

use event::resolve::chain::oldest_first;
use event::{Pdu, Rules, Verdict};
use ruma::{OwnedEventId, OwnedRoomId};
use store::rows::rooms::RefusalRow;
use store::{RoomNo, Tx};

use super::append::{Entry, member_of};
use super::judge::judged_by_auth;
use crate::Rooms;
use crate::error::{Error, Result};
use crate::stored::Stored;

/// How many outliers are written as one batch.
const AT_ONCE: usize = 500;

/// Where outliers go.
#[derive(Debug, Clone)]
pub(crate) struct Shelf {
    pub(crate) room_id: OwnedRoomId,
    pub(crate) rules: &'static Rules,
    pub(crate) create: Pdu,
}

/// What came of storing outliers.
#[derive(Debug, Default)]
pub(crate) struct Shelved {
    /// The events that some of them name as their authority and that are not known. Those were not stored.
    pub(crate) missing: HashSet<OwnedEventId>,
    /// Those that were not stored, for that reason.
    pub(crate) left: Vec<Pdu>,
}

/// Events, and whether they were rejected.
type Judged = HashMap<OwnedEventId, (Pdu, bool)>;

impl Rooms {
    /// Stores checked events as outliers, in batches of bounded size; those that are known stay as they are.
    pub(crate) async fn shelve(&self, shelf: &Shelf, pdus: Vec<Pdu>) -> Result<Shelved> {
        let mut shelved = Shelved::default();
        let mut judged = Judged::new();
        let sorted = authority_first(&pdus);
        let room_id = shelf.room_id.clone();
        for chunk in sorted.chunks(AT_ONCE) {
            let (shelf, chunk) = (shelf.clone(), chunk.to_vec());
            let known = std::mem::take(&mut judged);
            let store = self.store().clone();
            let work = async move {
                let shelve = move |tx: &mut Tx| shelve(tx, &shelf, &chunk, known.clone());
                Ok::<_, Error>(store.write(shelve).await?.0)
            };
            let (chunk, known) = self.in_lane(&room_id, work).await?;
            judged = known;
            shelved.missing.extend(chunk.missing);
            shelved.left.extend(chunk.left);
        }
        Ok(shelved)
    }
}

/// Each after those that authorise it.
fn authority_first(pdus: &[Pdu]) -> Vec<Pdu> {
    let places: HashMap<OwnedEventId, usize> = pdus
        .iter()
        .enumerate()
        .map(|(at, pdu)| (pdu.event_id().to_owned(), at))
        .collect();
    let links: Vec<Vec<usize>> = pdus
        .iter()
        .map(|pdu| {
            let auth = pdu.auth_events().iter();
            auth.filter_map(|id| places.get(id).copied()).collect()
        })
        .collect();
    let graph: Vec<(usize, &[usize])> = links
        .iter()
        .enumerate()
        .filter(|(at, _)| {
            // Of several copies of one event, the last is taken.
            pdus.get(*at)
                .is_some_and(|pdu| places.get(pdu.event_id()) == Some(at))
        })
        .map(|(at, links)| (at, links.as_slice()))
        .collect();
    let order = oldest_first(&graph).into_iter();
    order.filter_map(|at| pdus.get(at).cloned()).collect()
}

fn shelve(
    tx: &mut Tx,
    shelf: &Shelf,
    pdus: &[Pdu],
    mut judged: Judged,
) -> Result<(Shelved, Judged)> {
    let room = tx.intern_room(&shelf.room_id)?;
    let mut shelved = Shelved::default();
    for pdu in pdus {
        let early = is_unjudged(tx, room, pdu)?;
        if !early && find(tx, shelf, room, pdu.event_id(), &mut judged)? {
            continue;
        }
        let mut lacks = false;
        for id in pdu.auth_events() {
            if !find(tx, shelf, room, id, &mut judged)? {
                shelved.missing.insert(id.clone());
                lacks = true;
            }
        }
        if lacks {
            shelved.left.push(pdu.clone());
            continue;
        }
        let refused = verdict(pdu, shelf, &judged);
        judged.insert(pdu.event_id().to_owned(), (pdu.clone(), refused.is_some()));
        write(tx, room, pdu, refused, early)?;
    }
    Ok((shelved, judged))
}

/// Whether an event is known, in the store or in this very batch.
fn find(
    tx: &Tx,
    shelf: &Shelf,
    room: RoomNo,
    id: &ruma::EventId,
    judged: &mut Judged,
) -> Result<bool> {
    if judged.contains_key(id) {
        return Ok(true);
    }
    let Some(stored) = Stored::find_any(tx, room, id)? else {
        return Ok(false);
    };
    let pdu = stored.pdu(&shelf.room_id)?;
    judged.insert(id.to_owned(), (pdu, stored.is_rejected()));
    Ok(true)
}

fn verdict(pdu: &Pdu, shelf: &Shelf, judged: &Judged) -> Option<RefusalRow> {
    let reason = if pdu.event_type() != "m.room.create" {
        judged_by_auth(pdu, shelf.rules, &shelf.create, judged)
    } else if pdu.event_id() == shelf.create.event_id() {
        let none: [Pdu; 0] = [];
        match event::judge(pdu, none.as_slice(), shelf.rules) {
            Verdict::Allowed => None,
            Verdict::Denied(reason) => Some(reason.to_string()),
        }
    } else {
        Some("the room was created by another event".to_owned())
    };
    reason.map(|reason| RefusalRow {
        soft: false,
        reason,
    })
}

/// Whether an event came from outside of the room, so that it is stored though nothing that authorises it was.
fn is_unjudged(tx: &Tx, room: RoomNo, pdu: &Pdu) -> Result<bool> {
    let known = Stored::find_any(tx, room, pdu.event_id())?;
    Ok(known.is_some_and(|known| known.is_early() && known.is_outlier()))
}

fn write(
    tx: &mut Tx,
    room: RoomNo,
    pdu: &Pdu,
    refused: Option<RefusalRow>,
    early: bool,
) -> Result<()> {
    let sender = tx.intern_user(pdu.sender())?;
    let state_key = match pdu.state_pair() {
        Some((event_type, key)) => Some(tx.intern_state_key(event_type, key)?),
        None => None,
    };
    let member = match member_of(pdu) {
        Some(user) => Some(tx.intern_user(user)?),
        None => None,
    };
    let entry = Entry {
        room,
        pdu,
        sender,
        follows: &[],
        before: None,
        state_key,
        replaces: None,
        member,
        relates: None,
        redacted_by: None,
        early,
        txn: None,
    };
    entry.write_outlier(tx, refused)?;
    Ok(())
}
