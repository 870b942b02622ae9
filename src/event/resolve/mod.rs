//! State resolution: one state out of several (room version 1; room version 2; 2.1 in room version 12, *State resolution*).
//!
//! Nothing here reads a whole room state. The caller says where the states differ ([`Conflicts`]); what they agree on is looked up key by key through
//! a [`Source`], which also finds events and their places in the auth graph ([`chain`]). The cost is that of the difference.
//! [`resolve_sets`] does the comparing too, for callers that hold whole states in memory: tests, tools, small rooms.
//!
//! Where the text and the servers of the field differ, or the text is silent, all of them must still arrive at one state, so we do as they do:
//! - The create event counts as a power event, and power levels and join rules do so under the empty state key only.
//! - A power event is followed down its auth chain through events of the full conflicted set only.
//! - A rejected event is not used to judge others, not even when it stands in the state; its auth event of the same key is used then.
//! - Version 1: rejected events are no candidates. If every candidate of a key is denied, the one with the least depth stays. Conflicts of one pass do
//!   not see each other's outcome.
//!
//! One server (Synapse, by its own note) never admits a rejected event in version 2 either; the text says they are handled as usual, and so they are here.

pub mod chain;
mod desk;
mod keys;
mod mutation;
mod sort;
mod split;
#[cfg(test)]
mod tests;
mod v1;
mod v2;

pub use chain::{Place, Rank};
pub use split::{Conflicts, StateMap, resolve_sets};

use crate::Pdu;
use crate::rules::{Resolution, Rules};
use std::collections::HashMap;
use std::hash::Hash;

/// An event type and a state key.
pub type Pair = (String, String);

/// An event, and whether it was rejected when it was received.
#[derive(Debug, Clone)]
pub struct Known {
    /// The event.
    pub pdu: Pdu,
    /// It failed the checks on receipt.
    pub rejected: bool,
}

/// Where resolution finds what it needs. Events go by whatever short name the caller has for them.
pub trait Source {
    /// The caller's name for an event.
    type Id: Copy + Eq + Hash;
    /// What can go wrong with looking something up.
    type Error;

    /// An event. Asked for again and again, so it had better be cached; `None` if we do not have it, then it takes no part.
    fn event(&self, id: Self::Id) -> Result<Option<Known>, Self::Error>;

    /// Where the event stands in the auth graph.
    fn place(&self, id: Self::Id) -> Result<Option<Place<Self::Id>>, Self::Error>;

    /// The room's create event, which in some versions nobody names among its auth events.
    fn create(&self) -> Result<Option<Self::Id>, Self::Error>;

    /// The event that *every* state has for a key. Asked only about keys that are not among the conflicts.
    fn agreed(&self, event_type: &str, state_key: &str) -> Result<Option<Self::Id>, Self::Error>;

    /// Those of the agreed events whose rank is greater than this. Asked at most once, and only if the states' histories diverged by more than the
    /// conflicting events themselves; the rank is then that of the oldest event in question.
    fn agreed_after(&self, rank: Rank) -> Result<Vec<Self::Id>, Self::Error>;
}

/// Resolves what the states do not agree on: the event of each such key. A conflicting key that is missing from the answer is missing from the resolved
/// state; a key the states agree on keeps its event and is not repeated. The answer can hold keys that no state had.
pub fn resolve<S: Source>(
    rules: &Rules,
    conflicts: &Conflicts<S::Id>,
    source: &S,
) -> Result<HashMap<Pair, S::Id>, S::Error> {
    if conflicts.is_empty() {
        return Ok(HashMap::new());
    }
    let desk = desk::Desk::new(rules, source);
    match rules.resolution {
        Resolution::V1 => v1::resolve(desk, conflicts),
        Resolution::V2 => v2::resolve(desk, conflicts, v2::Variant::TWO),
        Resolution::V2_1 => v2::resolve(desk, conflicts, v2::Variant::TWO_ONE),
    }
}
