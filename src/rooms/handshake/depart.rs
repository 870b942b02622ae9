//! Leaving a room that we are not in (turning down an invitation, taking a knock back), and knocking on one. A user can always go: if
//! no server of the room answers, what is remembered of it here ends all the same.

use std::time::Duration;

use event::Draft;
use ruma::{OwnedServerName, OwnedUserId, RoomId, ServerName, UserId};
use serde_json::{Map, Value};

use super::fill::{Filled, Want};
use super::outside::{self, News, Remembered};
use super::preview;
use crate::compose::raw;
use crate::error::{Error, Result};
use crate::{Membership, Rooms};

/// How long servers are asked to take a departure before it is settled without them.
const PARTING: Duration = Duration::from_secs(20);

/// A knock on a room that we are not in.
#[derive(Debug, Clone)]
pub struct KnockRemote {
    /// Which room.
    pub room_id: ruma::OwnedRoomId,
    /// Who of ours.
    pub user: OwnedUserId,
    /// Servers that may be in it; those that we know of are asked as well.
    pub via: Vec<OwnedServerName>,
    /// What the membership says beside `knock`.
    pub content: Map<String, Value>,
}

impl Rooms {
    /// Whether one of ours stands to a room from outside only: invited to it or knocking on it, while none of ours is in it.
    pub async fn is_outside(&self, room_id: &RoomId, user: &UserId) -> Result<bool> {
        let (room_id, user) = (room_id.to_owned(), user.to_owned());
        let found = self.store().read(move |s| {
            if outside::is_resident(s, &room_id)? {
                return Ok(None);
            }
            outside::remembered(s, &room_id, &user)
        });
        let found = found.await?.map(|remembered| remembered.membership);
        Ok(matches!(
            found,
            Some(Membership::Invite | Membership::Knock)
        ))
    }

    /// Turns down an invitation to a room that we are not in, or takes a knock on it back.
    ///
    /// # Errors
    /// [`Error::Forbidden`] if there is neither. That no other server takes note is no error.
    pub async fn leave_remote(
        &self,
        room_id: &RoomId,
        user: &UserId,
        content: Map<String, Value>,
    ) -> Result<()> {
        let (room, who) = (room_id.to_owned(), user.to_owned());
        let remembered = self
            .store()
            .read(move |s| outside::remembered(s, &room, &who))
            .await?;
        let remembered = remembered
            .filter(|remembered| {
                matches!(
                    remembered.membership,
                    Membership::Invite | Membership::Knock
                )
            })
            .ok_or_else(|| Error::Forbidden(format!("{user} is not in the room")))?;
        let want = Want {
            room_id,
            user,
            membership: Membership::Leave,
            content: &content,
        };
        let told = tokio::time::timeout(PARTING, self.leave_elsewhere(want, &remembered)).await;
        let (pdu, rules) = match told {
            // An invitation of the older kind does not tell the version of its room, and their server knows it.
            Ok(Ok(filled)) => (filled.pdu, filled.rules),
            Ok(Err(error @ (Error::Store(_) | Error::Bug(_)))) => return Err(error),
            failed => {
                let why = failed.err().map_or("refused", |_| "not answered");
                tracing::info!(room = %room_id, %user, why, "left a room without its servers");
                let pdu = self.leave_by_ourselves(want, &remembered)?;
                (pdu, remembered.rules)
            }
        };
        let news = News {
            pdu,
            rules,
            stripped: None,
            servers: remembered.servers,
        };
        self.note_outside(room_id, user, news).await
    }

    /// Knocks on a room through other servers.
    ///
    /// # Errors
    /// As [`Rooms::join_remote`].
    pub async fn knock_remote(&self, ask: KnockRemote) -> Result<()> {
        let servers = self.helpers(&ask.room_id, &ask.user, &ask.via).await?;
        let want = Want {
            room_id: &ask.room_id,
            user: &ask.user,
            membership: Membership::Knock,
            content: &ask.content,
        };
        let (filled, room_state) = self
            .first_of(&servers, |server| async move {
                let filled = self.filled(server, want).await?;
                let room_state = self.hand_in_knock(server, &filled.pdu).await?;
                Ok((filled, room_state))
            })
            .await?;
        let mut stripped = preview::Stripped::default();
        for event in &room_state {
            // The knock stands whatever else they say.
            if let Err(error) = stripped.add(event) {
                tracing::debug!(room = %ask.room_id, %error, "a room tells of itself what it should not");
            }
        }
        stripped.add_pdu(&filled.pdu);
        let news = News {
            pdu: filled.pdu,
            rules: filled.rules,
            stripped: Some(stripped.into_json()),
            servers,
        };
        self.note_outside(&ask.room_id, &ask.user, news).await
    }

    async fn leave_elsewhere(&self, want: Want<'_>, remembered: &Remembered) -> Result<Filled> {
        let servers = self
            .helpers(want.room_id, want.user, &remembered.servers)
            .await?;
        self.first_of(&servers, |server| async move {
            let filled = self.filled(server, want).await?;
            self.hand_in_leave(server, &filled.pdu).await?;
            Ok(filled)
        })
        .await
    }

    async fn filled(&self, server: &ServerName, want: Want<'_>) -> Result<Filled> {
        let proposed = self
            .ask_template(server, want.room_id, (want.user, want.membership))
            .await?;
        self.fill(server, want, &proposed)
    }

    /// A departure that nobody else will ever see, for our own users' lists of rooms.
    fn leave_by_ourselves(&self, want: Want<'_>, remembered: &Remembered) -> Result<event::Pdu> {
        let mut content = want.content.clone();
        let word = Value::from(want.membership.as_str());
        content.insert("membership".to_owned(), word);
        let draft = Draft {
            room_id: Some(want.room_id.to_owned()),
            sender: want.user.to_owned(),
            event_type: "m.room.member".to_owned(),
            state_key: Some(want.user.to_string()),
            content: raw(&content)?,
            redacts: None,
            origin_server_ts: self.now(),
        };
        let before = remembered.pdu.reference(remembered.rules)?;
        let own = self.own();
        let depth = remembered.pdu.depth().saturating_add(1);
        let pdu = draft.seal(
            remembered.rules,
            [before.clone()],
            [before],
            depth,
            &own.key,
            &own.server_name,
        )?;
        Ok(pdu)
    }
}
