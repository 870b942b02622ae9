//! An event from elsewhere: its signatures and hash have been looked at, and everything it builds on is known here. In the
//! room's lane it is judged three times (server-server API, *Checks performed on receipt of a PDU*): by the events it
//! names, by the state before it, by the present state. It is stored with its verdict; only an accepted one is told to anybody.

use std::collections::HashMap;

use event::auth::{self, AuthState};
use event::{Pdu, Rules, Verdict};
use ruma::OwnedEventId;
use store::rows::rooms::RefusalRow;
use store::{EventNo, Pos, StateKeyNo, tables};

use super::append::{Entry, Place, summarise};
use crate::Rooms;
use crate::compose::Composer;
use crate::error::{Error, Result};
use crate::head::Known;
use crate::lane::Settled;
use crate::state::At;
use crate::state::trie::{self, Root};
use crate::stored::Stored;

/// What became of an event from elsewhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Taken {
    /// It is part of the room.
    Accepted(EventNo),
    /// It was allowed where it stands, but not by the present state: it is kept, and told to nobody.
    SoftFailed(String),
    /// It was never allowed.
    Rejected(String),
    /// It had been here before, whatever became of it then.
    Known,
}

/// A state that another server told us: the events of it, all of them stored.
#[derive(Debug, Clone)]
pub(crate) struct Told(pub(crate) Vec<EventNo>);

impl Rooms {
    /// Takes in an event from elsewhere that has been checked.
    ///
    /// # Errors
    /// [`Error::Missing`] if events that it builds on are not known here yet.
    pub async fn take_in(&self, pdu: Pdu) -> Result<(Taken, Option<Pos>)> {
        let room_id = pdu.room_id().to_owned();
        let Settled { outcome, pos } = self
            .thoroughly(&room_id, move |composer| composer.take_in(&pdu, &[]))
            .await?;
        Ok((outcome, pos))
    }

    /// As [`Rooms::take_in`], for an event that its server asks us to bring into a room (`/send_join` and its like): the
    /// other servers there hear of it from us.
    pub(crate) async fn take_in_for_others(&self, pdu: Pdu) -> Result<Taken> {
        let room_id = pdu.room_id().to_owned();
        let take = move |composer: &mut Composer| {
            let taken = composer.take_in(&pdu, &[])?;
            if let Taken::Accepted(event) = &taken {
                composer.tx.put(tables::RELAYED, event, &())?;
            }
            Ok(taken)
        };
        Ok(self.thoroughly(&room_id, take).await?.outcome)
    }
}

impl Composer {
    /// Judges an event and stores it with its verdict. `told` are the states after those events that it follows and that we
    /// do not have.
    pub(crate) fn take_in(&mut self, pdu: &Pdu, told: &[Told]) -> Result<Taken> {
        let room = self.desk.head.room;
        let before = Stored::find_any(&self.tx, room, pdu.event_id())?;
        if before
            .as_ref()
            .is_some_and(|before| !before.is_outlier() || before.is_rejected())
        {
            return Ok(Taken::Known);
        }
        let (earlier, unknown) = self.find_earlier(pdu.prev_events())?;
        if !unknown.is_empty() && told.is_empty() {
            return Err(Error::Missing(unknown));
        }
        let auth = self.known(pdu.auth_events())?;
        let mut place = self.place(&earlier, told)?;
        place.gap = !unknown.is_empty();
        place.early = before.is_some_and(|before| before.is_early());
        if let Some(reason) = self.rejects(pdu, &auth, place.before)? {
            return self.refuse(pdu, &place, false, reason);
        }
        if let Some(reason) = self.judged_by(pdu, self.desk.head.row.root)? {
            return self.refuse(pdu, &place, true, reason);
        }
        place.is_newest = !place.gap && self.is_newest(&place);
        let mut pdu = pdu.clone();
        if let Some((redacted, by)) = self.redacted_before(&pdu)? {
            (pdu, place.redacted_by) = (redacted, Some(by));
        }
        Ok(Taken::Accepted(self.append_at(pdu, &place, None)?.no))
    }

    /// The events with these IDs, all of them.
    pub(crate) fn known(&self, ids: &[OwnedEventId]) -> Result<Vec<Stored>> {
        let (mut known, mut missing) = (Vec::with_capacity(ids.len()), Vec::new());
        for id in ids {
            match Stored::find_any(&self.tx, self.desk.head.room, id)? {
                Some(event) => known.push(event),
                None => missing.push(id.clone()),
            }
        }
        if missing.is_empty() {
            Ok(known)
        } else {
            Err(Error::Missing(missing))
        }
    }

    /// Those of these events before and after which we know the state, and the IDs of the others.
    pub(crate) fn find_earlier(
        &self,
        ids: &[OwnedEventId],
    ) -> Result<(Vec<Stored>, Vec<OwnedEventId>)> {
        let (mut known, mut unknown) = (Vec::with_capacity(ids.len()), Vec::new());
        for id in ids {
            match Stored::find_any(&self.tx, self.desk.head.room, id)? {
                Some(event) if !event.is_outlier() => known.push(event),
                _ => unknown.push(id.clone()),
            }
        }
        Ok((known, unknown))
    }

    pub(crate) fn place(&mut self, earlier: &[Stored], told: &[Told]) -> Result<Place> {
        let follows: Vec<EventNo> = earlier.iter().map(Stored::no).collect();
        let mut place = Place {
            follows,
            before: self.desk.head.row.root,
            ..Place::default()
        };
        if !told.is_empty() || !self.is_newest(&place) {
            place.before = self.state_after(earlier, told)?;
        }
        Ok(place)
    }

    /// The state after several events, and in those states that others told.
    pub(crate) fn state_after(&mut self, earlier: &[Stored], told: &[Told]) -> Result<Root> {
        let mut states = Vec::with_capacity(earlier.len() + told.len());
        for event in earlier {
            states.push(self.root_of(At::after(event))?);
        }
        let base = states.first().copied().unwrap_or(self.desk.head.row.root);
        for told in told {
            states.push(self.root_told(base, told)?);
        }
        self.settle(&states)
    }

    /// The tree of a state that was told, as far as it has events that were not rejected. It shares with `base` what it has
    /// in common with it.
    pub(crate) fn root_told(&mut self, base: Root, told: &Told) -> Result<Root> {
        let mut wanted: HashMap<StateKeyNo, EventNo> = HashMap::with_capacity(told.0.len());
        for event in Stored::get_many(&self.tx, &told.0)? {
            if let Some(key) = event.state_key_no().filter(|_| !event.is_rejected()) {
                wanted.insert(key, event.no());
            }
        }
        let mut changes = Vec::new();
        for (key, event) in trie::all(&self.nodes(), base)? {
            match wanted.remove(&key) {
                Some(same) if same == event => {}
                other => changes.push((key, other)),
            }
        }
        changes.extend(wanted.into_iter().map(|(key, event)| (key, Some(event))));
        self.with_changes(base, &changes)
    }

    /// Whether an event that stands there follows all tips, and nothing else.
    fn is_newest(&self, place: &Place) -> bool {
        let tips = &self.desk.head.row.tips;
        tips.len() == place.follows.len() && tips.iter().all(|tip| place.follows.contains(tip))
    }

    /// Why an event is to be rejected, if it is: by the events that it names, or by the state before it.
    pub(crate) fn rejects(
        &self,
        pdu: &Pdu,
        auth: &[Stored],
        before: Root,
    ) -> Result<Option<String>> {
        let create = &self.desk.head.create.pdu;
        if pdu.event_type() == "m.room.create" && pdu.event_id() != create.event_id() {
            return Ok(Some("the room was created by another event".to_owned()));
        }
        let mut named: HashMap<OwnedEventId, (Pdu, bool)> = HashMap::new();
        for event in auth {
            let pdu = event.pdu(&self.desk.head.room_id)?;
            named.insert(event.owned_event_id()?, (pdu, event.is_rejected()));
        }
        if let Some(reason) = judged_by_auth(pdu, self.rules(), create, &named) {
            return Ok(Some(reason));
        }
        self.judged_by(pdu, before)
    }

    /// Why a state does not allow an event, if it does not.
    pub(crate) fn judged_by(&self, pdu: &Pdu, root: Root) -> Result<Option<String>> {
        let mut state = Vec::with_capacity(7);
        for (event_type, state_key) in auth::auth_types_of(self.rules(), pdu) {
            if let Some(key) = self.tx.state_key_no(event_type, &state_key)?
                && let Some(no) = trie::get(&self.nodes(), root, key)?
            {
                state.push(self.event(no)?);
            }
        }
        if AuthState::get(state.as_slice(), "m.room.create", "").is_none() {
            state.push(self.desk.head.create.pdu.clone());
        }
        let verdict = event::judge(pdu, state.as_slice(), self.rules());
        Ok(verdict.reason().map(ToString::to_string))
    }

    /// Keeps an event that was not accepted, with the reason.
    pub(crate) fn refuse(
        &mut self,
        pdu: &Pdu,
        place: &Place,
        soft: bool,
        reason: String,
    ) -> Result<Taken> {
        let sender = self.tx.intern_user(pdu.sender())?;
        let (state_key, member) = self.name_state(pdu)?;
        let entry = Entry {
            room: self.desk.head.room,
            pdu,
            sender,
            follows: &place.follows,
            before: place.before,
            state_key,
            replaces: None,
            member,
            relates: None,
            redacted_by: None,
            early: place.early,
            txn: None,
        };
        let refused = RefusalRow {
            soft,
            reason: reason.clone(),
        };
        entry.write_refused(&mut self.tx, refused)?;
        self.touch();
        Ok(if soft {
            Taken::SoftFailed(reason)
        } else {
            Taken::Rejected(reason)
        })
    }

    /// Makes an event a tip beside others, and brings the present state in step with what they are resolved to.
    pub(crate) fn fork(
        &mut self,
        place: &Place,
        known: &Known,
        state_key: Option<StateKeyNo>,
        pos: Pos,
    ) -> Result<()> {
        let old = self.desk.head.row.root;
        self.desk.head.fork(known.no, &known.pdu, &place.follows);
        let mut states = Vec::with_capacity(self.desk.head.row.tips.len());
        for tip in self.desk.head.row.tips.clone() {
            states.push(if tip == known.no {
                let own = state_key.map(|key| (key, Some(known.no)));
                self.with_changes(place.before, own.as_slice())?
            } else {
                let tip = Stored::get(&self.tx, tip)?;
                self.root_of(At::after(&tip))?
            });
        }
        let new = self.settle(&states)?;
        let differences = trie::diff(&self.nodes(), old, new)?;
        self.desk.head.row.root = new;
        // Heads remember some of what may have changed in more than one place.
        self.desk.head_is_stale = true;
        for difference in differences {
            match difference.new {
                Some(no) => {
                    let pdu = self.event(no)?;
                    self.set_state(difference.key, &Known { no, pdu }, pos)?;
                }
                None => self.unset_state(difference.key)?,
            }
        }
        Ok(())
    }

    /// Resolution can take away what only one side of a fork had.
    fn unset_state(&mut self, key: StateKeyNo) -> Result<()> {
        let (event_type, state_key) = self.pair(key)?;
        let room = self.desk.head.room;
        let shelf = crate::state::now::shelf(&event_type);
        self.tx.delete(tables::STATE_NOW, &(room, shelf, key));
        let user = <&ruma::UserId>::try_from(state_key.as_str());
        match (event_type.as_str(), user) {
            ("m.room.member", Ok(user)) => self.unset_membership(user),
            _ if !state_key.is_empty() => Ok(()),
            _ => {
                let summary = &mut self.desk.head.summary;
                summarise(summary, &event_type, "{}");
                if event_type == "m.room.tombstone" {
                    summary.replacement = None;
                }
                Ok(())
            }
        }
    }
}

/// Why the events that an event names as its authority do not allow it, if they do not. `named` are those events, and whether
/// each was rejected.
pub(crate) fn judged_by_auth(
    pdu: &Pdu,
    rules: &Rules,
    create: &Pdu,
    named: &HashMap<OwnedEventId, (Pdu, bool)>,
) -> Option<String> {
    let find = |id: &ruma::EventId| {
        let named = named.get(id).map(|(pdu, rejected)| auth::Known {
            pdu,
            rejected: *rejected,
        });
        let is_create = create.event_id() == id;
        named.or_else(|| {
            is_create.then_some(auth::Known {
                pdu: create,
                rejected: false,
            })
        })
    };
    if let Verdict::Denied(reason) = auth::check_auth_events(pdu, rules, find) {
        return Some(reason.to_string());
    }
    let ids = pdu.auth_events().iter();
    let mut state: Vec<Pdu> = ids
        .filter_map(|id| named.get(id))
        .map(|(pdu, _)| pdu.clone())
        .collect();
    state.push(create.clone());
    let verdict = event::judge(pdu, state.as_slice(), rules);
    verdict.reason().map(ToString::to_string)
}
