//! A room's state as a tree that shares with other states what they have in common.
//!
//! Each node has up to sixteen slots, one for each value of the next four bits of the mixed key; a slot holds a piece of state, or
//! another node if several share those bits. Setting a key writes the nodes on its way and no others, so states that descend
//! from each other share the rest, and comparing two of them costs what differs. The shape depends only on what is in a
//! state, not on how it came in. Which events belong into a state is not decided here.

use store::{EventNo, NodeNo, Snapshot, StateKeyNo, tables};

use crate::error::{Error, Result};

/// The state whose nodes hang under this one; none is the empty state.
pub(crate) type Root = Option<NodeNo>;

/// A piece of state that two states do not agree on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Difference {
    /// Which type and state key.
    pub key: StateKeyNo,
    /// What the first state has.
    pub old: Option<EventNo>,
    /// What the second state has.
    pub new: Option<EventNo>,
}

/// What may stand in a slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Slot {
    Leaf(StateKeyNo, EventNo),
    Branch(NodeNo),
}

/// A node: its occupied slots in order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Node {
    slots: Vec<(u8, Slot)>,
}

/// Where nodes are read.
pub(crate) trait Nodes {
    fn node(&self, no: NodeNo) -> Result<Node>;
    /// One slot of a node, without building the others.
    fn slot(&self, no: NodeNo, nibble: u8) -> Result<Option<Slot>>;
}

/// Where new nodes go.
pub(crate) trait Grow: Nodes {
    fn add(&mut self, node: Node) -> Result<NodeNo>;
}

impl Nodes for Snapshot {
    fn node(&self, no: NodeNo) -> Result<Node> {
        let found = self.with(tables::STATE_NODES, &no, Node::decode)?;
        found.flatten().ok_or(DAMAGED)
    }

    fn slot(&self, no: NodeNo, nibble: u8) -> Result<Option<Slot>> {
        let found = self.with(tables::STATE_NODES, &no, |bytes| find_slot(bytes, nibble))?;
        found.flatten().ok_or(DAMAGED)
    }
}

const DAMAGED: Error = Error::Bug("a node of a room's state that is missing or damaged");

/// The event that a state has for a key.
pub(crate) fn get(
    nodes: &(impl Nodes + ?Sized),
    root: Root,
    key: StateKeyNo,
) -> Result<Option<EventNo>> {
    let (mixed, mut level, mut next) = (mix(key), 0, root);
    while let Some(no) = next {
        match nodes.slot(no, nibble(mixed, level))? {
            Some(Slot::Leaf(found, event)) => return Ok((found == key).then_some(event)),
            Some(Slot::Branch(no)) => next = Some(no),
            None => return Ok(None),
        }
        level += 1;
    }
    Ok(None)
}

/// The state that results from setting some keys, or unsetting them.
pub(crate) fn apply(
    grow: &mut impl Grow,
    root: Root,
    changes: &[(StateKeyNo, Option<EventNo>)],
) -> Result<Root> {
    let mut sorted: Vec<Change> = changes
        .iter()
        .map(|(key, event)| (mix(*key), *key, *event))
        .collect();
    sorted.sort_unstable_by_key(|(mixed, ..)| *mixed);
    match change(grow, root.map(Slot::Branch), 0, &sorted)? {
        None => Ok(None),
        Some(Slot::Branch(no)) => Ok(Some(no)),
        Some(leaf @ Slot::Leaf(key, _)) => {
            let slots = vec![(nibble(mix(key), 0), leaf)];
            Ok(Some(grow.add(Node { slots })?))
        }
    }
}

/// What two states do not agree on, in no particular order.
pub(crate) fn diff(nodes: &(impl Nodes + ?Sized), old: Root, new: Root) -> Result<Vec<Difference>> {
    let mut found = Vec::new();
    differ(
        nodes,
        old.map(Slot::Branch),
        new.map(Slot::Branch),
        &mut found,
    )?;
    Ok(found)
}

/// Everything in a state, in no particular order.
pub(crate) fn all(nodes: &(impl Nodes + ?Sized), root: Root) -> Result<Vec<(StateKeyNo, EventNo)>> {
    let mut found = Vec::new();
    leaves(nodes, root.map(Slot::Branch), &mut found)?;
    Ok(found)
}

type Change = (u64, StateKeyNo, Option<EventNo>);

/// What becomes of a slot when some keys below it change. `changes` is sorted by mixed key.
fn change(
    grow: &mut impl Grow,
    slot: Option<Slot>,
    level: u32,
    changes: &[Change],
) -> Result<Option<Slot>> {
    if changes.is_empty() {
        return Ok(slot);
    }
    match slot {
        Some(Slot::Branch(no)) => change_node(grow, no, level, changes),
        Some(Slot::Leaf(key, event)) => {
            let mut entries = set_of(changes);
            if !changes.iter().any(|(_, changed, _)| *changed == key) {
                entries.push((mix(key), key, event));
                entries.sort_unstable_by_key(|(mixed, ..)| *mixed);
            }
            build(grow, level, &entries)
        }
        None => build(grow, level, &set_of(changes)),
    }
}

fn change_node(
    grow: &mut impl Grow,
    no: NodeNo,
    level: u32,
    changes: &[Change],
) -> Result<Option<Slot>> {
    let node = grow.node(no)?;
    let mut slots = Vec::with_capacity(16);
    let mut rest = changes;
    for at in 0..16 {
        let (mine, others) = split(rest, level, at);
        rest = others;
        let slot = change(grow, node.at(at), level + 1, mine)?;
        slots.extend(slot.map(|slot| (at, slot)));
    }
    if slots == node.slots {
        return Ok(Some(Slot::Branch(no)));
    }
    finish(grow, level, slots)
}

type Entry = (u64, StateKeyNo, EventNo);

fn set_of(changes: &[Change]) -> Vec<Entry> {
    changes
        .iter()
        .filter_map(|(mixed, key, event)| Some((*mixed, *key, (*event)?)))
        .collect()
}

fn build(grow: &mut impl Grow, level: u32, entries: &[Entry]) -> Result<Option<Slot>> {
    match entries {
        [] => Ok(None),
        [(_, key, event)] => Ok(Some(Slot::Leaf(*key, *event))),
        _ => {
            let mut slots = Vec::with_capacity(16);
            let mut rest = entries;
            for at in 0..16 {
                let end = rest.partition_point(|(mixed, ..)| nibble(*mixed, level) <= at);
                let (mine, others) = rest.split_at(end);
                rest = others;
                slots.extend(build(grow, level + 1, mine)?.map(|slot| (at, slot)));
            }
            finish(grow, level, slots)
        }
    }
}

/// A node of these slots; a single leaf needs none, except at the top.
fn finish(grow: &mut impl Grow, level: u32, slots: Vec<(u8, Slot)>) -> Result<Option<Slot>> {
    match slots.as_slice() {
        [] => Ok(None),
        [(_, leaf @ Slot::Leaf(..))] if level > 0 => Ok(Some(*leaf)),
        _ => Ok(Some(Slot::Branch(grow.add(Node { slots })?))),
    }
}

fn split(changes: &[Change], level: u32, at: u8) -> (&[Change], &[Change]) {
    let end = changes.partition_point(|(mixed, ..)| nibble(*mixed, level) <= at);
    changes.split_at(end)
}

fn differ(
    nodes: &(impl Nodes + ?Sized),
    old: Option<Slot>,
    new: Option<Slot>,
    found: &mut Vec<Difference>,
) -> Result<()> {
    if old == new {
        return Ok(());
    }
    if let (Some(Slot::Branch(old)), Some(Slot::Branch(new))) = (old, new) {
        let (old, new) = (nodes.node(old)?, nodes.node(new)?);
        for at in 0..16 {
            differ(nodes, old.at(at), new.at(at), found)?;
        }
        return Ok(());
    }
    // At most one side has more than a leaf here, so nearly all of it differs and must be told anyway.
    let (mut before, mut after) = (Vec::new(), Vec::new());
    leaves(nodes, old, &mut before)?;
    leaves(nodes, new, &mut after)?;
    let event_of = |list: &[(StateKeyNo, EventNo)], key| {
        let entry = list.iter().find(|(other, _)| *other == key);
        entry.map(|(_, event)| *event)
    };
    for (key, old) in &before {
        let new = event_of(&after, *key);
        if new != Some(*old) {
            found.push(Difference {
                key: *key,
                old: Some(*old),
                new,
            });
        }
    }
    let added = after
        .iter()
        .filter(|(key, _)| event_of(&before, *key).is_none());
    found.extend(added.map(|(key, event)| Difference {
        key: *key,
        old: None,
        new: Some(*event),
    }));
    Ok(())
}

fn leaves(
    nodes: &(impl Nodes + ?Sized),
    slot: Option<Slot>,
    found: &mut Vec<(StateKeyNo, EventNo)>,
) -> Result<()> {
    match slot {
        None => {}
        Some(Slot::Leaf(key, event)) => found.push((key, event)),
        Some(Slot::Branch(no)) => {
            for (_, slot) in nodes.node(no)?.slots {
                leaves(nodes, Some(slot), found)?;
            }
        }
    }
    Ok(())
}

impl Node {
    pub(crate) fn at(&self, nibble: u8) -> Option<Slot> {
        let slot = self.slots.iter().find(|(at, _)| *at == nibble);
        slot.map(|(_, slot)| *slot)
    }

    /// Two bit sets, which slots are occupied and which of these are nodes, and the numbers.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let (mut used, mut branches) = (0_u16, 0_u16);
        let mut numbers = Vec::with_capacity(self.slots.len() * 6);
        for (at, slot) in &self.slots {
            used |= 1 << at;
            match slot {
                Slot::Branch(no) => {
                    branches |= 1 << at;
                    push(&mut numbers, no.get());
                }
                Slot::Leaf(key, event) => {
                    push(&mut numbers, key.get());
                    push(&mut numbers, event.get());
                }
            }
        }
        [&used.to_be_bytes()[..], &branches.to_be_bytes(), &numbers].concat()
    }

    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let (used, branches, mut rest) = bit_sets(bytes)?;
        let mut slots = Vec::with_capacity(used.count_ones() as usize);
        for at in (0..16_u8).filter(|at| used >> at & 1 == 1) {
            slots.push((at, take_slot(&mut rest, branches >> at & 1 == 1)?));
        }
        rest.is_empty().then_some(Self { slots })
    }
}

/// The slot of an encoded node: nothing if the bytes are damaged, nothing inside if it is empty.
#[expect(clippy::option_option, reason = "damage and emptiness are two things")]
fn find_slot(bytes: &[u8], nibble: u8) -> Option<Option<Slot>> {
    let (used, branches, mut rest) = bit_sets(bytes)?;
    if used >> nibble & 1 == 0 {
        return Some(None);
    }
    for at in (0..nibble).filter(|at| used >> at & 1 == 1) {
        take_slot(&mut rest, branches >> at & 1 == 1)?;
    }
    take_slot(&mut rest, branches >> nibble & 1 == 1).map(Some)
}

fn bit_sets(bytes: &[u8]) -> Option<(u16, u16, &[u8])> {
    let (used, rest) = bytes.split_first_chunk()?;
    let (branches, rest) = rest.split_first_chunk()?;
    Some((
        u16::from_be_bytes(*used),
        u16::from_be_bytes(*branches),
        rest,
    ))
}

fn take_slot(rest: &mut &[u8], is_branch: bool) -> Option<Slot> {
    let first = take(rest)?;
    if is_branch {
        return Some(Slot::Branch(NodeNo::new(first)));
    }
    Some(Slot::Leaf(
        StateKeyNo::new(first),
        EventNo::new(take(rest)?),
    ))
}

/// Seven bits a byte, the lowest first; the highest bit says that more follow.
fn push(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push((number & 0x7F) as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

fn take(rest: &mut &[u8]) -> Option<u64> {
    let mut number = 0;
    for shift in (0..64).step_by(7) {
        let (byte, tail) = rest.split_first()?;
        *rest = tail;
        number |= u64::from(byte & 0x7F) << shift;
        if byte & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}

/// Spreads numbers that were given one after the other over all bits; no two become the same (the finaliser of `SplitMix64`).
fn mix(key: StateKeyNo) -> u64 {
    let mut x = key.get().wrapping_add(0x9e37_79b9_7f4a_7c15);
    x = (x ^ x >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ x >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ x >> 31
}

fn nibble(mixed: u64, level: u32) -> u8 {
    (mixed >> 60_u32.saturating_sub(4 * level) & 0xF) as u8
}

#[cfg(test)]
mod tests;
