//! State resolution 1 (room version 1, *State resolution*): by type, depth, and the SHA-1 of the event id.

use super::desk::{Desk, Standing};
use super::keys::{Key, Slot};
use super::mutation::{Mutation, on};
use super::{Conflicts, Pair, Source};
use crate::Pdu;
use sha1::{Digest as _, Sha1};
use std::cmp::Reverse;
use std::collections::HashMap;

/// The candidates of one key, by ascending depth and then descending hash.
struct Conflict {
    key: Key,
    candidates: Vec<Slot>,
}

pub(super) fn resolve<'s, S: Source>(
    mut desk: Desk<'s, S>,
    conflicts: &'s Conflicts<S::Id>,
) -> Result<HashMap<Pair, S::Id>, S::Error> {
    let mut state = Standing::over_agreed();
    let mut passes: [Vec<Conflict>; 4] = Default::default();
    for (key, events) in desk.take_in(conflicts).rows {
        // A key that only some states have is no conflict here: the others just lack it.
        if let [only] = events.as_slice() {
            state.put(key, *only);
            continue;
        }
        let candidates = candidates(&mut desk, &events)?;
        if let Some(pass) = passes.get_mut(pass_of(desk.name(key))) {
            pass.push(Conflict { key, candidates });
        }
    }
    let [levels, join_rules, members, others] = passes;
    for pass in [levels, join_rules, members] {
        settle(&mut desk, &mut state, &pass, stepwise)?;
    }
    settle(&mut desk, &mut state, &others, newest_allowed)?;
    desk.resolved(&state)
}

fn pass_of(key: (&str, &str)) -> usize {
    match key {
        ("m.room.power_levels", "") if on(Mutation::LevelsNotFirst) => 2,
        ("m.room.power_levels", "") => 0,
        ("m.room.join_rules", _) => 1,
        ("m.room.member", _) if on(Mutation::MembersNotBeforeOthers) => 3,
        ("m.room.member", _) => 2,
        _ => 3,
    }
}

/// Puts the events of a key in order; those we do not have, and rejected ones, are left out.
fn candidates<S: Source>(desk: &mut Desk<'_, S>, events: &[Slot]) -> Result<Vec<Slot>, S::Error> {
    let mut candidates = Vec::with_capacity(events.len());
    for event in events {
        let known = desk.event(*event)?.filter(|known| !known.rejected);
        candidates.extend(known.map(|known| (order(&known.pdu), *event)));
    }
    candidates.sort_unstable();
    Ok(candidates.into_iter().map(|(_, event)| event).collect())
}

fn order(pdu: &Pdu) -> (u64, Reverse<[u8; 20]>) {
    let mut hash = <[u8; 20]>::from(Sha1::digest(pdu.event_id().as_bytes()));
    if on(Mutation::HashReversed) {
        hash.iter_mut().for_each(|byte| *byte = !*byte);
    }
    let depth = if on(Mutation::DepthReversed) {
        u64::MAX - pdu.depth()
    } else {
        pdu.depth()
    };
    (depth, Reverse(hash))
}

/// How one key is settled.
type Method<S> =
    fn(&mut Desk<'_, S>, &mut Standing, &Conflict) -> Result<Option<Slot>, <S as Source>::Error>;

/// Settles the keys of a pass. None sees the outcome of another of the same pass.
fn settle<S: Source>(
    desk: &mut Desk<'_, S>,
    state: &mut Standing,
    pass: &[Conflict],
    method: Method<S>,
) -> Result<(), S::Error> {
    let mut outcome = Vec::with_capacity(pass.len());
    for conflict in pass {
        outcome.push((conflict, method(desk, state, conflict)?));
        state.take(conflict.key);
    }
    for (conflict, id) in outcome {
        if let Some(id) = id {
            state.put(conflict.key, id);
        }
    }
    Ok(())
}

/// From the oldest on, as long as each is allowed after the one before.
fn stepwise<S: Source>(
    desk: &mut Desk<'_, S>,
    state: &mut Standing,
    conflict: &Conflict,
) -> Result<Option<Slot>, S::Error> {
    let mut standing = None;
    for event in &conflict.candidates {
        if standing.is_some() && !is_allowed(desk, *event, state)? {
            if on(Mutation::DenialSkipsOne) {
                continue;
            }
            break;
        }
        state.put(conflict.key, *event);
        standing = Some(*event);
    }
    Ok(standing)
}

/// The newest that is allowed; if none is, the oldest.
fn newest_allowed<S: Source>(
    desk: &mut Desk<'_, S>,
    state: &mut Standing,
    conflict: &Conflict,
) -> Result<Option<Slot>, S::Error> {
    for event in conflict.candidates.iter().rev() {
        if on(Mutation::OthersUnchecked) || is_allowed(desk, *event, state)? {
            return Ok(Some(*event));
        }
    }
    Ok(conflict
        .candidates
        .first()
        .copied()
        .filter(|_| !on(Mutation::LastResortMissing)))
}

fn is_allowed<S: Source>(
    desk: &mut Desk<'_, S>,
    event: Slot,
    state: &Standing,
) -> Result<bool, S::Error> {
    match desk.event(event)? {
        Some(known) => desk.is_allowed(event, &known.pdu, state, false),
        None => Ok(false),
    }
}
