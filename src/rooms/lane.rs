//! A room's lane: decisions about a room happen one at a time, rooms never wait for each other, and no lane waits for the
//! network. Plain messages leave the lane once their batch is queued and wait for the disk outside of it; everything that
//! changes more than the end of the timeline stays in until it is committed.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use base::Lanes;
use quick_cache::sync::Cache;
use ruma::{OwnedRoomId, RoomId};
use store::{Commit, Pos};

use crate::Rooms;
use crate::compose::Composer;
use crate::error::{Error, Result};
use crate::head::Head;

/// How many rooms' heads stay in memory.
const HEADS: usize = 512;
/// How often a decision is made anew when its head turned out to be stale.
const ATTEMPTS: usize = 8;

/// Every room's lane, and the heads they keep.
pub(crate) struct RoomLanes {
    pub(crate) lanes: Lanes<OwnedRoomId>,
    /// Those who come into a room through other servers, one after the other. They wait for the network, so not in the room's lane.
    pub(crate) arrivals: Lanes<OwnedRoomId>,
    heads: Cache<OwnedRoomId, SharedHead>,
    generations: AtomicU64,
}

pub(crate) type SharedHead = Arc<Mutex<Head>>;

impl RoomLanes {
    pub(crate) fn new() -> Self {
        Self {
            lanes: Lanes::new(),
            arrivals: Lanes::new(),
            heads: Cache::new(HEADS),
            generations: AtomicU64::new(1),
        }
    }

    /// Forgets a head of which something was changed beside it.
    pub(crate) fn drop_head(&self, room_id: &RoomId) {
        self.heads.remove(room_id);
    }

    /// Forgets a head that a batch failed on, unless it has been read anew since.
    pub(crate) fn forget(&self, room_id: &RoomId, generation: u64) {
        let stale = self
            .heads
            .get(room_id)
            .is_some_and(|head| lock(&head).generation == generation);
        if stale {
            self.heads.remove(room_id);
        }
    }
}

pub(crate) fn lock(head: &SharedHead) -> MutexGuard<'_, Head> {
    head.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What a quick decision came to.
pub(crate) enum Step<T> {
    /// There was nothing to do.
    Done(T),
    /// Something has been queued; the head it was decided on tells what to forget should it fail.
    Queued {
        outcome: T,
        commit: Commit,
        generation: u64,
    },
    /// Something else has to be on disk first.
    Wait { commit: Commit, generation: u64 },
}

/// What a decision with everything in view came to.
pub(crate) struct Settled<T> {
    pub(crate) outcome: T,
    /// Where its events have become visible; none if it wrote nothing.
    pub(crate) pos: Option<Pos>,
}

impl Rooms {
    /// Decides quickly, in the lane, on the head in memory; waits for the disk outside. `decide` may be called again.
    pub(crate) async fn quickly<T: Clone + Send + 'static>(
        &self,
        room_id: &RoomId,
        decide: impl Fn(&Self, &mut Head) -> Result<Step<T>> + Send + Sync + 'static,
    ) -> Result<Settled<T>> {
        let decide = Arc::new(decide);
        let mut waited = false;
        for _ in 0..ATTEMPTS {
            let (rooms, id, decide) = (self.clone(), room_id.to_owned(), decide.clone());
            let work = async move {
                let head = rooms.head(&id).await?;
                decide(&rooms, &mut lock(&head))
            };
            let step = self.lanes().lanes.run(room_id.to_owned(), work).await?;
            match step {
                Step::Done(outcome) => return Ok(Settled { outcome, pos: None }),
                Step::Wait { commit, generation } => {
                    // Whether what it waits for succeeded is seen in the next round; if it did not, the head was wrong.
                    let _ = commit.await;
                    if std::mem::replace(&mut waited, true) {
                        self.lanes().forget(room_id, generation);
                    }
                }
                Step::Queued {
                    outcome,
                    commit,
                    generation,
                } => match commit.await {
                    Ok(pos) => {
                        return Ok(Settled {
                            outcome,
                            pos: Some(pos),
                        });
                    }
                    Err(error) => {
                        self.lanes().forget(room_id, generation);
                        if !error.is_conflict() {
                            return Err(error.into());
                        }
                    }
                },
            }
        }
        Err(Error::Busy)
    }

    /// Decides with everything in view and holds the lane until that is committed. `decide` may be called again.
    pub(crate) async fn thoroughly<T: Send + 'static>(
        &self,
        room_id: &RoomId,
        decide: impl Fn(&mut Composer) -> Result<T> + Send + Sync + 'static,
    ) -> Result<Settled<T>> {
        let (rooms, id) = (self.clone(), room_id.to_owned());
        let decide = Arc::new(decide);
        let work = async move {
            for _ in 0..ATTEMPTS {
                if let Some(settled) = rooms.attempt(&id, decide.clone()).await? {
                    return Ok(settled);
                }
            }
            Err(Error::Busy)
        };
        self.lanes().lanes.run(room_id.to_owned(), work).await
    }

    /// Does something in a room's lane that does not touch its head.
    pub(crate) async fn in_lane<F>(&self, room_id: &RoomId, work: F) -> F::Output
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        self.lanes().lanes.run(room_id.to_owned(), work).await
    }

    /// As [`Rooms::thoroughly`], for decisions that may begin a room: `decide` puts it on the desk itself.
    pub(crate) async fn beginning<T: Send + 'static>(
        &self,
        room_id: &RoomId,
        decide: impl Fn(&Self) -> Result<(Composer, T)> + Send + Sync + 'static,
    ) -> Result<Settled<T>> {
        let (rooms, id) = (self.clone(), room_id.to_owned());
        let decide = Arc::new(decide);
        let work = async move {
            for _ in 0..ATTEMPTS {
                let (within, decide) = (rooms.clone(), Arc::clone(&decide));
                let decided = rooms.store().read(move |_| {
                    let (composer, outcome) = decide(&within)?;
                    let written = composer.finish()?;
                    let commit = written.map(|(tx, _)| within.store().submit(tx));
                    Ok::<_, Error>((outcome, commit))
                });
                let (outcome, commit) = decided.await?;
                let Some(commit) = commit else {
                    return Ok(Settled { outcome, pos: None });
                };
                rooms.lanes().heads.remove(&id);
                match commit.await {
                    Ok(pos) => {
                        let pos = Some(pos);
                        return Ok(Settled { outcome, pos });
                    }
                    Err(error) if error.is_conflict() => {}
                    Err(error) => return Err(error.into()),
                }
            }
            Err(Error::Busy)
        };
        self.lanes().lanes.run(room_id.to_owned(), work).await
    }

    /// One attempt; nothing if somebody else was quicker.
    async fn attempt<T: Send + 'static>(
        &self,
        room_id: &RoomId,
        decide: Arc<impl Fn(&mut Composer) -> Result<T> + Send + Sync + 'static>,
    ) -> Result<Option<Settled<T>>> {
        let head = self.head(room_id).await?;
        let rooms = self.clone();
        let decided = self.store().read(move |_| {
            let mut composer = Composer::new(&rooms, lock(&head).clone());
            let outcome = decide(&mut composer)?;
            let Some((tx, next)) = composer.finish()? else {
                return Ok((outcome, None));
            };
            Ok::<_, Error>((outcome, Some((rooms.store().submit(tx), next, head))))
        });
        let (outcome, queued) = decided.await?;
        let Some((commit, next, head)) = queued else {
            return Ok(Some(Settled { outcome, pos: None }));
        };
        // Should this be interrupted here, the head must not be taken for the present one.
        self.lanes().heads.remove(room_id);
        match commit.await {
            Ok(pos) => {
                if let Some(next) = next {
                    *lock(&head) = next;
                    self.lanes().heads.insert(room_id.to_owned(), head);
                }
                let pos = Some(pos);
                Ok(Some(Settled { outcome, pos }))
            }
            Err(error) if error.is_conflict() => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// The head of a room, from memory or from the store.
    async fn head(&self, room_id: &RoomId) -> Result<SharedHead> {
        if let Some(head) = self.lanes().heads.get(room_id) {
            return Ok(head);
        }
        let generation = self.lanes().generations.fetch_add(1, Ordering::Relaxed);
        let id = room_id.to_owned();
        let head = self
            .store()
            .read(move |s| Head::load(s, &id, generation))
            .await?;
        let head = Arc::new(Mutex::new(head));
        self.lanes()
            .heads
            .insert(room_id.to_owned(), Arc::clone(&head));
        Ok(head)
    }
}
