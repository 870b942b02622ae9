//! State resolution 1 as the specification tells it, over whole states, with no thought given to speed. Written from the text alone, apart from what
//! `resolve/mod.rs` says the servers of the field agree on.

use super::dag::Dag;
use event::resolve::{Pair, StateMap};
use event::{Pdu, Verdict, auth};
use ruma::OwnedEventId;
use sha1::{Digest as _, Sha1};
use std::collections::BTreeMap;

/// The resolution of the room's states.
pub fn resolve(dag: &Dag) -> StateMap {
    // "Start by setting R to the union of the states to be resolved, excluding any conflicting events."
    let mut candidates: BTreeMap<Pair, Vec<OwnedEventId>> = BTreeMap::new();
    for state in &dag.states {
        for (pair, id) in state {
            let ids = candidates.entry(pair.clone()).or_default();
            if !ids.contains(id) {
                ids.push(id.clone());
            }
        }
    }
    let mut resolved: StateMap = candidates
        .iter()
        .filter(|(_, ids)| ids.len() == 1)
        .map(|(pair, ids)| (pair.clone(), ids[0].clone()))
        .collect();
    candidates.retain(|_, ids| ids.len() > 1);
    // A rejected event is no candidate; that leaves nothing of some keys.
    for ids in candidates.values_mut() {
        ids.retain(|id| !dag.find(id).unwrap().rejected);
    }
    candidates.retain(|_, ids| !ids.is_empty());

    for event_type in ["m.room.power_levels", "m.room.join_rules", "m.room.member"] {
        let of_type = |pair: &Pair| {
            pair.0 == event_type && (event_type != "m.room.power_levels" || pair.1.is_empty())
        };
        let before = resolved.clone();
        for (pair, ids) in candidates.iter().filter(|(pair, _)| of_type(pair)) {
            resolved.insert(pair.clone(), authed(dag, &before, pair, ids));
        }
        candidates.retain(|pair, _| !of_type(pair));
    }
    let before = resolved.clone();
    for (pair, ids) in &candidates {
        resolved.insert(pair.clone(), other(dag, &before, ids));
    }
    resolved
}

/// "Add the first event in the list to R. For each subsequent event in the list, check that the event would be allowed by the authorisation rules for
/// a room in state R. […] If it would not be allowed, stop."
fn authed(dag: &Dag, before: &StateMap, pair: &Pair, ids: &[OwnedEventId]) -> OwnedEventId {
    let mut list = sorted(dag, ids);
    let mut state = before.clone();
    let mut last = list.remove(0);
    state.insert(pair.clone(), last.event_id().to_owned());
    for pdu in list {
        if !allowed(dag, &state, &pdu) {
            break;
        }
        state.insert(pair.clone(), pdu.event_id().to_owned());
        last = pdu;
    }
    last.event_id().to_owned()
}

/// "Just pick the event with the highest depth and lowest sha1(event_id) that passes authentication in R."
fn other(dag: &Dag, before: &StateMap, ids: &[OwnedEventId]) -> OwnedEventId {
    let list = sorted(dag, ids);
    let pick = list
        .iter()
        .rev()
        .find(|pdu| allowed(dag, before, pdu))
        .unwrap_or(&list[0]);
    pick.event_id().to_owned()
}

/// "Sort the list by ascending depth then descending sha1(event_id)."
fn sorted(dag: &Dag, ids: &[OwnedEventId]) -> Vec<Pdu> {
    let mut list: Vec<Pdu> = ids.iter().map(|id| dag.find(id).unwrap().pdu).collect();
    let hash = |pdu: &Pdu| {
        Sha1::digest(pdu.event_id().as_str())
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect::<String>()
    };
    list.sort_by(|a, b| a.depth().cmp(&b.depth()).then(hash(b).cmp(&hash(a))));
    list
}

fn allowed(dag: &Dag, state: &StateMap, pdu: &Pdu) -> bool {
    let state: Vec<Pdu> = state
        .values()
        .filter_map(|id| dag.find(id))
        .filter(|known| !known.rejected)
        .map(|known| known.pdu)
        .collect();
    auth::judge(pdu, &state, dag.rules) == Verdict::Allowed
}
