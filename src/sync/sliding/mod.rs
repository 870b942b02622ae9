//! Sliding sync (MSC4186): `POST /_matrix/client/unstable/org.matrix.simplified_msc3575/sync`. A client names lists of its rooms, the
//! latest first, and the ranges of them that it shows, and is told of those and of rooms that it subscribes to; of each as many events
//! and as much state as it wants.
//!
//! It stands on what the other sync stands on: bells, scope, windows, visibility, the state delta, unread counts, lazy members and the
//! client form. Its own are the order of a user's rooms (`recency.rs`), what each connection has been told (`conn.rs`), and the question
//! (`ask.rs`) and the answer (`answer.rs`, `room.rs`, `outside.rs`, `extensions.rs`).

mod answer;
mod ask;
mod conn;
mod extensions;
mod lists;
mod outside;
mod recency;
mod room;
mod sweep;
mod wanted;

use std::sync::Arc;
use std::time::Duration;

use ruma::presence::PresenceState;
use tokio::time::Instant;
use users::Identity;

use crate::Sync;
use crate::bells::Bell;
use crate::classic::Body;
use crate::error::{Error, Result};
use crate::scope::Scope;
use answer::Answer;
use ask::Ask;

pub(crate) use conn::Connections;
pub(crate) use recency::Recency;
pub(crate) use sweep::Sweeper;

/// The longest time that an answer is waited for.
const LONGEST: Duration = Duration::from_secs(600);
/// Changed rooms that are read without going to the blocking pool: what has just been written is still in memory.
const AT_HAND: usize = 4;
/// How often an answer is built anew because another one of the same connection was quicker.
const ATTEMPTS: usize = 4;

/// What a client asks for.
#[derive(Debug, Clone, Default)]
pub struct Params {
    /// `pos` of an earlier answer.
    pub pos: Option<String>,
    /// How long to wait for something to tell.
    pub timeout: Duration,
    /// What asking says of the user's presence; online if nothing.
    pub set_presence: Option<PresenceState>,
    /// The request's body, as JSON.
    pub body: Vec<u8>,
}

impl Sync {
    /// Answers a request of sliding sync. May be dropped at any time: nothing is owed to a client that has hung up.
    pub async fn sliding(&self, who: &Identity, params: Params) -> Result<Body> {
        let asking = (
            who.user_no(),
            who.user_id.clone(),
            who.device_id.as_str().to_owned(),
        );
        let ask = Arc::new(Ask::read(asking, params.pos.as_deref(), &params.body)?);
        drop(params.body);
        if let Some(fetched) = extensions::fetched(&ask)? {
            let users = &self.inner().users;
            users
                .acknowledge_to_device(ask.user, &who.device_id, fetched)
                .await?;
        }
        let presence = params.set_presence.unwrap_or(PresenceState::Online);
        let _here = self.inner().users.presence_syncing(who, &presence);
        let deadline = Instant::now() + params.timeout.min(LONGEST);
        let mut attempts = ATTEMPTS;
        loop {
            let inner = self.inner();
            let mut listening = inner.bells.listen(ask.user, inner.clock.monotonic());
            let answer = self.slide(&ask, listening.bell(), attempts).await?;
            let over = Instant::now() >= deadline || inner.bells.is_closed();
            if answer.is_due || over {
                match self.give(&ask, answer).await {
                    Err(error) if conn::is_conflict(&error) && attempts > 0 => {
                        attempts -= 1;
                        continue;
                    }
                    given => return given,
                }
            }
            drop(answer);
            tokio::select! {
                () = listening.rung() => {}
                () = tokio::time::sleep_until(deadline) => {}
            }
        }
    }

    /// The answer as things stand.
    async fn slide(&self, ask: &Arc<Ask>, bell: &Arc<Bell>, attempts: usize) -> Result<Answer> {
        let is_again = attempts < ATTEMPTS;
        if self.is_at_hand(ask, bell) {
            return answer::build(self, ask, bell, is_again);
        }
        let (sync, ask, bell) = (self.clone(), ask.clone(), bell.clone());
        self.inner()
            .store
            .read(move |_| answer::build(&sync, &ask, &bell, is_again))
            .await
    }

    /// Whether what an answer needs is in memory.
    fn is_at_hand(&self, ask: &Ask, bell: &Bell) -> bool {
        let inner = self.inner();
        let Some(pos) = ask.pos else {
            return false;
        };
        if !inner.recency.is_at_hand(ask.user) || !inner.connections.has(&ask.key()) {
            return false;
        }
        let (since, head) = (pos.token.pos, inner.store.head());
        since <= head && Scope::of(self, ask.user, Some(since), bell, head).is_at_hand(AT_HAND)
    }

    /// Gives an answer out: from now on it counts as told.
    async fn give(&self, ask: &Ask, answer: Answer) -> Result<Body> {
        let inner = self.inner();
        let key = ask.key();
        let (chain, upto) = answer.chain;
        inner.told.answered(chain, ask.user, &ask.chain(), upto);
        if let Some(made) = answer.made {
            inner.connections.commit(&inner.store, &key, made).await?;
        }
        inner
            .connections
            .settle(&key, answer.generation, answer.settled, answer.counts);
        Ok(answer.body)
    }
}

impl Ask {
    fn key(&self) -> conn::Key {
        (self.user, self.device.clone(), self.conn.clone())
    }

    /// The name under which it is remembered which members this connection has been told.
    fn chain(&self) -> String {
        format!("{}\0{}", self.device, self.conn)
    }

    /// The position of an answer that this one goes on from, in the log.
    fn since(&self) -> Option<store::Pos> {
        self.pos.map(|pos| pos.token.pos)
    }

    fn checked(&self, head: store::Pos) -> Result<()> {
        // A position beyond the end of the log was given out before an older copy of the database was put back.
        match self.since() {
            Some(since) if since > head => Err(Error::UnknownPos),
            _ => Ok(()),
        }
    }
}
