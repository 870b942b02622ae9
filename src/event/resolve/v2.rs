//! State resolution 2 (room version 2, *State resolution*) and 2.1 (room version 12), which differ in two facts, [`Variant`].

use super::desk::{Desk, Standing};
use super::mutation::{Mutation, on};
use super::sort::{self, Entry};
use super::{Conflicts, Pair, Source, chain};
use crate::Pdu;
use crate::auth::Membership;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::hash::Hash;

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
) -> Result<BTreeMap<Pair, S::Id>, S::Error> {
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
    let power_levels = state.get(desk.source, "m.room.power_levels", "")?;
    let rest = sort::by_mainline(
        &mut desk,
        full.into_values().map(|(entry, _)| entry).collect(),
        power_levels,
    )?;
    if !on(Mutation::NoSecondPass) {
        check_each(&mut desk, &rest, &mut state)?;
    }
    state.into_resolved(desk.source)
}

/// The events to replay, and whether each is a power event. What we do not have, and what is no state event, takes no part.
type Replay<Id> = HashMap<Id, (Entry<Id>, bool)>;

fn full_conflicted_set<S: Source>(
    desk: &mut Desk<'_, S>,
    conflicts: &Conflicts<S::Id>,
    variant: Variant,
) -> Result<Replay<S::Id>, S::Error> {
    let mut conflicting: HashSet<_> = conflicts.events().collect();
    let mut full = Replay::new();
    let between = if variant.replays_subgraph {
        chain::subgraph(desk, &conflicting)?
    } else {
        HashSet::new()
    };
    conflicting.extend(between);
    let difference = chain::difference(desk, &conflicts.sides(), &conflicting)?;
    if on(Mutation::AbsenceIsAgreement) {
        conflicting.retain(|id| !conflicts.is_lonely(*id));
    }
    for id in conflicting.into_iter().chain(difference) {
        if let Some(known) = desk.event(id)?.filter(|known| known.pdu.is_state()) {
            full.insert(id, (Entry::new(id, &known.pdu), is_power_event(&known.pdu)));
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
    full: &mut Replay<S::Id>,
) -> Result<Vec<Entry<S::Id>>, S::Error> {
    let mut to_visit: Vec<_> = full
        .iter()
        .filter(|(_, (_, is_power))| *is_power)
        .map(|(id, _)| *id)
        .collect();
    let mut powers = Vec::new();
    while let Some(id) = to_visit.pop() {
        let Some((entry, _)) = full.remove(&id) else {
            continue;
        };
        powers.push(entry);
        if on(Mutation::ChainNotAdded) {
            continue;
        }
        to_visit.extend(
            desk.behind(id)?
                .into_iter()
                .filter(|auth| full.contains_key(auth)),
        );
    }
    Ok(powers)
}

/// The iterative auth checks: each event that is allowed in the state so far becomes part of it.
fn check_each<S: Source>(
    desk: &mut Desk<'_, S>,
    ids: &[S::Id],
    state: &mut Standing<'_, S::Id>,
) -> Result<(), S::Error>
where
    S::Id: Copy + Eq + Hash,
{
    for id in ids {
        let Some(known) = desk.event(*id)? else {
            continue;
        };
        if let Some((event_type, state_key)) = known.pdu.state_pair()
            && desk.is_allowed(*id, &known.pdu, state, true)?
        {
            state.put(event_type, state_key, *id);
        }
    }
    Ok(())
}
