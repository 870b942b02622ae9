//! State resolution 2 (room version 2, *State resolution*) and 2.1 (room version 12), which differ in two facts, [`Variant`].

use super::desk::{Desk, Differences, Standing};
use super::keys::{Key, Slot, SlotSet, Table};
use super::mutation::{Mutation, on};
use super::sort::{self, Entry};
use super::{Conflicts, Pair, Source, chain};
use crate::Pdu;
use crate::auth::{Kind, Membership};
use std::collections::HashMap;

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

pub(super) fn resolve<'s, S: Source>(
    mut desk: Desk<'s, S>,
    conflicts: &'s Conflicts<S::Id>,
    variant: Variant,
) -> Result<HashMap<Pair, S::Id>, S::Error> {
    let variant = variant.mutated();
    let mut full = full_conflicted_set(&mut desk, conflicts, variant)?;
    let powers = take_power_events(&mut desk, &mut full)?;
    let powers = sort::by_power(&mut desk, powers)?;

    let mut state = if variant.starts_empty {
        Standing::empty()
    } else {
        Standing::over_agreed()
    };
    if !on(Mutation::NoFirstPass) {
        check_each(&mut desk, &powers, &mut state)?;
    }
    let power_levels = desk.standing(&state, Key::POWER_LEVELS)?;
    let rest = full.into_values().map(|(entry, _)| entry).collect();
    let rest = sort::by_mainline(&mut desk, rest, power_levels)?;
    if !on(Mutation::NoSecondPass) {
        check_each(&mut desk, &rest, &mut state)?;
    }
    desk.resolved(&state)
}

/// The events to replay, and whether each is a power event. What we do not have, and what is no state event, takes no part.
type Replay = Table<Slot, (Entry, bool)>;

fn full_conflicted_set<'s, S: Source>(
    desk: &mut Desk<'s, S>,
    conflicts: &'s Conflicts<S::Id>,
    variant: Variant,
) -> Result<Replay, S::Error> {
    let Differences { rows, sides } = desk.take_in(conflicts);
    let mut conflicting: SlotSet = sides.iter().flatten().copied().collect();
    if variant.replays_subgraph {
        let between = chain::subgraph(desk, &conflicting)?;
        conflicting.extend(between.as_slice().iter().copied());
    }
    let difference = chain::difference(desk, &sides, &conflicting)?;
    let is_agreed = |event: &Slot| {
        on(Mutation::AbsenceIsAgreement)
            && rows.iter().any(|(_, events)| events.as_slice() == [*event])
    };
    let conflicting = conflicting.as_slice().iter().copied();
    let conflicting = conflicting.filter(|event| !is_agreed(event));
    let mut full = Replay::new();
    for event in conflicting.chain(difference) {
        if let Some(known) = desk.event(event)?.filter(|known| known.pdu.is_state()) {
            full.put(
                event,
                (Entry::new(event, &known.pdu), is_power_event(&known.pdu)),
            );
        }
    }
    Ok(full)
}

/// Events that may take away what somebody could do: power levels, join rules, kicks and bans.
fn is_power_event(pdu: &Pdu) -> bool {
    match pdu.kind().zip(pdu.state_key()) {
        Some((Kind::PowerLevels, "")) => !on(Mutation::LevelsAreNoPower),
        Some((Kind::JoinRules, "")) => !on(Mutation::JoinRulesAreNoPower),
        Some((Kind::Create, "")) => true,
        Some((Kind::Member, user)) => {
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
    let mut to_visit: Vec<_> = is_power.map(|(event, _)| event).collect();
    let mut powers = Vec::new();
    while let Some(event) = to_visit.pop() {
        let Some((entry, _)) = full.take(event) else {
            continue;
        };
        powers.push(entry);
        if !on(Mutation::ChainNotAdded) {
            to_visit.extend(
                desk.behind(event)?
                    .iter()
                    .filter(|auth| full.contains(**auth)),
            );
        }
    }
    Ok(powers)
}

/// The iterative auth checks: each event that is allowed in the state so far becomes part of it.
fn check_each<S: Source>(
    desk: &mut Desk<'_, S>,
    events: &[Slot],
    state: &mut Standing,
) -> Result<(), S::Error> {
    for event in events {
        let Some(known) = desk.event(*event)? else {
            continue;
        };
        if let Some(key) = desk.key(*event)?
            && desk.is_allowed(*event, &known.pdu, state, true)?
        {
            state.put(key, *event);
        }
    }
    Ok(())
}
