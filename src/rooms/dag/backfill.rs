//! What happened before the events that we have: got from other servers when somebody reads back so far. Such events are judged as
//! all others are, by what authorises them and by the state before them, and take the positions that were kept in front of
//! the event that follows them. Nobody is told of them, and no state of today changes.

use std::time::Duration;

use event::Pdu;
use ruma::{OwnedEventId, RoomId};
use store::{EventNo, Order, Pos, RoomNo, Snapshot, tables};

use super::gaps;
use crate::Rooms;
use crate::compose::Composer;
use crate::error::{Error, Result};
use crate::head::Known;
use crate::intake::append::Entry;
use crate::intake::asking::Errand;
use crate::intake::gather::in_order;
use crate::intake::judge::Told;
use crate::intake::relate::Relation;
use crate::lane::Settled;
use crate::state::trie;
use crate::stored::Stored;
use crate::{members, timeline};

/// How many events are asked for at least, and at most.
const LEAST: usize = 20;
const MOST: usize = 100;
/// How many stretches are got on the way to the event of a moment.
const STRETCHES: usize = 20;
/// How long a reader waits for what came before; what has come by then stays.
const PATIENCE: Duration = Duration::from_secs(30);
/// For how long a hole that nobody could fill is left alone, in milliseconds.
const BARREN: u64 = 60_000;

impl Rooms {
    /// Sees to it that the `limit` events before a place are here, as far as other servers have them: asks for more if there is a
    /// hole among them. Whether anything came of it.
    pub async fn backfill(&self, room_id: &RoomId, from: Pos, limit: usize) -> Result<bool> {
        let room_id = room_id.to_owned();
        let found = self.store().read(move |s| {
            let room = members::room(s, &room_id)?;
            Ok::<_, Error>(hole(s, room, from, limit)?.map(|hole| (room, hole)))
        });
        let Some((room, (pos, event))) = found.await? else {
            return Ok(false);
        };
        if self.queue().is_barren(room, pos, self.now()) {
            return Ok(false);
        }
        let filling = self.fill_hole(room, pos, event, limit);
        let late = |_| Err(Error::NotHad("it took too long".to_owned()));
        let filled = tokio::time::timeout(PATIENCE, filling).await;
        match filled.unwrap_or_else(late) {
            Ok(0) => {}
            Ok(_) => return Ok(true),
            Err(error) if error.is_want() => {
                tracing::debug!(%room, %error, "nobody tells what came before");
            }
            Err(error) => return Err(error),
        }
        self.queue()
            .note_barren(room, pos, self.now().saturating_add(BARREN));
        Ok(false)
    }

    /// The event nearest to a moment as other servers in the room know it, if it could be got here with what lies between.
    pub async fn ask_moment(
        &self,
        room_id: &RoomId,
        ts: u64,
        order: Order,
    ) -> Result<Option<OwnedEventId>> {
        let room = members::room(&self.store().snapshot(), room_id)?;
        let errand = Errand::new(self, room, None)?;
        let event_id = match errand.moment(ts, order == Order::Forward).await {
            Ok((event_id, _)) => event_id,
            Err(error) if error.is_want() => return Ok(None),
            Err(error) => return Err(error),
        };
        for _ in 0..STRETCHES {
            if errand.is_placed(&event_id)? {
                return Ok(Some(event_id));
            }
            if !self.backfill(room_id, Pos::MAX, usize::MAX).await? {
                break;
            }
        }
        Ok(None)
    }

    /// How many events came.
    async fn fill_hole(
        &self,
        room: RoomNo,
        at: Pos,
        event: EventNo,
        limit: usize,
    ) -> Result<usize> {
        let errand = Errand::new(self, room, None)?;
        let s = self.store().snapshot();
        let after = Stored::get(&s, event)?.pdu(errand.room_id())?;
        let missing = errand.lack(&after)?.prev;
        let mut came = 0;
        if !missing.is_empty() {
            let events = errand.backfill(&missing, limit.clamp(LEAST, MOST)).await?;
            let mut found = std::collections::HashMap::new();
            for pdu in events.into_iter().take(MOST) {
                if !errand.is_placed(pdu.event_id())? {
                    found.insert(pdu.event_id().to_owned(), pdu);
                }
            }
            let events = in_order(&after, &found);
            let mut place = first_of(&s, room, at, events.len())?;
            for pdu in &events {
                match errand.place_old(pdu, place).await {
                    Ok(()) => came += 1,
                    Err(error) if error.is_want() => {
                        tracing::debug!(event = %pdu.event_id(), %error, "an old event is left out");
                    }
                    Err(error) => return Err(error),
                }
                place = place.next();
            }
        }
        if errand.lack(&after)?.prev.is_empty() {
            let close = move |composer: &mut Composer| {
                composer.tx.delete(tables::GAPS, &(room, at));
                composer.touch();
                Ok(())
            };
            self.thoroughly(errand.room_id(), close).await?;
            came += 1;
        }
        Ok(came)
    }
}

/// The hole that somebody meets who reads so far back.
fn hole(s: &Snapshot, room: RoomNo, from: Pos, limit: usize) -> Result<Option<(Pos, EventNo)>> {
    let rows = timeline::range(s, room, Pos::ZERO, from, Order::Backward);
    let page: Vec<Pos> = rows
        .take(limit.saturating_add(1))
        .map(|row| Ok(row?.0))
        .collect::<Result<_>>()?;
    let oldest = match page.last() {
        Some(oldest) if page.len() > limit => *oldest,
        _ => Pos::ZERO,
    };
    gaps::last_within(s, room, oldest, from.next())
}

/// Where the first of so many events goes that stand right before a position.
fn first_of(s: &Snapshot, room: RoomNo, at: Pos, events: usize) -> Result<Pos> {
    let wanted = at.get().saturating_sub(events as u64);
    let before = timeline::last_upto(s, room, at.previous())?;
    let least = before.map_or(Pos::ZERO, |(pos, _)| pos).next();
    if wanted < least.get() {
        return Err(Error::NotHad(
            "there is no place left for older events".to_owned(),
        ));
    }
    Ok(Pos::new(wanted))
}

impl Errand {
    async fn place_old(&self, pdu: &Pdu, pos: Pos) -> Result<()> {
        let lack = self.lack(pdu)?;
        if !lack.auth.is_empty() {
            self.authorise(pdu, lack.auth).await?;
        }
        let told = if lack.prev.is_empty() {
            Vec::new()
        } else {
            self.states_before(pdu, &lack.prev).await?
        };
        let pdu = pdu.clone();
        let Settled { outcome, .. } = self
            .rooms
            .thoroughly(self.room_id(), move |composer| {
                composer.place_old(&pdu, pos, &told)?;
                composer.clear_inbox(pdu.event_id())
            })
            .await?;
        Ok(outcome)
    }
}

impl Composer {
    /// Judges an event of the past and stores it at a position that was kept for it.
    fn place_old(&mut self, pdu: &Pdu, pos: Pos, told: &[Told]) -> Result<()> {
        let room = self.desk.head.room;
        let known = Stored::find_any(&self.tx, room, pdu.event_id())?;
        if known
            .as_ref()
            .is_some_and(|known| !known.is_outlier() || known.is_rejected())
        {
            return Ok(());
        }
        let (earlier, unknown) = self.find_earlier(pdu.prev_events())?;
        if !unknown.is_empty() && told.is_empty() {
            return Err(Error::Missing(unknown));
        }
        let auth = self.known(pdu.auth_events())?;
        let is_create = pdu.event_id() == self.desk.head.create.pdu.event_id();
        let mut place = self.place(&earlier, told)?;
        place.early = known.is_some_and(|known| known.is_early());
        if is_create {
            place.before = None;
        } else if let Some(reason) = self.rejects(pdu, &auth, place.before)? {
            self.refuse(pdu, &place, false, reason)?;
            return Ok(());
        }
        let mut pdu = pdu.clone();
        if let Some((redacted, by)) = self.redacted_before(&pdu)? {
            (pdu, place.redacted_by) = (redacted, Some(by));
        }
        let sender = self.tx.intern_user(pdu.sender())?;
        let relation = self.relation(&pdu)?;
        let (state_key, member) = self.name_state(&pdu)?;
        let replaces = match state_key {
            Some(key) => trie::get(&self.nodes(), place.before, key)?,
            None => None,
        };
        let no = self.tx.intern_event(pdu.event_id())?;
        let entry = Entry {
            room,
            pdu: &pdu,
            sender,
            follows: &place.follows,
            before: place.before,
            state_key,
            replaces,
            member,
            relates: relation.as_ref().map(Relation::row),
            redacted_by: place.redacted_by,
            early: place.early,
            txn: None,
        };
        entry.write_at(&mut self.tx, no, pos)?;
        if !unknown.is_empty() {
            self.tx.put(tables::GAPS, &(room, pos), &no)?;
        }
        let known = Known { no, pdu };
        self.note(&known);
        if let Some(relation) = relation {
            self.relate(&relation, &known, sender, pos)?;
        }
        if known.pdu.event_type() == "m.room.redaction" {
            self.redacted(&known)?;
        }
        Ok(())
    }
}
