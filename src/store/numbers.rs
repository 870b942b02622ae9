//! Short numbers that stand for long names: given once, never reused, never shown outside.
//!
//! A name and its number are two rows, written with the batch that first uses them under the assertion that nobody
//! else has numbered the name. Until that batch is on disk, everybody in this process who asks for a number of the
//! same name is given the same one, so that batches waiting behind each other do not get in conflict over it.

use std::collections::HashMap;
use std::fmt;
use std::hash::Hash;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use minicbor::{Decode, Encode};
use quick_cache::sync::Cache;
use ruma::{EventId, OwnedEventId, OwnedRoomId, OwnedUserId, RoomId, UserId};

use crate::cbor_row;
use crate::codec::{Key, KeyBuf, KeyOf, short, take_short};
use crate::error::{Error, Malformed};
use crate::read::Snapshot;
use crate::row::{Row, RowBuf, RowOf};
use crate::rows::house::StateKey;
use crate::table::{Table, TableId};
use crate::tables;
use crate::write::Tx;

macro_rules! numbers {
    ($($(#[$doc:meta])* $name:ident),* $(,)?) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(u64);

        impl $name {
            /// The number as such, for counting and for tests.
            pub const fn get(self) -> u64 {
                self.0
            }

            /// Takes a number that was read from a row of one's own.
            pub const fn new(number: u64) -> Self {
                Self(number)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl KeyOf<$name> for $name {
            fn encode(&self, out: &mut KeyBuf) {
                out.push_short(self.0);
            }
        }

        impl Key for $name {
            fn decode(input: &mut &[u8]) -> Result<Self, Malformed> {
                take_short(input).map(Self)
            }
        }

        impl RowOf<$name> for $name {
            fn encode(&self, out: &mut RowBuf) -> Result<(), Malformed> {
                let (bytes, len) = short(self.0);
                out.push(bytes.get(..len).unwrap_or_default());
                Ok(())
            }
        }

        impl Row for $name {
            fn decode(mut bytes: &[u8]) -> Result<Self, Malformed> {
                take_short(&mut bytes).map(Self)
            }
        }

        impl<C> Encode<C> for $name {
            fn encode<W: minicbor::encode::Write>(
                &self,
                e: &mut minicbor::Encoder<W>,
                _: &mut C,
            ) -> Result<(), minicbor::encode::Error<W::Error>> {
                e.u64(self.0)?.ok()
            }
        }

        impl<'b, C> Decode<'b, C> for $name {
            fn decode(d: &mut minicbor::Decoder<'b>, _: &mut C) -> Result<Self, minicbor::decode::Error> {
                d.u64().map(Self)
            }
        }
    )*};
}

numbers!(
    /// Stands for a room ID.
    RoomNo,
    /// Stands for a user ID, ours or another server's.
    UserNo,
    /// Stands for an event ID.
    EventNo,
    /// Stands for an event type together with a state key.
    StateKeyNo,
    /// Names a node of a room's state.
    NodeNo,
);

/// The highest number used of each kind; as a row of `META`, with the head of the log.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Used {
    /// Users.
    #[n(0)]
    pub users: u64,
    /// Rooms.
    #[n(1)]
    pub rooms: u64,
    /// Events.
    #[n(2)]
    pub events: u64,
    /// Types with state keys.
    #[n(3)]
    pub state_keys: u64,
    /// State nodes.
    #[n(4)]
    pub nodes: u64,
    /// The last position of the log.
    #[n(5)]
    pub head: u64,
}

cbor_row!(Used);

impl Used {
    pub(crate) fn raise(&mut self, other: &Self) {
        self.users = self.users.max(other.users);
        self.rooms = self.rooms.max(other.rooms);
        self.events = self.events.max(other.events);
        self.state_keys = self.state_keys.max(other.state_keys);
        self.nodes = self.nodes.max(other.nodes);
        self.head = self.head.max(other.head);
    }
}

/// A name that has been given a number in a batch that is not on disk yet.
#[derive(Debug)]
pub(crate) struct Pending {
    kind: TableId,
    name: Box<[u8]>,
    number: u64,
    waiting: Weak<Waiting>,
}

type Waiting = Mutex<Places>;
/// By kind and name.
type Places = HashMap<(u64, Box<[u8]>), Weak<Pending>>;

fn lock(waiting: &Waiting) -> MutexGuard<'_, Places> {
    waiting.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Pending {
    /// Which kind, which number.
    pub(crate) fn place(&self) -> (u64, u64) {
        (self.kind.hash(), self.number)
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        let Some(waiting) = self.waiting.upgrade() else {
            return;
        };
        let place = (self.kind.hash(), std::mem::take(&mut self.name));
        let mut waiting = lock(&waiting);
        if waiting
            .get(&place)
            .is_some_and(|other| other.strong_count() == 0)
        {
            waiting.remove(&place);
        }
    }
}

/// The counters, and what is remembered of names and numbers.
pub(crate) struct Numbers {
    users: Book<OwnedUserId>,
    rooms: Book<OwnedRoomId>,
    events: Book<OwnedEventId>,
    state_keys: Book<Arc<(String, String)>>,
    nodes: AtomicU64,
    waiting: Arc<Waiting>,
}

/// One kind of names: the last number given, and two bounded caches. Only what is on disk is in them.
struct Book<Name> {
    last: AtomicU64,
    by_name: Cache<Box<[u8]>, u64>,
    by_number: Cache<u64, Name>,
}

impl<Name: Clone> Book<Name> {
    fn new(last: u64, remembered: usize) -> Self {
        Self {
            last: AtomicU64::new(last),
            by_name: Cache::new(remembered),
            by_number: Cache::new(remembered),
        }
    }

    fn next(&self) -> u64 {
        self.last.fetch_add(1, Ordering::Relaxed) + 1
    }
}

impl Numbers {
    pub(crate) fn new(used: &Used) -> Self {
        Self {
            users: Book::new(used.users, 20_000),
            rooms: Book::new(used.rooms, 5_000),
            events: Book::new(used.events, 20_000),
            state_keys: Book::new(used.state_keys, 20_000),
            nodes: AtomicU64::new(used.nodes),
            waiting: Arc::default(),
        }
    }

    /// Remembers a name once its number is on disk.
    pub(crate) fn settle(&self, pending: &Pending) {
        let book =
            |cache: &Cache<Box<[u8]>, u64>| cache.insert(pending.name.clone(), pending.number);
        match pending.kind {
            kind if kind == tables::USER_NO.id() => book(&self.users.by_name),
            kind if kind == tables::ROOM_NO.id() => book(&self.rooms.by_name),
            kind if kind == tables::EVENT_NO.id() => book(&self.events.by_name),
            _ => book(&self.state_keys.by_name),
        }
    }

    /// The number that a batch under way has given to a name, or a new one.
    fn pend<Name: Clone>(&self, book: &Book<Name>, kind: TableId, name: &[u8]) -> Arc<Pending> {
        let mut waiting = lock(&self.waiting);
        let place = (kind.hash(), Box::from(name));
        if let Some(pending) = waiting.get(&place).and_then(Weak::upgrade) {
            return pending;
        }
        let waiting_list = Arc::downgrade(&self.waiting);
        let pending = Arc::new(Pending {
            kind,
            name: Box::from(name),
            number: book.next(),
            waiting: waiting_list,
        });
        waiting.insert(place, Arc::downgrade(&pending));
        pending
    }
}

impl Snapshot {
    /// The number of a user, if they have one.
    pub fn user_no(&self, user: &UserId) -> Result<Option<UserNo>, Error> {
        self.number_of(tables::USER_NO, &self.numbers().users, user.as_str())
    }

    /// The user with this number.
    pub fn user_id(&self, user: UserNo) -> Result<OwnedUserId, Error> {
        self.name_of(
            tables::USER_ID,
            &self.numbers().users,
            &user,
            user.0,
            OwnedUserId::try_from,
        )
    }

    /// The number of a room, if it has one.
    pub fn room_no(&self, room: &RoomId) -> Result<Option<RoomNo>, Error> {
        self.number_of(tables::ROOM_NO, &self.numbers().rooms, room.as_str())
    }

    /// The room with this number.
    pub fn room_id(&self, room: RoomNo) -> Result<OwnedRoomId, Error> {
        self.name_of(
            tables::ROOM_ID,
            &self.numbers().rooms,
            &room,
            room.0,
            OwnedRoomId::try_from,
        )
    }

    /// The number of an event, if it has one.
    pub fn event_no(&self, event: &EventId) -> Result<Option<EventNo>, Error> {
        self.number_of(tables::EVENT_NO, &self.numbers().events, event.as_str())
    }

    /// The event with this number.
    pub fn event_id(&self, event: EventNo) -> Result<OwnedEventId, Error> {
        self.name_of(
            tables::EVENT_ID,
            &self.numbers().events,
            &event,
            event.0,
            OwnedEventId::try_from,
        )
    }

    /// The number of a type with a state key, if it has one.
    pub fn state_key_no(
        &self,
        event_type: &str,
        state_key: &str,
    ) -> Result<Option<StateKeyNo>, Error> {
        self.number_of(
            tables::STATE_KEY_NO,
            &self.numbers().state_keys,
            &(event_type, state_key),
        )
    }

    /// The type and the state key with this number.
    pub fn state_key(&self, number: StateKeyNo) -> Result<Arc<(String, String)>, Error> {
        let named = |row: StateKey| Ok::<_, Malformed>(Arc::new((row.event_type, row.state_key)));
        self.name_of(
            tables::STATE_KEY,
            &self.numbers().state_keys,
            &number,
            number.0,
            named,
        )
    }

    fn number_of<K: Key, N: Row + From<Short>, Name: Clone, Q: KeyOf<K> + ?Sized>(
        &self,
        table: Table<K, N>,
        book: &Book<Name>,
        name: &Q,
    ) -> Result<Option<N>, Error>
    where
        Short: From<N>,
    {
        let key = KeyBuf::of(name);
        if let Some(number) = book.by_name.get(key.as_bytes()) {
            return Ok(Some(N::from(Short(number))));
        }
        let found = self.get_encoded(table, &key)?.map(Short::from);
        if let Some(Short(number)) = found {
            book.by_name.insert(Box::from(key.as_bytes()), number);
        }
        Ok(found.map(N::from))
    }

    fn name_of<N: Key, V: Row, Name: Clone, E: fmt::Display>(
        &self,
        table: Table<N, V>,
        book: &Book<Name>,
        number: &N,
        raw: u64,
        read: impl FnOnce(V) -> Result<Name, E>,
    ) -> Result<Name, Error> {
        if let Some(name) = book.by_number.get(&raw) {
            return Ok(name);
        }
        let key = KeyBuf::of(number);
        let mut row = self.get_encoded(table, &key)?;
        if row.is_none() {
            // The number came from a cache and is newer than this snapshot; what it stands for never changes.
            row = self.newest().get_encoded(table, &key)?;
        }
        let row = row.ok_or(Error::UnknownNumber {
            kind: table.id().name(),
            number: raw,
        })?;
        let name = read(row).map_err(|why| Error::Corrupt {
            table: table.id().name(),
            key: crate::error::hex(key.as_bytes()),
            why: Malformed(why.to_string()),
        })?;
        book.by_number.insert(raw, name.clone());
        Ok(name)
    }
}

impl Tx {
    /// The number of a user, given now if they have none.
    pub fn intern_user(&mut self, user: &UserId) -> Result<UserNo, Error> {
        let numbers = self.numbers().clone();
        let (no, id) = (tables::USER_NO, tables::USER_ID);
        let number = self.intern(no, &numbers, &numbers.users, user.as_str(), |tx, number| {
            tx.put(id, &number, user.as_str())
        })?;
        self.batch_mut().used.users = self.batch_mut().used.users.max(number.0);
        Ok(number)
    }

    /// The number of a room, given now if it has none.
    pub fn intern_room(&mut self, room: &RoomId) -> Result<RoomNo, Error> {
        let numbers = self.numbers().clone();
        let (no, id) = (tables::ROOM_NO, tables::ROOM_ID);
        let number = self.intern(no, &numbers, &numbers.rooms, room.as_str(), |tx, number| {
            tx.put(id, &number, room.as_str())
        })?;
        self.batch_mut().used.rooms = self.batch_mut().used.rooms.max(number.0);
        Ok(number)
    }

    /// The number of an event, given now if it has none.
    pub fn intern_event(&mut self, event: &EventId) -> Result<EventNo, Error> {
        let numbers = self.numbers().clone();
        let (no, id) = (tables::EVENT_NO, tables::EVENT_ID);
        let number = self.intern(
            no,
            &numbers,
            &numbers.events,
            event.as_str(),
            |tx, number| tx.put(id, &number, event.as_str()),
        )?;
        self.batch_mut().used.events = self.batch_mut().used.events.max(number.0);
        Ok(number)
    }

    /// The number of a type with a state key, given now if it has none.
    pub fn intern_state_key(
        &mut self,
        event_type: &str,
        state_key: &str,
    ) -> Result<StateKeyNo, Error> {
        let numbers = self.numbers().clone();
        let row = || StateKey {
            event_type: event_type.to_owned(),
            state_key: state_key.to_owned(),
        };
        let (no, id) = (tables::STATE_KEY_NO, tables::STATE_KEY);
        let number = self.intern(
            no,
            &numbers,
            &numbers.state_keys,
            &(event_type, state_key),
            |tx, number| tx.put(id, &number, &row()),
        )?;
        self.batch_mut().used.state_keys = self.batch_mut().used.state_keys.max(number.0);
        Ok(number)
    }

    /// A number for a new state node.
    pub fn new_node(&mut self) -> NodeNo {
        let number = self.numbers().nodes.fetch_add(1, Ordering::Relaxed) + 1;
        let used = &mut self.batch_mut().used;
        used.nodes = used.nodes.max(number);
        NodeNo(number)
    }

    fn intern<K: Key, N: Row + From<Short> + Copy, Name: Clone, Q: KeyOf<K> + ?Sized>(
        &mut self,
        table: Table<K, N>,
        numbers: &Numbers,
        book: &Book<Name>,
        name: &Q,
        also: impl FnOnce(&mut Self, N) -> Result<(), Error>,
    ) -> Result<N, Error>
    where
        Short: From<N>,
    {
        if let Some(number) = self.number_of(table, book, name)? {
            return Ok(number);
        }
        let key = KeyBuf::of(name);
        let pending = numbers.pend(book, table.id(), key.as_bytes());
        let number = N::from(Short(pending.number));
        if self.holds(&pending) {
            return Ok(number);
        }
        let (bytes, len) = short(pending.number);
        let batch = self.batch_mut();
        batch.claim_if_present(
            table.id(),
            key.as_bytes(),
            bytes.get(..len).unwrap_or_default(),
        );
        batch.interned.push(pending);
        self.put(table, name, &number)?;
        also(self, number)?;
        Ok(number)
    }
}

/// A number whose kind does not matter for a moment.
#[derive(Clone, Copy)]
struct Short(u64);

macro_rules! shorts {
    ($($name:ident),*) => {$(
        impl From<Short> for $name {
            fn from(short: Short) -> Self {
                Self(short.0)
            }
        }

        impl From<$name> for Short {
            fn from(number: $name) -> Self {
                Self(number.0)
            }
        }
    )*};
}

shorts!(RoomNo, UserNo, EventNo, StateKeyNo);
