//! Follows the log and rings the bells of those concerned: the local members of a room, or one user. Also passes on who is
//! typing, which is not in the log.
//!
//! It keeps who is in which room, as far as somebody was rung for there, so that a change costs a look-up per member and no read.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use base::supervise::{Context, Next, Worker, WorkerError};
use rooms::{Membership, members};
use store::{Change, Pos, RoomNo, Snapshot, Tail, UserNo};
use tokio::sync::watch;
use tokio::time::Instant;

use crate::Sync;
use crate::bells::{Bells, RoomMarks, Round, UserMarks};
use crate::error::Result;

/// Changes gone through at a time.
const BATCH: usize = 256;
/// Members remembered over all rooms: about 16 MiB.
const REMEMBERED: usize = 400_000;
/// How often it is looked whether somebody has stopped typing without saying so.
const TYPING_TICK: Duration = Duration::from_secs(1);
/// How long somebody types at most without saying so again.
const TYPING_LONGEST: Duration = Duration::from_secs(125);
/// How often bells that nobody uses are taken down.
const SWEEP: Duration = Duration::from_secs(60);

/// The local members of rooms.
#[derive(Default)]
struct Audiences {
    rooms: HashMap<RoomNo, HashSet<UserNo>>,
    total: usize,
}

impl Audiences {
    fn get(&self, room: RoomNo) -> impl Iterator<Item = UserNo> + '_ {
        self.rooms.get(&room).into_iter().flatten().copied()
    }

    fn insert(&mut self, room: RoomNo, users: HashSet<UserNo>) {
        self.total += users.len() + 1;
        if let Some(before) = self.rooms.insert(room, users) {
            self.total -= before.len() + 1;
        }
    }

    fn set(&mut self, room: RoomNo, user: UserNo, is_in: bool) {
        let Some(users) = self.rooms.get_mut(&room) else {
            return;
        };
        match is_in {
            true if users.insert(user) => self.total += 1,
            false if users.remove(&user) => self.total -= 1,
            _ => {}
        }
    }

    /// Rooms are forgotten all at once: whoever is still of interest is read again with the next change.
    fn keep_small(&mut self) {
        if self.total > REMEMBERED {
            *self = Self::default();
        }
    }
}

/// What has to be read before a batch can be rung for.
#[derive(Default)]
struct Found {
    /// Local members of rooms that were not remembered.
    members: Vec<(RoomNo, HashSet<UserNo>)>,
    /// The rooms of users whose devices or presence changed.
    rooms: HashMap<UserNo, Vec<RoomNo>>,
}

/// The worker.
pub(crate) struct Ringer {
    sync: Sync,
    tail: Tail,
    typing: watch::Receiver<u64>,
    /// Typing has been passed on up to this version.
    typed: u64,
    /// When somebody last began or ceased to type.
    typed_at: Duration,
    audiences: Audiences,
    swept: Duration,
    /// When to look next whether somebody has stopped typing; none while nobody does.
    tick: Option<Instant>,
}

impl Ringer {
    pub(crate) fn new(sync: Sync) -> Self {
        let inner = sync.inner();
        let tail = inner.store.tail(inner.bells.rung());
        let typing = inner.rooms.typing().watch();
        let typed = *typing.borrow();
        Self {
            sync,
            tail,
            typing,
            typed,
            typed_at: Duration::ZERO,
            audiences: Audiences::default(),
            swept: Duration::ZERO,
            tick: None,
        }
    }

    fn bells(&self) -> &Bells {
        &self.sync.inner().bells
    }

    async fn ring(&mut self, changes: Vec<(Pos, Change)>) -> Result<()> {
        let Some(upto) = changes.last().map(|(pos, _)| *pos) else {
            return Ok(());
        };
        self.bells().begin(upto);
        let rung = self.ring_all(&changes, upto).await;
        if rung.is_err() {
            // These changes will not be seen again, so every bell has to admit that it does not know.
            self.bells().lose(upto);
        }
        rung
    }

    async fn ring_all(&mut self, changes: &[(Pos, Change)], upto: Pos) -> Result<()> {
        for (pos, change) in changes {
            if let Change::Redaction { event, .. } = change {
                self.sync.inner().events.redacted(*event, *pos);
            }
        }
        let found = self.read(changes).await?;
        for (room, users) in found.members {
            self.audiences.insert(room, users);
        }
        let mut round = Round::default();
        let snapshot = self.sync.inner().store.snapshot();
        for (pos, change) in changes {
            self.ring_for(&snapshot, &mut round, *pos, change, &found.rooms)?;
        }
        self.bells().finish(upto, round);
        self.audiences.keep_small();
        Ok(())
    }

    /// Reads, on the blocking pool, what is not remembered; most batches need nothing.
    async fn read(&self, changes: &[(Pos, Change)]) -> Result<Found> {
        if self.bells().is_silent() {
            return Ok(Found::default());
        }
        let (mut rooms, mut users) = (HashSet::new(), HashSet::new());
        for (_, change) in changes {
            match change {
                Change::Event { room, .. }
                | Change::Receipt {
                    room,
                    private: false,
                    ..
                } => {
                    rooms.insert(*room);
                }
                Change::DeviceList { user } | Change::Presence { user } => {
                    users.insert(*user);
                }
                _ => {}
            }
        }
        let known: HashSet<RoomNo> = self.audiences.rooms.keys().copied().collect();
        rooms.retain(|room| !known.contains(room));
        if rooms.is_empty() && users.is_empty() {
            return Ok(Found::default());
        }
        let read = move |s: &Snapshot| -> Result<Found> {
            let mut found = Found::default();
            for user in users {
                let joined = members::rooms_with(s, user, Membership::Join)?;
                rooms.extend(joined.iter().filter(|room| !known.contains(room)));
                found.rooms.insert(user, joined);
            }
            for room in rooms {
                found.members.push((room, local_members(s, room)?));
            }
            Ok(found)
        };
        self.sync.inner().store.read(read).await
    }

    fn ring_for(
        &mut self,
        s: &Snapshot,
        round: &mut Round,
        pos: Pos,
        change: &Change,
        rooms: &HashMap<UserNo, Vec<RoomNo>>,
    ) -> Result<()> {
        let bells = &self.sync.inner().bells;
        match change {
            Change::Event { room, member, .. } => {
                let marks = RoomMarks {
                    event: pos,
                    ..RoomMarks::default()
                };
                if let Some(member) = member {
                    let is_ours = self.sync.inner().rooms.is_ours(&s.user_id(*member)?);
                    self.audiences.set(
                        *room,
                        *member,
                        is_ours && members::is_joined(s, *room, *member)?,
                    );
                    round.mark(bells, *member, *room, marks);
                    round.mark_own(
                        bells,
                        *member,
                        UserMarks {
                            membership: pos,
                            ..UserMarks::default()
                        },
                    );
                }
                for user in self.audiences.get(*room) {
                    round.mark(bells, user, *room, marks);
                }
            }
            Change::Receipt {
                room,
                user,
                private,
            } => {
                let marks = RoomMarks {
                    receipt: pos,
                    ..RoomMarks::default()
                };
                round.mark(bells, *user, *room, marks);
                if !private {
                    for user in self.audiences.get(*room) {
                        round.mark(bells, user, *room, marks);
                    }
                }
            }
            Change::DeviceList { user } => {
                let marks = UserMarks {
                    device_lists: pos,
                    ..UserMarks::default()
                };
                self.mark_neighbours(round, *user, rooms, marks);
            }
            Change::Presence { user } => {
                let marks = UserMarks {
                    presence: pos,
                    ..UserMarks::default()
                };
                self.mark_neighbours(round, *user, rooms, marks);
            }
            other => {
                if let Some((user, room, marks)) = of_one_user(pos, other) {
                    round.mark_own(bells, user, marks);
                    if let Some((room, marks)) = room {
                        round.mark(bells, user, room, marks);
                    }
                }
            }
        }
        Ok(())
    }

    /// Marks a user and everybody who shares a room with them.
    fn mark_neighbours(
        &self,
        round: &mut Round,
        user: UserNo,
        rooms: &HashMap<UserNo, Vec<RoomNo>>,
        marks: UserMarks,
    ) {
        let bells = self.bells();
        round.mark_own(bells, user, marks);
        for room in rooms.get(&user).into_iter().flatten() {
            for neighbour in self.audiences.get(*room) {
                round.mark_own(bells, neighbour, marks);
            }
        }
    }

    async fn pass_on_typing(&mut self) -> Result<()> {
        let version = *self.typing.borrow_and_update();
        let typing = self.sync.inner().rooms.typing();
        let changed = typing.changed_rooms(self.typed);
        self.typed = version;
        self.typed_at = self.sync.inner().clock.monotonic();
        self.tick = Some(Instant::now() + TYPING_TICK);
        let missing: Vec<RoomNo> = changed
            .iter()
            .copied()
            .filter(|room| !self.audiences.rooms.contains_key(room))
            .collect();
        if !missing.is_empty() {
            let read = move |s: &Snapshot| -> Result<Vec<(RoomNo, HashSet<UserNo>)>> {
                missing
                    .into_iter()
                    .map(|room| Ok((room, local_members(s, room)?)))
                    .collect()
            };
            for (room, users) in self.sync.inner().store.read(read).await? {
                self.audiences.insert(room, users);
            }
        }
        for room in changed {
            self.bells().nudge(self.audiences.get(room));
        }
        Ok(())
    }

    /// Lets those stop typing whose time is over; sleeps when nobody can be typing any more.
    fn tick(&mut self) {
        self.sync.inner().rooms.typing().tick();
        let now = self.sync.inner().clock.monotonic();
        let goes_on = now.saturating_sub(self.typed_at) <= TYPING_LONGEST;
        self.tick = goes_on.then(|| Instant::now() + TYPING_TICK);
    }

    fn sweep(&mut self) {
        let now = self.sync.inner().clock.monotonic();
        if now.saturating_sub(self.swept) >= SWEEP {
            self.swept = now;
            self.bells().sweep(now);
        }
    }
}

impl Worker for Ringer {
    fn name(&self) -> String {
        "sync ringer".to_owned()
    }

    async fn step(&mut self, cx: &Context) -> Result<Next, WorkerError> {
        let tick = self.tick.unwrap_or_else(|| Instant::now() + SWEEP);
        tokio::select! {
            biased;
            () = cx.stopping() => {
                self.bells().close();
                return Ok(Next::Stop);
            }
            changes = self.tail.next(BATCH) => self.ring(changes?).await?,
            _ = self.typing.changed() => self.pass_on_typing().await?,
            () = tokio::time::sleep_until(tick) => self.tick(),
        }
        self.sweep();
        Ok(Next::Again)
    }
}

fn local_members(s: &Snapshot, room: RoomNo) -> Result<HashSet<UserNo>> {
    let members = members::joined_here(s, room).map(|member| Ok(member?.user));
    members.collect()
}

/// Whom a change concerns, with marks for one of their rooms and for things of their own.
type Concern = (UserNo, Option<(RoomNo, RoomMarks)>, UserMarks);

/// What a change means for the one user whom it concerns.
pub(crate) fn of_one_user(pos: Pos, change: &Change) -> Option<Concern> {
    let none = UserMarks::default();
    match change {
        Change::AccountData { user, room } => {
            let room = room.map(|room| {
                (
                    room,
                    RoomMarks {
                        data: pos,
                        ..RoomMarks::default()
                    },
                )
            });
            Some((*user, room, UserMarks { data: pos, ..none }))
        }
        Change::ToDevice { user, .. } => Some((
            *user,
            None,
            UserMarks {
                to_device: pos,
                ..none
            },
        )),
        Change::OneTimeKeys { user, .. } => Some((*user, None, UserMarks { keys: pos, ..none })),
        Change::Filter { user } => Some((*user, None, UserMarks { rules: pos, ..none })),
        Change::Invite { user, room } => {
            let marks = RoomMarks {
                event: pos,
                ..RoomMarks::default()
            };
            Some((
                *user,
                Some((*room, marks)),
                UserMarks {
                    membership: pos,
                    ..none
                },
            ))
        }
        _ => None,
    }
}
