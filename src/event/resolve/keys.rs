//! Small numbers for what one resolution deals with all the time: events ([`Slot`]) and keys of a state ([`Key`]), and tables by such numbers.
//!
//! Numbers are given out one after the other, so a table is a list, and looking something up compares no text and hashes nothing.

use crate::auth::Kind;
use std::borrow::Cow;
use std::collections::HashMap;

/// An event during one resolution.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Slot(pub(super) usize);

/// A type and a state key during one resolution.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Key(usize);

impl Key {
    const CREATE: Self = Self(0);
    pub(super) const POWER_LEVELS: Self = Self(1);
    const JOIN_RULES: Self = Self(2);
}

/// What has a number.
pub(super) trait Number: Copy {
    fn index(self) -> usize;
    fn at(index: usize) -> Self;
}

impl Number for Slot {
    fn index(self) -> usize {
        self.0
    }

    fn at(index: usize) -> Self {
        Self(index)
    }
}

impl Number for Key {
    fn index(self) -> usize {
        self.0
    }

    fn at(index: usize) -> Self {
        Self(index)
    }
}

/// Something for each of some numbered things.
pub(super) struct Table<N, V> {
    places: Vec<Option<V>>,
    by: std::marker::PhantomData<N>,
}

impl<N: Number, V> Table<N, V> {
    pub(super) const fn new() -> Self {
        Self {
            places: Vec::new(),
            by: std::marker::PhantomData,
        }
    }

    pub(super) fn get(&self, number: N) -> Option<&V> {
        self.places.get(number.index())?.as_ref()
    }

    pub(super) fn get_mut(&mut self, number: N) -> Option<&mut V> {
        self.places.get_mut(number.index())?.as_mut()
    }

    pub(super) fn contains(&self, number: N) -> bool {
        self.get(number).is_some()
    }

    /// Puts something in a place; what was there before.
    pub(super) fn put(&mut self, number: N, value: V) -> Option<V> {
        if self.places.len() <= number.index() {
            self.places.resize_with(number.index() + 1, || None);
        }
        self.places.get_mut(number.index())?.replace(value)
    }

    pub(super) fn take(&mut self, number: N) -> Option<V> {
        self.places.get_mut(number.index())?.take()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (N, &V)> {
        let places = self.places.iter().enumerate();
        places.filter_map(|(at, value)| Some((N::at(at), value.as_ref()?)))
    }

    pub(super) fn into_values(self) -> impl Iterator<Item = V> {
        self.places.into_iter().flatten()
    }
}

/// A set of events, which keeps them in the order in which they came.
#[derive(Default)]
pub(super) struct SlotSet {
    has: Vec<bool>,
    listed: Vec<Slot>,
}

impl SlotSet {
    /// Whether it is new.
    pub(super) fn insert(&mut self, slot: Slot) -> bool {
        if self.has.len() <= slot.0 {
            self.has.resize(slot.0 + 1, false);
        }
        let is_new = self
            .has
            .get_mut(slot.0)
            .is_some_and(|has| !std::mem::replace(has, true));
        if is_new {
            self.listed.push(slot);
        }
        is_new
    }

    pub(super) fn contains(&self, slot: Slot) -> bool {
        self.has.get(slot.0).is_some_and(|has| *has)
    }

    pub(super) fn as_slice(&self) -> &[Slot] {
        &self.listed
    }
}

impl Extend<Slot> for SlotSet {
    fn extend<I: IntoIterator<Item = Slot>>(&mut self, slots: I) {
        for slot in slots {
            self.insert(slot);
        }
    }
}

impl FromIterator<Slot> for SlotSet {
    fn from_iter<I: IntoIterator<Item = Slot>>(slots: I) -> Self {
        let mut set = Self::default();
        set.extend(slots);
        set
    }
}

/// A type or a state key: borrowed from the conflicts, or an event's own.
type Text<'c> = Cow<'c, str>;

/// Which number stands for which key.
pub(super) struct Keys<'c> {
    names: Vec<(Text<'c>, Text<'c>)>,
    /// Those of members, by user: in a large room nearly all.
    members: HashMap<Text<'c>, Key>,
    others: HashMap<Text<'c>, HashMap<Text<'c>, Key>>,
}

impl<'c> Keys<'c> {
    pub(super) fn new() -> Self {
        // In the order of their constants.
        let known = [Kind::Create, Kind::PowerLevels, Kind::JoinRules];
        let names = known.map(|kind| (kind.name().into(), "".into()));
        Self {
            names: names.into(),
            members: HashMap::new(),
            others: HashMap::new(),
        }
    }

    /// The number of a key that lives as long as the resolution.
    pub(super) fn borrow(&mut self, event_type: &'c str, state_key: &'c str) -> Key {
        let kind = Kind::named(event_type);
        self.find(kind, event_type, state_key)
            .unwrap_or_else(|| self.add(kind, event_type.into(), state_key.into()))
    }

    pub(super) fn number(&mut self, kind: Option<Kind>, event_type: &str, state_key: &str) -> Key {
        self.find(kind, event_type, state_key).unwrap_or_else(|| {
            let event_type = event_type.to_owned().into();
            self.add(kind, event_type, state_key.to_owned().into())
        })
    }

    fn find(&self, kind: Option<Kind>, event_type: &str, state_key: &str) -> Option<Key> {
        match kind {
            Some(Kind::Member) => self.members.get(state_key).copied(),
            Some(Kind::Create) if state_key.is_empty() => Some(Key::CREATE),
            Some(Kind::PowerLevels) if state_key.is_empty() => Some(Key::POWER_LEVELS),
            Some(Kind::JoinRules) if state_key.is_empty() => Some(Key::JOIN_RULES),
            _ => self.others.get(event_type)?.get(state_key).copied(),
        }
    }

    fn add(&mut self, kind: Option<Kind>, event_type: Text<'c>, state_key: Text<'c>) -> Key {
        let key = Key(self.names.len());
        self.names.push((event_type.clone(), state_key.clone()));
        if kind == Some(Kind::Member) {
            self.members.insert(state_key, key);
        } else {
            let keys = self.others.entry(event_type).or_default();
            keys.insert(state_key, key);
        }
        key
    }

    /// The type and the state key that a number stands for.
    pub(super) fn name(&self, key: Key) -> Option<(&str, &str)> {
        let (event_type, state_key) = self.names.get(key.0)?;
        Some((event_type, state_key))
    }
}
