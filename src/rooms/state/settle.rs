//! One state out of several: runs `event::resolve` over the trees of a room's states. It reads where they differ, and what they
//! agree on only where the rules ask for it. Ranks in the auth graph are made of event numbers: an event is stored after the
//! events that authorise it, but for the few that came from outside of the room.

use event::resolve::{self, Conflicts, Known, Pair, Place, Rank, Source};
use store::{EventNo, StateKeyNo};

use super::At;
use super::trie::{self, Root};
use crate::compose::Composer;
use crate::error::{Error, Result};
use crate::stored::Stored;

impl Composer {
    /// The tree of a state.
    pub(crate) fn root_of(&mut self, at: At) -> Result<Root> {
        let (root, plus) = at.parts();
        match plus {
            Some((key, event)) => self.with_changes(root, &[(key, Some(event))]),
            None => Ok(root),
        }
    }

    /// The state that several states are resolved to.
    pub(crate) fn settle(&mut self, states: &[Root]) -> Result<Root> {
        let Some((first, others)) = states.split_first() else {
            return Ok(None);
        };
        let conflicts = self.conflicts(*first, others)?;
        if conflicts.is_empty() {
            return Ok(*first);
        }
        let sides: Vec<(Pair, StateKeyNo)> = self.conflicting_keys(*first, others)?;
        let view = View {
            composer: self,
            agreed: *first,
            conflicts: &conflicts,
        };
        let resolved = resolve::resolve(self.rules(), &conflicts, &view)?;
        let mut changes: Vec<(StateKeyNo, Option<EventNo>)> = sides
            .iter()
            .map(|(pair, key)| (*key, resolved.get(pair).copied()))
            .collect();
        for (pair, event) in &resolved {
            if !conflicts.contains(&pair.0, &pair.1) {
                let key = self.tx.intern_state_key(&pair.0, &pair.1)?;
                changes.push((key, Some(*event)));
            }
        }
        self.with_changes(*first, &changes)
    }

    fn conflicts(&self, first: Root, others: &[Root]) -> Result<Conflicts<EventNo>> {
        let nodes = self.nodes();
        let mut conflicts = Conflicts::between(others.len() + 1);
        for (pair, key) in self.conflicting_keys(first, others)? {
            let mut events = vec![trie::get(&nodes, first, key)?];
            for other in others {
                events.push(trie::get(&nodes, *other, key)?);
            }
            conflicts.note(&pair.0, &pair.1, events);
        }
        Ok(conflicts)
    }

    fn conflicting_keys(&self, first: Root, others: &[Root]) -> Result<Vec<(Pair, StateKeyNo)>> {
        let nodes = self.nodes();
        let mut keys = std::collections::BTreeSet::new();
        for other in others {
            let differences = trie::diff(&nodes, first, *other)?;
            keys.extend(differences.into_iter().map(|difference| difference.key));
        }
        keys.into_iter()
            .map(|key| Ok((self.pair(key)?, key)))
            .collect()
    }

    /// The type and the key that a number stands for, which this very batch may have given.
    pub(crate) fn pair(&self, key: StateKeyNo) -> Result<Pair> {
        match self.desk.keys.get(&key) {
            Some(pair) => Ok(pair.clone()),
            None => Ok((*self.tx.state_key(key)?).clone()),
        }
    }
}

/// How many ranks there are between an event's number and the next one, for those that were stored early.
const EARLY: u32 = 8;

/// The rank of an event that was stored after those that authorise it.
fn rank_of(event: EventNo) -> Rank {
    event.get() << EARLY
}

impl View<'_> {
    fn auth_of(&self, id: EventNo) -> Result<Vec<EventNo>> {
        let pdu = self.composer.event(id)?;
        let mut auth = Vec::with_capacity(pdu.auth_events().len());
        for event in pdu.auth_events() {
            auth.extend(self.composer.tx.event_no(event)?);
        }
        Ok(auth)
    }

    /// One that was stored early comes right after the last of those that authorise it, which few others do as well.
    fn rank(&self, id: EventNo, depth: u32) -> Result<Rank> {
        let row = self.composer.tx.get(store::tables::EVENTS, &id)?;
        let mut rank = rank_of(id);
        if depth < EARLY && row.is_some_and(|row| row.early) {
            for event in self.auth_of(id)? {
                rank = rank.max(self.rank(event, depth + 1)?.saturating_add(1));
            }
        }
        Ok(rank)
    }
}

/// A room as resolution sees it.
struct View<'c> {
    composer: &'c Composer,
    /// Any one of the states, for what all agree on.
    agreed: Root,
    conflicts: &'c Conflicts<EventNo>,
}

impl Source for View<'_> {
    type Id = EventNo;
    type Error = Error;

    fn event(&self, id: EventNo) -> Result<Option<Known>> {
        let rejected = match self.composer.tx.get(store::tables::EVENTS, &id)? {
            Some(row) => Stored::new(id, row).is_rejected(),
            None => false,
        };
        Ok(Some(Known {
            pdu: self.composer.event(id)?,
            rejected,
        }))
    }

    fn place(&self, id: EventNo) -> Result<Option<Place<EventNo>>> {
        let mut place = Place {
            rank: self.rank(id, 0)?,
            auth: Default::default(),
        };
        place.auth.extend(self.auth_of(id)?);
        Ok(Some(place))
    }

    fn create(&self) -> Result<Option<EventNo>> {
        Ok(Some(self.composer.desk.head.create.no))
    }

    fn agreed(&self, event_type: &str, state_key: &str) -> Result<Option<EventNo>> {
        match self.composer.tx.state_key_no(event_type, state_key)? {
            Some(key) => trie::get(&self.composer.nodes(), self.agreed, key),
            None => Ok(None),
        }
    }

    fn agreed_after(&self, rank: Rank) -> Result<Vec<EventNo>> {
        let mut found = Vec::new();
        for (key, event) in trie::all(&self.composer.nodes(), self.agreed)? {
            if rank_of(event) <= rank {
                continue;
            }
            let (event_type, state_key) = self.composer.pair(key)?;
            if !self.conflicts.contains(&event_type, &state_key) {
                found.push(event);
            }
        }
        Ok(found)
    }
}
