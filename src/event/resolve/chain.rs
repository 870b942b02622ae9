//! The auth graph: which events stand behind which, without walking back to the start of the room.
//!
//! Each event has a [`Place`]: the events it names as its auth events, and a *rank*, a number greater than the ranks of all of those. The simplest rank
//! is a counter per room that goes up whenever an event is stored, because an event's auth events are always stored before it; events that arrive
//! together are numbered in the order of [`oldest_first`]. Ranks never leave the server, nothing depends on their values, and gaps are fine.
//!
//! With ranks, a question about two chains is answered by walking both from the newest event down, and stopping where they have met: events below the
//! lowest difference are never read, and what all chains share above it is read once. That is a few events in a quiet room and the length of the fork in a
//! divided one. A chain cover (chain, sequence) would jump over shared stretches as well, at the price of an index that has to be maintained under
//! rejected and late events; shared stretches above a difference are short, because auth chains hold power levels and the memberships of the few who act.
//!
//! What the states *agree* on belongs to every chain too, and it may be a hundred thousand members. It is not walked: an agreed event can only reach a
//! doubtful one if its rank is greater, and few agreed events are newer than the start of a fork ([`Source::agreed_after`]). A store that keeps states
//! in a tree keeps the greatest rank of each subtree beside it and so finds them without a scan.

use super::Source;
use super::desk::Desk;
use super::keys::{Slot, SlotSet, Table};
use super::mutation::{Mutation, on};
use smallvec::{SmallVec, smallvec};
use std::collections::{BinaryHeap, HashMap};
use std::hash::Hash;

/// A number greater than that of every event behind this one.
pub type Rank = u64;

/// Where an event stands in the auth graph.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place<Id> {
    /// Greater than the rank of each auth event.
    pub rank: Rank,
    /// The auth events, in the order the event names them; those we do not have may be left out.
    pub auth: SmallVec<[Id; 6]>,
}

/// Sorts events so that each comes after its auth events, as far as those are among them. Events that stand behind themselves, which honest
/// servers cannot make, come last.
pub fn oldest_first<Id: Copy + Eq + Hash>(events: &[(Id, &[Id])]) -> Vec<Id> {
    let known: HashMap<Id, usize> = events
        .iter()
        .enumerate()
        .map(|(at, (id, _))| (*id, at))
        .collect();
    let mut followers: Vec<Vec<usize>> = vec![Vec::new(); events.len()];
    let mut waiting = vec![0_usize; events.len()];
    for (at, (_, auth)) in events.iter().enumerate() {
        for behind in auth.iter().filter_map(|id| known.get(id)) {
            if let (Some(list), Some(count)) = (followers.get_mut(*behind), waiting.get_mut(at)) {
                list.push(at);
                *count += 1;
            }
        }
    }
    let mut ready: Vec<usize> = (0..events.len())
        .rev()
        .filter(|at| waiting.get(*at) == Some(&0))
        .collect();
    let mut sorted = Vec::with_capacity(events.len());
    let mut done = vec![false; events.len()];
    while let Some(at) = ready.pop() {
        done.get_mut(at).into_iter().for_each(|it| *it = true);
        sorted.extend(events.get(at).map(|(id, _)| *id));
        for follower in followers
            .get_mut(at)
            .map(std::mem::take)
            .unwrap_or_default()
        {
            if let Some(count) = waiting.get_mut(follower) {
                *count -= 1;
                if *count == 0 {
                    ready.push(follower);
                }
            }
        }
    }
    sorted.extend(
        events
            .iter()
            .zip(done)
            .filter(|(_, done)| !done)
            .map(|((id, _), _)| *id),
    );
    sorted
}

/// The auth difference, without the conflicting events themselves: what stands in the auth chain of some state, but not of all.
///
/// `sides` holds the conflicting events of each state. The events of a state are not part of its chain unless a link leads to them.
pub(super) fn difference<S: Source>(
    desk: &mut Desk<'_, S>,
    sides: &[Vec<Slot>],
    conflicting: &SlotSet,
) -> Result<Vec<Slot>, S::Error> {
    if on(Mutation::NoAuthDifference) {
        return Ok(Vec::new());
    }
    let mut walk = Walk::new(sides.len());
    for (side, events) in sides.iter().enumerate() {
        for event in events {
            walk.reach_behind(desk, *event, &Mask::only(side, sides.len()))?;
        }
    }
    let mut partial = walk.down(desk)?;
    partial.retain(|(_, event)| !conflicting.contains(*event));
    let Some(oldest) = partial.iter().map(|(rank, _)| *rank).min() else {
        return Ok(Vec::new());
    };
    let mut difference: Vec<Slot> = partial.into_iter().map(|(_, event)| event).collect();
    if on(Mutation::AgreedChainsIgnored) {
        return Ok(difference);
    }
    let agreed = desk.source.agreed_after(oldest)?;
    let shared = behind(desk, agreed, oldest)?;
    difference.retain(|event| !shared.contains(*event));
    if on(Mutation::StateCountsAsChain) {
        let agreed = desk.source.agreed_after(0)?;
        let agreed: SlotSet = desk.slots(agreed).into_iter().collect();
        difference.retain(|event| !agreed.contains(*event));
    }
    Ok(difference)
}

/// What stands behind some events, down to a rank.
fn behind<S: Source>(
    desk: &mut Desk<'_, S>,
    ids: Vec<S::Id>,
    oldest: Rank,
) -> Result<SlotSet, S::Error> {
    let mut to_visit = desk.slots(ids);
    let mut behind = SlotSet::default();
    while let Some(event) = to_visit.pop() {
        for auth in &*desk.behind(event)? {
            if desk.rank(*auth)?.is_some_and(|rank| rank >= oldest) && behind.insert(*auth) {
                to_visit.push(*auth);
            }
        }
    }
    Ok(behind)
}

/// The conflicted state subgraph, without the conflicting events themselves: whatever lies on a path of auth events from one of them to another.
pub(super) fn subgraph<S: Source>(
    desk: &mut Desk<'_, S>,
    conflicting: &SlotSet,
) -> Result<SlotSet, S::Error> {
    let mut oldest = Rank::MAX;
    for event in conflicting.as_slice() {
        oldest = oldest.min(desk.rank(*event)?.unwrap_or(Rank::MAX));
    }
    let mut to_visit: Vec<_> = conflicting.as_slice().to_vec();
    let mut passed: Table<Slot, Rank> = Table::new();
    while let Some(event) = to_visit.pop() {
        for auth in &*desk.behind(event)? {
            if let Some(rank) = desk.rank(*auth)?.filter(|rank| *rank > oldest)
                && !conflicting.contains(*auth)
                && passed.put(*auth, rank).is_none()
            {
                to_visit.push(*auth);
            }
        }
    }
    let mut upwards: Vec<_> = passed.iter().map(|(event, rank)| (*rank, event)).collect();
    upwards.sort_unstable();
    let mut between = SlotSet::default();
    for (_, event) in upwards {
        if desk
            .behind(event)?
            .iter()
            .any(|auth| conflicting.contains(*auth) || between.contains(*auth))
        {
            between.insert(event);
        }
    }
    Ok(between)
}

/// A walk down from several states at once, which ends where nothing is left that only some of them reach.
struct Walk {
    everyone: Mask,
    /// Each event found, and which states reach it.
    found: Table<Slot, Mask>,
    /// Found and not yet passed, by rank.
    ahead: BinaryHeap<(Rank, Slot)>,
    /// How many of those are not reached by everyone.
    partial_ahead: usize,
}

impl Walk {
    fn new(sides: usize) -> Self {
        Self {
            everyone: Mask::all(sides),
            found: Table::new(),
            ahead: BinaryHeap::new(),
            partial_ahead: 0,
        }
    }

    /// Goes on until every event ahead is reached by everyone; the events passed that were not, with their ranks.
    fn down<S: Source>(&mut self, desk: &mut Desk<'_, S>) -> Result<Vec<(Rank, Slot)>, S::Error> {
        let mut partial = Vec::new();
        while self.partial_ahead > 0 {
            let Some((rank, event)) = self.ahead.pop() else {
                break;
            };
            let Some(mask) = self.found.get(event).cloned() else {
                break;
            };
            if mask != self.everyone {
                self.partial_ahead -= 1;
                partial.push((rank, event));
            }
            self.reach_behind(desk, event, &mask)?;
        }
        Ok(partial)
    }

    /// Only downwards, whatever the source says: that is what makes the walk end, and each event final when it is passed.
    fn reach_behind<S: Source>(
        &mut self,
        desk: &mut Desk<'_, S>,
        event: Slot,
        mask: &Mask,
    ) -> Result<(), S::Error> {
        let below = desk.rank(event)?.unwrap_or(0);
        for auth in &*desk.behind(event)? {
            if let Some(rank) = desk.rank(*auth)?.filter(|rank| *rank < below) {
                self.reach(*auth, rank, mask);
            }
        }
        Ok(())
    }

    fn reach(&mut self, event: Slot, rank: Rank, mask: &Mask) {
        if let Some(seen) = self.found.get_mut(event) {
            let was_partial = *seen != self.everyone;
            seen.join(mask);
            self.partial_ahead -= usize::from(was_partial && *seen == self.everyone);
        } else {
            self.found.put(event, mask.clone());
            self.ahead.push((rank, event));
            self.partial_ahead += usize::from(*mask != self.everyone);
        }
    }
}

/// A set of states.
#[derive(Clone, PartialEq, Eq)]
struct Mask(SmallVec<[u64; 1]>);

impl Mask {
    fn all(sides: usize) -> Self {
        let mut mask = Self(smallvec![0; sides.div_ceil(64)]);
        (0..sides).for_each(|side| mask.add(side));
        mask
    }

    fn only(side: usize, sides: usize) -> Self {
        let mut mask = Self(smallvec![0; sides.div_ceil(64)]);
        mask.add(side);
        mask
    }

    fn add(&mut self, side: usize) {
        if let Some(word) = self.0.get_mut(side / 64) {
            *word |= 1 << (side % 64);
        }
    }

    fn join(&mut self, other: &Self) {
        self.0
            .iter_mut()
            .zip(&other.0)
            .for_each(|(word, more)| *word |= more);
    }
}
