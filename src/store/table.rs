//! What a table is: a name, a key type, a value type and a hint for the engine's tuning. Which tables exist is in
//! `tables.rs`.

use std::marker::PhantomData;

/// How a table is used, so that an engine can tune for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Hint {
    /// Looked up by whole key, in no particular order; often for keys that are absent.
    Point,
    /// Written at the end, read in ranges.
    Append,
    /// Written at one end, read and deleted at the other.
    Queue,
    /// Values of many kilobytes.
    Big,
}

/// A table's name, and its hash for quick lookup.
#[derive(Debug, Clone, Copy)]
pub struct TableId {
    hash: u64,
    name: &'static str,
}

impl TableId {
    const fn new(name: &'static str) -> Self {
        Self {
            hash: fnv(name.as_bytes()),
            name,
        }
    }

    /// The name, as on disk.
    pub const fn name(self) -> &'static str {
        self.name
    }

    /// A hash of the name; distinct for all tables there are (a test says so).
    pub const fn hash(self) -> u64 {
        self.hash
    }
}

impl PartialEq for TableId {
    fn eq(&self, other: &Self) -> bool {
        self.hash == other.hash
    }
}

impl Eq for TableId {}

/// A table without its types: what an engine has to know to open it.
#[derive(Debug, Clone, Copy)]
pub struct Spec {
    /// Which table.
    pub id: TableId,
    /// How it is used.
    pub hint: Hint,
}

/// A table of rows `V` ordered by their keys `K`.
pub struct Table<K, V> {
    spec: Spec,
    types: PhantomData<fn() -> (K, V)>,
}

impl<K, V> Table<K, V> {
    /// Declares a table. Belongs in `tables.rs`, or in a test.
    pub const fn new(name: &'static str, hint: Hint) -> Self {
        Self {
            spec: Spec {
                id: TableId::new(name),
                hint,
            },
            types: PhantomData,
        }
    }

    /// The table without its types.
    pub const fn spec(&self) -> Spec {
        self.spec
    }

    /// Which table this is.
    pub const fn id(&self) -> TableId {
        self.spec.id
    }
}

impl<K, V> Clone for Table<K, V> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<K, V> Copy for Table<K, V> {}

/// FNV-1a, because it can run at compile time.
const fn fnv(mut bytes: &[u8]) -> u64 {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    while let [first, rest @ ..] = bytes {
        hash = (hash ^ *first as u64).wrapping_mul(0x0000_0100_0000_01b3);
        bytes = rest;
    }
    hash
}
