//! Whom an event notifies, and what their pushers are to be told: a follower of the log that judges each new event by the push rules of the members who have
//! pushers, and queues what comes of it (CS "Push Notifications"). Telling the gateways is for `outbox`, which follows the queue.
//!
//! The number of unread notifications goes along. Per user the counts of the rooms that have any are remembered, so that an event costs the count of its room.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use base::supervise::{Context, Next, Worker, WorkerError};
use event::push::Outcome;
use quick_cache::sync::Cache;
use rooms::{Membership, members};
use store::rows::users::Push;
use store::{Change, EventNo, Follower, Pos, RoomNo, Snapshot, Tail, Tx, UserNo};
use users::push_queue;

use crate::Sync;
use crate::client_form::Viewer;
use crate::error::{Error, Result};

/// The follower's name in the store.
const NAME: &str = "push";
/// Changes gone through at a time.
const BATCH: usize = 128;
/// What happened longer ago than so many changes is news to nobody: after a long stop, nobody is woken for it.
const NEWS: u64 = 100_000;
/// Changes after which the position is stored even if nobody had to be told.
const STRIDE: u64 = 1_000;
/// Users whose counts are remembered.
const BADGES: usize = 20_000;

/// How many notifications a user has not read, by room; rooms without any are left out.
type Badge = BTreeMap<RoomNo, u64>;

/// What pushers are to be told.
type Pushes = Vec<(UserNo, Pos, Push)>;

/// The worker.
pub(crate) struct Pushing {
    sync: Sync,
    position: Arc<Follower>,
    tail: Option<Tail>,
    /// Changes that were read and are not dealt with.
    work: Vec<(Pos, Change)>,
    badges: Arc<Cache<UserNo, Arc<Badge>>>,
    /// As far as the position is stored.
    stored: Pos,
}

impl Pushing {
    pub(crate) fn new(sync: Sync) -> Self {
        Self {
            position: Arc::new(sync.inner().store.follower(NAME)),
            tail: None,
            work: Vec::new(),
            badges: Arc::new(Cache::new(BADGES)),
            stored: Pos::ZERO,
            sync,
        }
    }

    /// Takes up where it left off; at the end of the log, if it never ran or nobody could have been told.
    fn resume(&mut self) -> Result<()> {
        let inner = self.sync.inner();
        let (position, head) = (self.position.position()?, inner.store.head());
        let is_new = position == Pos::ZERO || !inner.users.has_any_pushers()?;
        let oldest = Pos::new(head.get().saturating_sub(NEWS));
        let from = if is_new { head } else { position.max(oldest) };
        self.stored = position;
        self.tail = Some(inner.store.tail(from));
        Ok(())
    }

    /// Deals with the changes that were read.
    async fn judge(&mut self) -> Result<()> {
        let Some(upto) = self.work.last().map(|(pos, _)| *pos) else {
            return Ok(());
        };
        let pushes = if self.sync.inner().users.has_any_pushers()? {
            let (sync, work, badges) = (self.sync.clone(), self.work.clone(), self.badges.clone());
            let read = move |s: &Snapshot| {
                let judging = Judging {
                    sync: &sync,
                    s,
                    badges: &badges,
                    now: sync.inner().clock.now().millis(),
                };
                judging.all(&work)
            };
            self.sync.inner().store.read(read).await?
        } else {
            Pushes::new()
        };
        if !pushes.is_empty() || upto.get().saturating_sub(self.stored.get()) >= STRIDE {
            let position = self.position.clone();
            let write = move |tx: &mut Tx| {
                for (user, pos, push) in &pushes {
                    push_queue::queue(tx, *user, *pos, push)?;
                }
                Ok::<_, Error>(position.advance(tx, upto)?)
            };
            // Should this be lost, the position is lost with it, and the same is found again.
            self.sync.inner().store.write_relaxed(write).await?;
            self.stored = upto;
        }
        self.work.clear();
        Ok(())
    }
}

impl Worker for Pushing {
    fn name(&self) -> String {
        "push rules".to_owned()
    }

    async fn step(&mut self, cx: &Context) -> Result<Next, WorkerError> {
        if self.tail.is_none() {
            self.resume()?;
        }
        // What a failed step has left.
        self.judge().await?;
        let Some(tail) = &mut self.tail else {
            return Err(Error::Bug("a follower without its log").into());
        };
        let Some(changes) = cx.unless_stopping(tail.next(BATCH)).await else {
            return Ok(Next::Stop);
        };
        self.work = changes?;
        self.judge().await?;
        Ok(Next::Again)
    }
}

/// Judging a batch, on one snapshot.
struct Judging<'a> {
    sync: &'a Sync,
    s: &'a Snapshot,
    badges: &'a Cache<UserNo, Arc<Badge>>,
    now: u64,
}

impl Judging<'_> {
    fn all(&self, work: &[(Pos, Change)]) -> Result<Pushes> {
        let users = &self.sync.inner().users;
        let mut pushes = Pushes::new();
        let mut audiences: HashMap<RoomNo, Vec<UserNo>> = HashMap::new();
        for (pos, change) in work {
            match change {
                Change::Event {
                    room,
                    event,
                    member,
                    ..
                } => {
                    if let Some(member) = member {
                        self.badges.remove(member);
                    }
                    if !audiences.contains_key(room) {
                        let here = members::joined_here(self.s, *room);
                        let here: Vec<UserNo> = here
                            .map(|member| member.map(|member| member.user))
                            .collect::<rooms::Result<_>>()?;
                        audiences.insert(*room, users.with_pushers(here)?);
                    }
                    let invited = users.with_pushers(*member)?;
                    let inside = audiences.get(room).into_iter().flatten().copied();
                    let mut concerned: Vec<UserNo> = inside.chain(invited).collect();
                    concerned.sort_unstable();
                    concerned.dedup();
                    for user in concerned {
                        let push = passable(self.event(user, *room, *pos, *event))?;
                        pushes.extend(push.map(|push| (user, *pos, push)));
                    }
                }
                Change::Receipt { room, user, .. } if !users.with_pushers([*user])?.is_empty() => {
                    let push = passable(self.read(*user, *room))?;
                    pushes.extend(push.map(|push| (*user, *pos, push)));
                }
                // An invitation to a room that this server is not in.
                Change::Invite { user, room } if !users.with_pushers([*user])?.is_empty() => {
                    let standing = members::standing(self.s, *room, *user)?;
                    if let Some(standing) = standing.filter(|standing| standing.since == *pos) {
                        let push = passable(self.event(*user, *room, *pos, standing.event))?;
                        pushes.extend(push.map(|push| (*user, *pos, push)));
                    }
                }
                Change::Filter { user } => {
                    self.badges.remove(user);
                }
                _ => {}
            }
        }
        Ok(pushes)
    }

    /// What a user's pushers are told of an event, if anything.
    fn event(&self, user: UserNo, room: RoomNo, pos: Pos, event: EventNo) -> Result<Option<Push>> {
        let user_id = self.s.user_id(user)?;
        let Some(standing) = members::standing(self.s, room, user)? else {
            return Ok(None);
        };
        let is_invite = standing.membership == Membership::Invite && standing.event == event;
        let was_here = standing.is_joined() && standing.joined_at.is_some_and(|at| at <= pos);
        if !self.sync.inner().rooms.is_ours(&user_id) || !(is_invite || was_here) {
            return Ok(None);
        }
        let viewer = self.sync.viewer(&user_id, None)?;
        let actions = self.sync.push_actions(self.s, &viewer, event)?;
        let outcome = Outcome::of(&actions);
        if !outcome.notify {
            return Ok(None);
        }
        let badge = self.recount(&viewer, room)?;
        if !is_invite && !badge.contains_key(&room) {
            // Read already, on another device.
            return Ok(None);
        }
        Ok(Some(Push {
            event: Some(event),
            unread: badge.values().sum(),
            highlight: outcome.highlight,
            sound: outcome.sound.map(str::to_owned),
            queued: self.now,
        }))
    }

    /// What a user's pushers are told when they have read a room, if that changed anything.
    fn read(&self, user: UserNo, room: RoomNo) -> Result<Option<Push>> {
        let before = self.badges.get(&user);
        let viewer = self.sync.viewer(&self.s.user_id(user)?, None)?;
        let badge = self.recount(&viewer, room)?;
        let unread: u64 = badge.values().sum();
        if before.is_some_and(|before| before.values().sum::<u64>() == unread) {
            return Ok(None);
        }
        Ok(Some(Push {
            unread,
            queued: self.now,
            ..Push::default()
        }))
    }

    /// A user's unread notifications, after something happened in a room.
    fn recount(&self, viewer: &Viewer, room: RoomNo) -> Result<Arc<Badge>> {
        let badge = match self.badges.get(&viewer.user) {
            Some(known) => {
                let mut badge = (*known).clone();
                match self.sync.unread(self.s, viewer, room)?.all().notify {
                    0 => badge.remove(&room),
                    count => badge.insert(room, count),
                };
                badge
            }
            None => {
                let rooms = self.sync.unread_rooms(self.s, viewer)?;
                rooms
                    .into_iter()
                    .map(|(room, unread)| (room, unread.all().notify))
                    .collect()
            }
        };
        let badge = Arc::new(badge);
        self.badges.insert(viewer.user, badge.clone());
        Ok(badge)
    }
}

/// What cannot be judged notifies nobody, and does not stop what comes after it; a store that fails does.
fn passable(judged: Result<Option<Push>>) -> Result<Option<Push>> {
    match judged {
        Err(
            error @ (Error::Store(_)
            | Error::Rooms(rooms::Error::Store(_))
            | Error::Users(users::Error::Store(_))),
        ) => Err(error),
        Err(error) => {
            tracing::error!(%error, "an event cannot be judged by push rules");
            Ok(None)
        }
        judged => judged,
    }
}
