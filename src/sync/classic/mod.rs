//! `GET /_matrix/client/v3/sync`: what has changed for a device since a token, now or as soon as there is something.
//!
//! Listen first, then look: the bell is taken before the snapshot, so nothing after the snapshot is missed. What is looked at is what
//! the bell has marks for (`scope.rs` of the crate); the answer is built from one snapshot (`answer.rs`), here if it is small and recent, else on
//! the blocking pool. Client-server API, "Syncing"; MSC4222 for `state_after`.

mod answer;
mod room;

use std::sync::Arc;
use std::time::Duration;

use ruma::presence::PresenceState;
use ruma::{DeviceId, UserId};
use store::{Pos, UserNo};
use tokio::time::Instant;
use users::Identity;

use crate::Sync;
use crate::bells::Listening;
use crate::client_form::Viewer;
use crate::delta::StateAt;
use crate::error::{Error, Result};
use crate::filter::Filter;
use crate::scope::Scope;
use crate::token::Token;
use answer::Answer;

/// The longest time that an answer is waited for.
const LONGEST: Duration = Duration::from_secs(600);
/// How much later than other devices the one that sent an event hears of it, so that the answer to its sending is there first.
/// Clients that see their own message before they know its ID take the sending for failed and repeat it half a minute later.
const ECHO: Duration = Duration::from_millis(20);
/// Changed rooms that are read without going to the blocking pool: what has just been written is still in memory.
const AT_HAND: usize = 4;

/// An answer, as JSON.
pub type Body = Vec<u8>;

/// By which names, if at all, a client wants the state after the timeline.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Dialect {
    /// `state`, before the timeline.
    #[default]
    State,
    /// `state_after`.
    StateAfter,
    /// `org.matrix.msc4222.state_after`, for clients that asked for it by that name.
    UnstableStateAfter,
}

impl Dialect {
    pub(crate) fn key(self) -> &'static str {
        match self {
            Self::State => "state",
            Self::StateAfter => "state_after",
            Self::UnstableStateAfter => "org.matrix.msc4222.state_after",
        }
    }

    fn state_at(self) -> StateAt {
        match self {
            Self::State => StateAt::Start,
            Self::StateAfter | Self::UnstableStateAfter => StateAt::End,
        }
    }
}

/// What a client asks for.
#[derive(Debug, Clone, Default)]
pub struct Params {
    /// `next_batch` of an earlier answer.
    pub since: Option<String>,
    /// The name of a stored filter, or a filter.
    pub filter: Option<String>,
    /// Tell the whole state of all rooms.
    pub full_state: bool,
    /// What asking says of the user's presence; online if nothing.
    pub set_presence: Option<PresenceState>,
    /// How long to wait for something to tell.
    pub timeout: Duration,
    /// Which state goes with the timeline.
    pub dialect: Dialect,
}

/// A question, understood.
pub(crate) struct Ask {
    user: UserNo,
    user_id: ruma::OwnedUserId,
    device: String,
    since: Option<Token>,
    filter: Arc<Filter>,
    full_state: bool,
    dialect: Dialect,
}

impl Ask {
    /// Where the client has come to, if that is a place in this database's log. A token from beyond its end was given out before an
    /// older copy of the database was put back: its owner begins anew.
    fn since(&self, head: Pos) -> Option<Token> {
        self.since.filter(|since| since.pos <= head)
    }
}

impl Sync {
    /// Answers a sync request. May be dropped at any time: nothing is owed to a client that has hung up.
    pub async fn classic(&self, who: &Identity, params: Params) -> Result<Body> {
        let timeout = params.timeout.min(LONGEST);
        let presence = params.set_presence.clone().unwrap_or(PresenceState::Online);
        let ask = Arc::new(self.understand(who, params).await?);
        let since = ask.since(self.inner().store.head());
        if let Some(fetched) = since.and_then(|since| since.to_device) {
            let users = &self.inner().users;
            users
                .acknowledge_to_device(ask.user, &who.device_id, fetched)
                .await?;
        }
        let _here = self.inner().users.presence_syncing(who, &presence);
        let deadline = Instant::now() + timeout;
        loop {
            let mut listening = self
                .inner()
                .bells
                .listen(ask.user, self.inner().clock.monotonic());
            let answer = self.answer(&ask, &listening).await?;
            let over = Instant::now() >= deadline || self.inner().bells.is_closed();
            if answer.is_due || over {
                if let Some((chain, upto)) = answer.chain {
                    self.inner()
                        .told
                        .answered(chain, ask.user, &ask.device, upto);
                }
                if answer.echoes {
                    tokio::time::sleep(ECHO).await;
                }
                return Ok(answer.body);
            }
            drop(answer);
            tokio::select! {
                () = listening.rung() => {}
                () = tokio::time::sleep_until(deadline) => {}
            }
        }
    }

    async fn understand(&self, who: &Identity, params: Params) -> Result<Ask> {
        let since = params.since.filter(|since| !since.is_empty());
        let since: Option<Token> = since.map(|since| since.parse()).transpose()?;
        Ok(Ask {
            user: who.user_no(),
            user_id: who.user_id.clone(),
            device: who.device_id.as_str().to_owned(),
            since,
            filter: self.filter(who, params.filter.as_deref()).await?,
            full_state: params.full_state,
            dialect: params.dialect,
        })
    }

    /// The answer as things stand.
    async fn answer(&self, ask: &Arc<Ask>, listening: &Listening) -> Result<Answer> {
        let snapshot = self.inner().store.snapshot();
        let head = snapshot.head();
        let since = ask.since(head).map(|since| since.pos);
        let scope = Scope::of(self, ask.user, since, listening.bell(), head);
        if scope.is_at_hand(AT_HAND) && !ask.full_state {
            return answer::build(self, ask, &snapshot, scope);
        }
        let (sync, ask) = (self.clone(), ask.clone());
        self.inner()
            .store
            .read(move |_| answer::build(&sync, &ask, &snapshot, scope))
            .await
    }

    pub(crate) fn user_no(&self, user: &UserId) -> Result<UserNo> {
        self.inner()
            .store
            .snapshot()
            .user_no(user)?
            .ok_or(Error::Bug("a user without a number"))
    }

    /// Somebody who reads, with what the house knows of them.
    pub fn viewer(&self, user: &UserId, device: Option<&DeviceId>) -> Result<Viewer> {
        let no = self.user_no(user)?;
        Ok(Viewer {
            user: no,
            user_id: user.to_owned(),
            device: device.map(|device| device.as_str().to_owned()),
            ignored: self.inner().users.ignored_by(no)?,
        })
    }

    /// A filter by its name, or as it stands in the request.
    async fn filter(&self, who: &Identity, text: Option<&str>) -> Result<Arc<Filter>> {
        let Some(text) = text.filter(|text| !text.is_empty()) else {
            return Ok(Arc::default());
        };
        let key = (who.user_no(), text.to_owned());
        if let Some(filter) = self.inner().filters.get(&key) {
            return Ok(filter);
        }
        let filter = if text.starts_with('{') {
            Filter::parse(text)?
        } else {
            let stored = self.inner().users.filter(&who.user_id, text).await;
            let stored = stored.map_err(|error| match error {
                users::Error::NotFound(_) => Error::UnknownFilter,
                other => Error::Users(other),
            })?;
            Filter::parse(stored.get())?
        };
        let filter = Arc::new(filter);
        self.inner().filters.insert(key, filter.clone());
        Ok(filter)
    }
}
