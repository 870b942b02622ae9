//! What an event builds on and we lack, from other servers: the only step of intake that uses the network, outside of every
//! lane. The events between it and what we have come first, and go the same way as itself; where that leads to no end, the state
//! at the gap; and the events that authorise all of them. Everything is bounded, in number and in questions.

use std::collections::{HashMap, HashSet, VecDeque};

use event::Pdu;
use futures_util::stream::{self, StreamExt};
use ruma::{EventId, OwnedEventId};
use store::{EventNo, Snapshot, tables};

use super::asking::{Errand, StateIds};
use super::judge::{Taken, Told};
use crate::error::{Error, Result};
use crate::lane::Settled;
use crate::stored::Stored;

/// How often more of the missing events are asked for.
const ROUNDS: usize = 40;
/// How many of them are asked for at once.
const AT_ONCE: usize = 100;
/// How many of them are taken on the way to one event.
const MISSING: usize = 2_000;
/// How many ends of what is missing one question names.
const ENDS: usize = 20;
/// Up to so many events of a state are asked for one by one; more, and the whole state is.
const SINGLE: usize = 100;
/// How many questions for single events are under way at once.
const CONCURRENT: usize = 8;
/// How many events a state may have with those behind it.
const STATE: usize = 500_000;
/// How often the events behind events that we got are asked for.
const BEHIND: usize = 20;

/// What an event builds on and we lack.
#[derive(Debug, Default)]
pub(crate) struct Lack {
    pub(crate) prev: Vec<OwnedEventId>,
    pub(crate) auth: Vec<OwnedEventId>,
}

impl Lack {
    fn of(s: &Snapshot, errand: &Errand, pdu: &Pdu) -> Result<Self> {
        let mut lack = Self::default();
        for id in pdu.prev_events() {
            let known = Stored::find_any(s, errand.room, id)?;
            if known.is_none_or(|event| event.is_outlier()) {
                lack.prev.push(id.clone());
            }
        }
        for id in pdu.auth_events() {
            if Stored::find_any(s, errand.room, id)?.is_none() {
                lack.auth.push(id.clone());
            }
        }
        Ok(lack)
    }
}

impl Errand {
    /// Takes in an event with everything that it needs.
    pub(crate) async fn bring(&self, pdu: &Pdu) -> Result<Taken> {
        if !self.lack(pdu)?.prev.is_empty() {
            for earlier in self.fill(pdu).await? {
                if let Err(error) = self.settle(&earlier).await {
                    if !error.is_want() {
                        return Err(error);
                    }
                    tracing::debug!(event = %earlier.event_id(), %error, "an earlier event is left out");
                }
            }
        }
        self.settle(pdu).await
    }

    pub(crate) fn lack(&self, pdu: &Pdu) -> Result<Lack> {
        Lack::of(&self.rooms.store().snapshot(), self, pdu)
    }

    /// Takes in one event: gets what authorises it, and the state where something is missing before it.
    async fn settle(&self, pdu: &Pdu) -> Result<Taken> {
        let lack = self.lack(pdu)?;
        if !lack.auth.is_empty() {
            self.authorise(pdu, lack.auth).await?;
        }
        let told = if lack.prev.is_empty() {
            Vec::new()
        } else {
            self.states_before(pdu, &lack.prev).await?
        };
        let event = pdu.clone();
        let Settled { outcome, .. } = self
            .rooms
            .thoroughly(self.room_id(), move |composer| {
                let taken = composer.take_in(&event, &told)?;
                composer.clear_inbox(event.event_id())?;
                Ok(taken)
            })
            .await?;
        Ok(outcome)
    }

    /// The events before one that are missing, as far as they can be had, each after those that it follows.
    async fn fill(&self, pdu: &Pdu) -> Result<Vec<Pdu>> {
        let mut found: HashMap<OwnedEventId, Pdu> = HashMap::new();
        let earliest = self.tips()?;
        let mut latest = vec![pdu.event_id().to_owned()];
        for _ in 0..ROUNDS {
            let asked = self.missing_events(&latest, &earliest, AT_ONCE).await;
            let events = match asked {
                Ok(events) => events,
                // What cannot be filled may still be bridged by a state.
                Err(error) if error.is_want() => break,
                Err(error) => return Err(error),
            };
            let before = found.len();
            for event in events.into_iter().take(MISSING.saturating_sub(before)) {
                if !self.is_placed(event.event_id())? {
                    found.insert(event.event_id().to_owned(), event);
                }
            }
            latest = self.ends(pdu, &found)?;
            if found.len() == before || found.len() >= MISSING || latest.is_empty() {
                break;
            }
        }
        Ok(in_order(pdu, &found))
    }

    /// The events from which we can walk no further back: they follow events that we have neither stored nor found.
    fn ends(&self, pdu: &Pdu, found: &HashMap<OwnedEventId, Pdu>) -> Result<Vec<OwnedEventId>> {
        let mut ends = Vec::new();
        for event in in_order(pdu, found).iter().chain([pdu]) {
            for id in event.prev_events() {
                if !found.contains_key(id) && !self.is_placed(id)? {
                    ends.push(event.event_id().to_owned());
                    break;
                }
            }
            if ends.len() >= ENDS {
                break;
            }
        }
        Ok(ends)
    }

    pub(crate) fn is_placed(&self, id: &EventId) -> Result<bool> {
        let s = self.rooms.store().snapshot();
        let known = Stored::find_any(&s, self.room, id)?;
        Ok(known.is_some_and(|event| !event.is_outlier()))
    }

    fn tips(&self) -> Result<Vec<OwnedEventId>> {
        let s = self.rooms.store().snapshot();
        let head = s.get(tables::ROOM_HEADS, &self.room)?;
        let tips = head.map(|head| head.tips).unwrap_or_default();
        let ids = tips.iter().take(ENDS).map(|no| Ok(s.event_id(*no)?));
        ids.collect()
    }

    /// Gets the events that authorise one, with those behind them.
    pub(crate) async fn authorise(&self, pdu: &Pdu, mut lacking: Vec<OwnedEventId>) -> Result<()> {
        match self.event_auth(pdu.event_id()).await {
            Ok(chain) => self.stock(chain).await?,
            Err(error) if error.is_want() => {}
            Err(error) => return Err(error),
        }
        let s = self.rooms.store().snapshot();
        lacking.retain(|id| !matches!(Stored::find_any(&s, self.room, id), Ok(Some(_))));
        if lacking.is_empty() {
            return Ok(());
        }
        let events = self.each(&lacking).await;
        self.stock(events).await
    }

    /// Stores events as outliers, and gets those behind them that we do not have.
    pub(crate) async fn stock(&self, events: Vec<Pdu>) -> Result<()> {
        let mut waiting = events;
        for _ in 0..BEHIND {
            if waiting.is_empty() {
                return Ok(());
            }
            let shelved = self.rooms.shelve(&self.shelf, waiting).await?;
            if shelved.missing.is_empty() {
                return Ok(());
            }
            let missing: Vec<OwnedEventId> = shelved.missing.into_iter().take(SINGLE).collect();
            let mut more = self.each(&missing).await;
            if more.is_empty() {
                break;
            }
            more.extend(shelved.left);
            waiting = more;
        }
        Ok(())
    }

    /// The states after events that we do not have, as far as other servers tell them.
    pub(crate) async fn states_before(
        &self,
        pdu: &Pdu,
        missing: &[OwnedEventId],
    ) -> Result<Vec<Told>> {
        let mut states = Vec::with_capacity(missing.len());
        for id in missing {
            match self.state_after_missing(id).await {
                Ok(state) => states.push(state),
                Err(error) if error.is_want() => {
                    // Nobody tells of that one, but perhaps of the state before the event itself, which has it all.
                    let ids = self.state_ids(pdu.event_id()).await.map_err(|_| error)?;
                    return Ok(vec![Told(self.obtain(pdu.event_id(), &ids).await?)]);
                }
                Err(error) => return Err(error),
            }
        }
        Ok(states)
    }

    async fn state_after_missing(&self, id: &EventId) -> Result<Told> {
        let ids = self.state_ids(id).await?;
        let mut state = self.obtain(id, &ids).await?;
        if self.number(id)?.is_none() {
            let event = self.event(id).await?;
            self.stock(vec![event]).await?;
        }
        let own = self.number(id)?;
        // Last, so that it takes the place of what it replaces.
        state.push(
            own.ok_or_else(|| Error::NotHad(format!("what authorises {id} could not be had")))?,
        );
        Ok(Told(state))
    }

    /// Sees to it that we have a state, and gives the numbers of its events.
    async fn obtain(&self, at: &EventId, ids: &StateIds) -> Result<Vec<EventNo>> {
        if ids.pdu_ids.len() + ids.auth_chain_ids.len() > STATE {
            return Err(Error::NotHad(format!("the state at {at} is too large")));
        }
        let mut lacking: HashSet<OwnedEventId> = HashSet::new();
        for id in ids.pdu_ids.iter().chain(&ids.auth_chain_ids) {
            if self.number(id)?.is_none() {
                lacking.insert(id.clone());
            }
        }
        let lacking: Vec<OwnedEventId> = lacking.into_iter().collect();
        if lacking.len() > SINGLE {
            let events = self.state(at).await?;
            self.stock(events).await?;
        } else if !lacking.is_empty() {
            let events = self.each(&lacking).await;
            self.stock(events).await?;
        }
        let mut state = Vec::with_capacity(ids.pdu_ids.len());
        let mut missing = 0;
        for id in &ids.pdu_ids {
            match self.number(id)? {
                Some(no) => state.push(no),
                None => missing += 1,
            }
        }
        if missing > 0 || state.is_empty() {
            let all = ids.pdu_ids.len();
            return Err(Error::NotHad(format!(
                "of the state at {at}, {missing} of {all} events could not be had"
            )));
        }
        Ok(state)
    }

    /// The number of an event that is stored.
    fn number(&self, id: &EventId) -> Result<Option<EventNo>> {
        let s = self.rooms.store().snapshot();
        let event = Stored::find_any(&s, self.room, id)?;
        Ok(event.map(|event| event.no()))
    }

    /// Those of some events that can be had.
    async fn each(&self, ids: &[OwnedEventId]) -> Vec<Pdu> {
        let asked = stream::iter(ids.to_vec()).map(|id| async move { self.event(&id).await });
        let found = asked.buffer_unordered(CONCURRENT);
        found
            .filter_map(|event| async { event.ok() })
            .collect()
            .await
    }
}

/// Those of the found events that stand before one, each after those that it follows. What is not connected to it is left out.
pub(crate) fn in_order(pdu: &Pdu, found: &HashMap<OwnedEventId, Pdu>) -> Vec<Pdu> {
    let mut waiting: HashMap<&EventId, usize> = HashMap::new();
    let mut followers: HashMap<&EventId, Vec<&EventId>> = HashMap::new();
    let mut queue: VecDeque<&Pdu> = VecDeque::from([pdu]);
    let mut reached: HashSet<&EventId> = HashSet::new();
    while let Some(event) = queue.pop_front() {
        let mut follows = 0;
        let mut own: HashSet<&EventId> = HashSet::new();
        for id in event.prev_events() {
            if let Some(earlier) = found.get(id).filter(|_| own.insert(id)) {
                follows += 1;
                followers.entry(id).or_default().push(event.event_id());
                if reached.insert(id) {
                    queue.push_back(earlier);
                }
            }
        }
        waiting.insert(event.event_id(), follows);
    }
    let mut ready: VecDeque<&EventId> = waiting
        .iter()
        .filter(|(_, follows)| **follows == 0)
        .map(|(id, _)| *id)
        .collect();
    ready.make_contiguous().sort();
    let mut ordered = Vec::with_capacity(found.len());
    while let Some(id) = ready.pop_front() {
        ordered.extend(found.get(id).cloned());
        for follower in followers.get(id).into_iter().flatten() {
            if let Some(follows) = waiting.get_mut(follower) {
                *follows = follows.saturating_sub(1);
                if *follows == 0 {
                    ready.push_back(follower);
                }
            }
        }
    }
    ordered
}
