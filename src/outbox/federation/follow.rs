//! The follower of the log: who must hear of what.
//!
//! Of an event of ours hear the servers with somebody in the room, before it or after it (who comes later is told of what was before by whoever lets
//! them in), and the server of whoever's membership it sets. Server
//! ACLs do not matter here: a server that is shut out but still in the room is sent events all the same (client-server API, *Server Access Control
//! Lists*). Its position in the log is stored only as far as everything is delivered, in a stored transaction, or stored as owed.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use base::supervise::{Context, Next, Worker, WorkerError};
use rooms::{Membership, Stored};
use ruma::{OwnedServerName, ServerName};
use store::rows::outbox::OwedRow;
use store::{Change, EventNo, Follower, Pos, RoomNo, Snapshot, Tail, Tx, UserNo, tables};
use tokio::sync::watch;
use tokio::time::Instant;
use users::to_device_out;

use super::audience::Audiences;
use super::queue::{Destination, Due};
use super::transaction::stored;
use super::{Federation, Inner, lengthened, owe};
use crate::error::{Error, Result};

/// The follower's name in the store.
const NAME: &str = "federation";
/// Changes gone through at a time.
const BATCH: usize = 256;
/// How often the position is stored; what has waited for longer than that is stored as owed.
const FLUSH: Duration = Duration::from_secs(1);
/// How often other servers are told again that somebody is still typing. They stop believing it after a while.
const TYPING_AGAIN: Duration = Duration::from_secs(25);

type Owed = HashMap<(OwnedServerName, RoomNo), OwedRow>;
type OwedLists = BTreeMap<(OwnedServerName, UserNo), OwedRow>;

/// What a batch of changes comes to.
#[derive(Default)]
struct Marked {
    owed: Owed,
    lists: OwedLists,
    touched: BTreeMap<OwnedServerName, Arc<Destination>>,
}

/// The worker.
pub(super) struct Follow {
    federation: Federation,
    position: Arc<Follower>,
    tail: Option<Tail>,
    /// Changes that were read and are not dealt with.
    work: Vec<(Pos, Change)>,
    audiences: Audiences,
    /// What must be written down before the position may move.
    unwritten: Marked,
    typing: watch::Receiver<u64>,
    typed: u64,
    /// Our users who type, as other servers were told.
    typists: BTreeSet<(RoomNo, UserNo)>,
    typing_again: Instant,
    /// Everything up to here is dealt with, in memory at least.
    done: Pos,
    /// As `done`, at the last flush.
    flushed: Pos,
    /// As far as the position is stored.
    reached: Pos,
    flush: Instant,
}

impl Follow {
    pub(super) fn new(federation: Federation) -> Self {
        let inner = &federation.inner;
        let typing = inner.rooms.typing().watch();
        let typed = *typing.borrow();
        Self {
            position: Arc::new(inner.store.follower(NAME)),
            tail: None,
            work: Vec::new(),
            audiences: Audiences::default(),
            unwritten: Marked::default(),
            typed,
            typing,
            typists: BTreeSet::new(),
            typing_again: Instant::now() + TYPING_AGAIN,
            done: Pos::ZERO,
            flushed: Pos::ZERO,
            reached: Pos::ZERO,
            flush: Instant::now() + FLUSH,
            federation,
        }
    }

    /// Takes up what was left when the server stopped.
    async fn resume(&mut self) -> Result<()> {
        let federation = self.federation.clone();
        let read = move |s: &Snapshot| {
            let mut names = to_device_out::servers(s)?;
            let parse = |name: &str| ServerName::parse(name).ok();
            for row in s.scan(tables::DESTINATIONS, .., store::Order::Forward) {
                let (name, row) = row?;
                names.extend(row.flight.and_then(|_| parse(&name)));
            }
            for key in s.scan(tables::OWED, .., store::Order::Forward).keys() {
                names.extend(parse(&key?.0));
            }
            for key in s
                .scan(tables::OWED_DEVICE_LISTS, .., store::Order::Forward)
                .keys()
            {
                names.extend(parse(&key?.0));
            }
            names.sort();
            names.dedup();
            let desk = &federation.inner.desk;
            for name in names {
                desk.wake(&desk.open(s, &name)?);
            }
            Ok::<_, Error>(())
        };
        self.federation.inner.store.read(read).await?;
        let position = self.position.position()?;
        (self.done, self.flushed, self.reached) = (position, position, position);
        self.tail = Some(self.federation.inner.store.tail(position));
        Ok(())
    }

    /// Deals with the changes that were read.
    async fn mark(&mut self) -> Result<()> {
        let Some(upto) = self.work.last().map(|(pos, _)| *pos) else {
            return Ok(());
        };
        let (federation, work) = (self.federation.clone(), self.work.clone());
        let mut audiences = std::mem::take(&mut self.audiences);
        let read = move |s: &Snapshot| {
            let mut marking = Marking {
                inner: &federation.inner,
                s,
                audiences: &mut audiences,
                marked: Marked::default(),
            };
            // What was marked before something failed will not be marked again.
            let done = marking.all(&work);
            let marked = marking.marked;
            Ok::<_, Error>((marked, audiences, done))
        };
        let (marked, audiences, done) = self.federation.inner.store.read(read).await?;
        self.audiences = audiences;
        self.unwritten.absorb(marked);
        done?;
        self.work.clear();
        self.done = upto;
        self.write(None).await
    }

    /// Writes down what is owed, and how far everything is dealt with, if that is given; then wakes those concerned.
    async fn write(&mut self, reach: Option<Pos>) -> Result<()> {
        let (owed, lists) = (self.unwritten.owed.clone(), self.unwritten.lists.clone());
        if !owed.is_empty() || !lists.is_empty() || reach.is_some() {
            let position = self.position.clone();
            let write = move |tx: &mut Tx| {
                for ((server, room), more) in &owed {
                    owe(tx, tables::OWED, &(server.as_str(), *room), more)?;
                }
                for ((server, user), more) in &lists {
                    let key = (server.as_str(), *user);
                    owe(tx, tables::OWED_DEVICE_LISTS, &key, more)?;
                }
                if let Some(reach) = reach {
                    position.advance(tx, reach)?;
                }
                Ok::<_, Error>(())
            };
            self.federation.inner.store.write_relaxed(write).await?;
        }
        let desk = &self.federation.inner.desk;
        let Marked {
            owed,
            lists,
            touched,
        } = std::mem::take(&mut self.unwritten);
        // Whoever has looked before this was written has found nothing.
        for (server, _) in owed.keys() {
            if let Some(destination) = touched.get(server) {
                destination.lock().written();
            }
        }
        for (server, _) in lists.keys() {
            if let Some(destination) = touched.get(server) {
                destination.lock().has_edus = true;
            }
        }
        for destination in touched.values() {
            desk.wake(destination);
        }
        Ok(())
    }

    /// Stores the position, as far as nothing would be lost by it.
    async fn flush(&mut self) -> Result<()> {
        self.flush = Instant::now() + FLUSH;
        if self.reached == self.done {
            return Ok(());
        }
        let desk = &self.federation.inner.desk;
        let (reach, fallen) = desk.flushable(self.done, self.flushed);
        for (destination, due) in fallen {
            self.unwritten.owe(&destination, &due);
        }
        self.flushed = self.done;
        if reach > self.reached || !self.unwritten.owed.is_empty() {
            let reach = reach.max(self.reached);
            self.write(Some(reach)).await?;
            self.reached = reach;
        }
        self.federation.inner.desk.sweep();
        Ok(())
    }

    /// Tells of those who began or ceased to type.
    async fn pass_on_typing(&mut self) -> Result<()> {
        let version = *self.typing.borrow_and_update();
        let federation = self.federation.clone();
        let changed = federation.inner.rooms.typing().changed_rooms(self.typed);
        self.typed = version;
        let before: BTreeSet<(RoomNo, UserNo)> = self
            .typists
            .iter()
            .filter(|(room, _)| changed.contains(room))
            .copied()
            .collect();
        self.tell_typing(before, changed).await
    }

    /// Tells again of those who are still typing.
    async fn repeat_typing(&mut self) -> Result<()> {
        self.typing_again = Instant::now() + TYPING_AGAIN;
        let rooms: BTreeSet<RoomNo> = self.typists.iter().map(|(room, _)| *room).collect();
        self.tell_typing(BTreeSet::new(), rooms.into_iter().collect())
            .await
    }

    async fn tell_typing(
        &mut self,
        before: BTreeSet<(RoomNo, UserNo)>,
        rooms: Vec<RoomNo>,
    ) -> Result<()> {
        if rooms.is_empty() {
            return Ok(());
        }
        let federation = self.federation.clone();
        let mut audiences = std::mem::take(&mut self.audiences);
        let read = move |s: &Snapshot| {
            let inner = &federation.inner;
            let mut now = BTreeSet::new();
            for room in rooms {
                for user in inner.rooms.typing().users(room) {
                    if inner.rooms.is_ours(&s.user_id(user)?) {
                        now.insert((room, user));
                    }
                }
            }
            let changed = before.symmetric_difference(&now);
            for (room, user) in changed {
                let is_typing = now.contains(&(*room, *user));
                for server in audiences.of(s, *room)? {
                    inner.mention(s, &server, |about| about.typing(*room, *user, is_typing))?;
                }
            }
            Ok::<_, Error>((before, now, audiences))
        };
        let (before, now, audiences) = self.federation.inner.store.read(read).await?;
        self.audiences = audiences;
        self.typists.retain(|typist| !before.contains(typist));
        self.typists.extend(now);
        Ok(())
    }
}

impl Worker for Follow {
    fn name(&self) -> String {
        "federation follower".to_owned()
    }

    async fn step(&mut self, cx: &Context) -> Result<Next, WorkerError> {
        if self.tail.is_none() {
            self.resume().await?;
        }
        // What a failed step has left.
        self.mark().await?;
        let Some(tail) = &mut self.tail else {
            return Err(Error::Bug("a follower without its log").into());
        };
        tokio::select! {
            biased;
            () = cx.stopping() => {
                self.flush().await?;
                return Ok(Next::Stop);
            }
            () = tokio::time::sleep_until(self.flush), if self.reached != self.done => {
                self.flush().await?;
            }
            changes = tail.next(BATCH) => {
                self.work = changes?;
                self.mark().await?;
            }
            _ = self.typing.changed() => self.pass_on_typing().await?,
            () = tokio::time::sleep_until(self.typing_again), if !self.typists.is_empty() => {
                self.repeat_typing().await?;
            }
        }
        Ok(Next::Again)
    }
}

impl Marked {
    fn touch(&mut self, destination: &Arc<Destination>) {
        let entry = self.touched.entry(destination.name.clone());
        entry.or_insert_with(|| destination.clone());
    }

    fn owe(&mut self, destination: &Arc<Destination>, due: &Due) {
        self.touch(destination);
        let key = (destination.name.clone(), due.room);
        let before = self.owed.remove(&key);
        self.owed.insert(key, lengthened(before, &due.owed()));
    }

    fn absorb(&mut self, other: Self) {
        for (key, more) in other.owed {
            let before = self.owed.remove(&key);
            self.owed.insert(key, lengthened(before, &more));
        }
        for (key, more) in other.lists {
            let before = self.lists.remove(&key);
            self.lists.insert(key, lengthened(before, &more));
        }
        self.touched.extend(other.touched);
    }
}

impl Inner {
    /// Gives a server something to hear that may be lost, unless it does not listen anyway.
    fn mention(
        &self,
        s: &Snapshot,
        server: &ServerName,
        say: impl FnOnce(&mut super::edus::Ephemeral),
    ) -> Result<()> {
        let destination = self.desk.open(s, server)?;
        let mut state = destination.lock();
        if state.is_failing() {
            return Ok(());
        }
        say(&mut state.ephemeral);
        drop(state);
        self.desk.wake(&destination);
        Ok(())
    }
}

/// Going through a batch.
struct Marking<'a> {
    inner: &'a Inner,
    s: &'a Snapshot,
    audiences: &'a mut Audiences,
    marked: Marked,
}

impl Marking<'_> {
    fn all(&mut self, work: &[(Pos, Change)]) -> Result<()> {
        let parted = self.parted(work)?;
        let numbers = work.iter().filter_map(|(_, change)| match change {
            Change::Event { event, .. } => Some(*event),
            _ => None,
        });
        let events = stored(self.s, &numbers.collect::<Vec<EventNo>>())?;
        let events: HashMap<EventNo, Stored> = events
            .into_iter()
            .map(|event| (event.no(), event))
            .collect();
        for (pos, change) in work {
            match change {
                Change::Event {
                    room,
                    event,
                    member,
                    ..
                } => {
                    let Some(event) = events.get(event) else {
                        continue;
                    };
                    if self.inner.is_ours(self.s, event)? {
                        let later = parted.get(room).into_iter().flatten();
                        let later = later.filter(|(left, _)| left >= pos);
                        let later = later.map(|(_, server)| server.clone()).collect();
                        self.event(*pos, *room, event, *member, later)?;
                    }
                }
                Change::Receipt {
                    room,
                    user,
                    private: false,
                } if self.is_ours(*user)? => {
                    for server in self.audiences.of(self.s, *room)? {
                        let say = |about: &mut super::edus::Ephemeral| about.receipt(*room, *pos);
                        self.inner.mention(self.s, &server, say)?;
                    }
                }
                Change::Presence { user } if self.is_ours(*user)? => {
                    for server in self.audiences.around(self.s, *user)? {
                        let say = |about: &mut super::edus::Ephemeral| about.presence(*user);
                        self.inner.mention(self.s, &server, say)?;
                    }
                }
                Change::DeviceList { user } if self.is_ours(*user)? => {
                    self.device_list(*pos, *user)?;
                }
                Change::ToDeviceOut { server } => {
                    if let Ok(server) = ServerName::parse(server) {
                        self.edus_for(&server)?;
                    }
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// The memberships of other servers' users that changed in this batch: what is known of rooms is brought in step, and it is told which servers
    /// may have lost their last member, and when. What we said before that, while that member was there, they hear.
    fn parted(
        &mut self,
        work: &[(Pos, Change)],
    ) -> Result<HashMap<RoomNo, Vec<(Pos, OwnedServerName)>>> {
        let mut parted: HashMap<RoomNo, Vec<(Pos, OwnedServerName)>> = HashMap::new();
        let mut moved = BTreeSet::new();
        for (pos, change) in work {
            let Change::Event {
                room,
                member: Some(member),
                ..
            } = change
            else {
                continue;
            };
            let user = self.s.user_id(*member)?;
            if self.inner.rooms.is_ours(&user) {
                continue;
            }
            let server = user.server_name().to_owned();
            self.audiences.moved(self.s, *room, &server, *member)?;
            let standing = rooms::members::standing(self.s, *room, *member)?;
            let left = standing.and_then(|standing| standing.left_at);
            if moved.insert((*room, *member)) && left == Some(*pos) {
                parted.entry(*room).or_default().push((*pos, server));
            }
        }
        Ok(parted)
    }

    fn is_ours(&self, user: UserNo) -> Result<bool> {
        Ok(self.inner.rooms.is_ours(&self.s.user_id(user)?))
    }

    fn event(
        &mut self,
        pos: Pos,
        room: RoomNo,
        event: &Stored,
        member: Option<UserNo>,
        mut leaving: BTreeSet<OwnedServerName>,
    ) -> Result<()> {
        if let Some(member) = member {
            let user = self.s.user_id(member)?;
            // Whoever is invited got the event when they were asked, and has no use for it as long as they are not in the room.
            if !self.inner.rooms.is_ours(&user) && event.membership() != Some(Membership::Invite) {
                leaving.insert(user.server_name().to_owned());
            }
        }
        let inside = self.audiences.at(self.s, room, pos)?;
        for server in &inside {
            leaving.remove(server);
        }
        let inside = inside.into_iter().map(|server| (server, false));
        let sender = event.sender();
        for (server, left) in inside.chain(leaving.into_iter().map(|server| (server, true))) {
            // Whose event it is has it.
            if sender
                .split_once(':')
                .is_some_and(|(_, own)| own == server.as_str())
            {
                continue;
            }
            let destination = self.inner.desk.open(self.s, &server)?;
            let due = Due {
                pos,
                event: event.no(),
                room,
                left,
            };
            let owed = destination.lock().add(self.s, &server, due)?;
            for due in &owed {
                self.marked.owe(&destination, due);
            }
            self.marked.touch(&destination);
        }
        Ok(())
    }

    fn device_list(&mut self, pos: Pos, user: UserNo) -> Result<()> {
        for server in self.audiences.around(self.s, user)? {
            self.edus_for(&server)?;
            let more = OwedRow {
                since: pos,
                newest: pos,
                left: false,
            };
            let key = (server, user);
            let before = self.marked.lists.remove(&key);
            self.marked.lists.insert(key, lengthened(before, &more));
        }
        Ok(())
    }

    /// There is something for a server in the tables of EDUs.
    fn edus_for(&mut self, server: &ServerName) -> Result<()> {
        let destination = self.inner.desk.open(self.s, server)?;
        destination.lock().has_edus = true;
        self.marked.touch(&destination);
        Ok(())
    }
}
