//! State resolution 2 (room version 2, *State resolution*) and 2.1 (room version 12), which differ in two facts, [`Variant`].

use super::desk::{Desk, Slot, Standing};
use super::mutation::{Mutation, on};
use super::sort::{self, Entry};
use super::{Conflicts, Pair, Source, chain};
use crate::Pdu;
use crate::auth::Membership;
use std::collections::{HashMap, HashSet};

/// What 2.1 changed.
#[derive(Clone, Copy)]
pub(super) struct Variant {
    /// The first checks start from nothing, not from what the states agree on.
    starts_empty: bool,
    /// The conflicted state subgraph is replayed too.
    replays_subgraph: bool,
}

impl Variant {
    pub(super) const TWO: Self = Self {
        starts_empty: false,
        replays_subgraph: false,
    };
    pub(super) const TWO_ONE: Self = Self {
        starts_empty: true,
        replays_subgraph: true,
    };

    fn mutated(self) -> Self {
        let it = if on(Mutation::TwoForTwoOne) {
            Self::TWO
        } else {
            self
        };
        Self {
            starts_empty: it.starts_empty != on(Mutation::WrongStart),
            replays_subgraph: it.replays_subgraph && !on(Mutation::NoSubgraph),
        }
    }
}

pub(super) fn resolve<S: Source>(
    mut desk: Desk<'_, S>,
    conflicts: &Conflicts<S::Id>,
    variant: Variant,
) -> Result<HashMap<Pair, S::Id>, S::Error> {
    let variant = variant.mutated();
    let mut full = full_conflicted_set(&mut desk, conflicts, variant)?;
    let powers = take_power_events(&mut desk, &mut full)?;
    let powers = sort::by_power(&mut desk, powers)?;

    let mut state = if variant.starts_empty {
        Standing::empty(conflicts)
    } else {
        Standing::over_agreed(conflicts)
    };
    if !on(Mutation::NoFirstPass) {
        check_each(&mut desk, &powers, &mut state)?;
    }
    let power_levels = desk.standing(&state, "m.room.power_levels", "")?;
    let rest = full.into_values().map(|(entry, _)| entry).collect();
    let rest = sort::by_mainline(&mut desk, rest, power_levels)?;
    if !on(Mutation::NoSecondPass) {
        check_each(&mut desk, &rest, &mut state)?;
    }
    desk.resolved(state)
}

/// The events to replay, and whether each is a power event. What we do not have, and what is no state event, takes no part.
type Replay = HashMap<Slot, (Entry, bool)>;

fn full_conflicted_set<S: Source>(
    desk: &mut Desk<'_, S>,
    conflicts: &Conflicts<S::Id>,
    variant: Variant,
) -> Result<Replay, S::Error> {
    let sides: Vec<_> = conflicts
        .sides()
        .into_iter()
        .map(|ids| desk.slots(ids))
        .collect();
    let mut conflicting: HashSet<_> = sides.iter().flatten().copied().collect();
    if variant.replays_subgraph {
        let between = chain::subgraph(desk, &conflicting)?;
        conflicting.extend(between);
    }
    let difference = chain::difference(desk, &sides, &conflicting)?;
    if on(Mutation::AbsenceIsAgreement) {
        for (_, _, ids) in conflicts.rows() {
            if let [only] = ids.as_slice() {
                conflicting.remove(&desk.slot(*only));
            }
        }
    }
    let mut full = Replay::with_capacity(conflicting.len() + difference.len());
    for event in conflicting.into_iter().chain(difference) {
        if let Some(known) = desk.event(event)?.filter(|known| known.pdu.is_state()) {
            full.insert(
                event,
                (Entry::new(event, &known.pdu), is_power_event(&known.pdu)),
            );
        }
    }
    Ok(full)
}

/// Events that may take away what somebody could do: power levels, join rules, kicks and bans.
fn is_power_event(pdu: &Pdu) -> bool {
    match pdu.state_pair() {
        Some(("m.room.power_levels", "")) => !on(Mutation::LevelsAreNoPower),
        Some(("m.room.join_rules", "")) => !on(Mutation::JoinRulesAreNoPower),
        Some(("m.room.create", "")) => true,
        Some(("m.room.member", user)) => {
            let done_to_them = pdu.sender() != user || on(Mutation::LeavingIsPower);
            let removes = match pdu.membership() {
                Some(Membership::Leave) => !on(Mutation::KicksAreNoPower),
                Some(Membership::Ban) => !on(Mutation::BansAreNoPower),
                _ => false,
            };
            done_to_them && removes
        }
        _ => false,
    }
}

/// Takes out the power events, with what of the set stands behind them.
fn take_power_events<S: Source>(
    desk: &mut Desk<'_, S>,
    full: &mut Replay,
) -> Result<Vec<Entry>, S::Error> {
    let is_power = full.iter().filter(|(_, (_, is_power))| *is_power);
    let mut to_visit: Vec<_> = is_power.map(|(event, _)| *event).collect();
    let mut powers = Vec::new();
    while let Some(event) = to_visit.pop() {
        let Some((entry, _)) = full.remove(&event) else {
            continue;
        };
        powers.push(entry);
        if !on(Mutation::ChainNotAdded) {
            to_visit.extend(
                desk.behind(event)?
                    .iter()
                    .filter(|auth| full.contains_key(*auth)),
            );
        }
    }
    Ok(powers)
}

/// The iterative auth checks: each event that is allowed in the state so far becomes part of it.
fn check_each<S: Source>(
    desk: &mut Desk<'_, S>,
    events: &[Slot],
    state: &mut Standing<'_, S::Id>,
) -> Result<(), S::Error> {
    for event in events {
        let Some(known) = desk.event(*event)? else {
            continue;
        };
        if let Some((event_type, state_key)) = known.pdu.state_pair()
            && desk.is_allowed(*event, &known.pdu, state, true)?
        {
            state.put(event_type, state_key, *event);
        }
    }
    Ok(())
}
