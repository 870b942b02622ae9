//! Changing memberships: join, leave, invite, kick, ban, unban, knock, and a new profile of a member; forgetting a room.

use event::Draft;
use ruma::{RoomId, UserId};
use serde_json::Value;
use store::tables;

use crate::ask::{Change, Sent};
use crate::compose::Composer;
use crate::error::{Error, Result};
use crate::handshake::{AUTHORISED_VIA, goes_abroad};
use crate::members::{self, Standing};
use crate::send::{Answer, answer};
use crate::{Membership, Rooms};

impl Rooms {
    /// Changes a membership: join, leave, invite, kick, ban, unban, knock, or a new profile of a member.
    pub async fn change_membership(&self, change: Change) -> Result<Sent> {
        if goes_abroad(self, &change.target, change.membership) {
            return self.invite_remote(change).await;
        }
        let room_id = change.room_id.clone();
        let (target, membership) = (change.target.clone(), change.membership);
        let settled = self
            .thoroughly(&room_id, move |composer| composer.change(&change))
            .await?;
        if membership != Membership::Join {
            self.stop_typing(&room_id, &target)?;
        }
        self.sent(settled)
    }

    /// Forgets a room that the user has left.
    pub async fn forget(&self, room_id: &RoomId, user: &UserId) -> Result<()> {
        if self.forget_outside(room_id, user).await? {
            return Ok(());
        }
        let user = user.to_owned();
        let forget = move |composer: &mut Composer| composer.forget(&user);
        self.thoroughly(room_id, forget).await?;
        Ok(())
    }

    fn stop_typing(&self, room_id: &RoomId, user: &UserId) -> Result<()> {
        let s = self.store().snapshot();
        if let (Some(room), Some(user)) = (s.room_no(room_id)?, s.user_no(user)?) {
            self.typing().leave(room, user);
        }
        Ok(())
    }
}

impl Composer {
    fn change(&mut self, change: &Change) -> Result<Answer> {
        let draft = self.changed(change)?;
        let (known, repeated) = self.send_state(draft)?;
        Ok(answer(&known, repeated))
    }

    /// The draft of a membership that is to be changed, if it may be.
    pub(crate) fn changed(&mut self, change: &Change) -> Result<Draft> {
        let standing = self.standing(&change.target)?;
        let now = standing.as_ref().map(|standing| standing.membership);
        if !change.only_from.is_empty() && !now.is_some_and(|now| change.only_from.contains(&now)) {
            return Err(Error::Forbidden(wrong_state(change, now)));
        }
        self.check_reachable(change, now)?;
        let mut content = change.content.clone();
        content.insert(
            "membership".to_owned(),
            Value::from(change.membership.as_str()),
        );
        content.remove(AUTHORISED_VIA);
        if change.membership == Membership::Join {
            self.authorise_join(&change.target, &mut content)?;
        }
        self.draft(
            &change.sender,
            "m.room.member",
            Some(change.target.as_str()),
            &content,
            change.timestamp,
        )
    }

    /// Users of other servers can be invited and shut out; they come and knock by themselves.
    fn check_reachable(&self, change: &Change, now: Option<Membership>) -> Result<()> {
        let brings_in = matches!(change.membership, Membership::Join | Membership::Knock);
        let stays = now == Some(Membership::Join) && change.membership == Membership::Join;
        if brings_in && !stays && !self.rooms.is_ours(&change.target) {
            return Err(Error::Unreachable(change.target.to_string()));
        }
        Ok(())
    }

    fn forget(&mut self, user: &UserId) -> Result<()> {
        let user = self.tx.user_no(user)?.ok_or(Error::NotJoined)?;
        let mut row = self.membership(user)?.ok_or(Error::NotJoined)?;
        if !matches!(
            Membership::of_code(row.membership),
            Membership::Leave | Membership::Ban
        ) {
            return Err(Error::StillJoined);
        }
        if !row.forgotten {
            row.forgotten = true;
            let room = self.desk.head.room;
            self.tx.put(tables::MEMBERSHIPS, &(user, room), &row)?;
            self.tx.delete(tables::STRIPPED, &(user, room));
            self.touch();
        }
        Ok(())
    }
}

/// Whether a user is in one of these rooms, as far as we know.
pub(crate) fn in_one_of(s: &store::Snapshot, user: &UserId, rooms: &[String]) -> Result<bool> {
    let Some(user) = s.user_no(user)? else {
        return Ok(false);
    };
    for room_id in rooms {
        let Ok(room_id) = <&RoomId>::try_from(room_id.as_str()) else {
            continue;
        };
        if let Some(room) = s.room_no(room_id)?
            && members::standing(s, room, user)?
                .is_some_and(|standing: Standing| standing.is_joined())
        {
            return Ok(true);
        }
    }
    Ok(false)
}

fn wrong_state(change: &Change, now: Option<Membership>) -> String {
    match now {
        Some(now) => format!("the membership of {} is {now}", change.target),
        None => format!("{} is not in the room", change.target),
    }
}
