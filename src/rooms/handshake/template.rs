//! Templates for users of other servers who want to come or go (`GET /make_join`, `/make_leave`, `/make_knock`): the event as it
//! would be allowed now, for their server to fill in and sign.

use event::Rules;
use ruma::{OwnedUserId, RoomId, RoomVersionId, ServerName, UserId};
use serde_json::{Map, Value};

use crate::compose::Composer;
use crate::error::{Error, Result};
use crate::{Membership, Rooms, acl};

/// An event for another server to complete.
#[derive(Debug, Clone)]
pub struct Template {
    /// The version of its room.
    pub room_version: RoomVersionId,
    /// The event, without hashes and signatures.
    pub event: Map<String, Value>,
}

/// What somebody of another server is about to do.
#[derive(Debug, Clone)]
pub(super) struct Wish {
    pub(super) origin: ruma::OwnedServerName,
    pub(super) user: OwnedUserId,
    pub(super) membership: Membership,
    /// The room versions that their server speaks; none if it did not say because it need not.
    pub(super) versions: Option<Vec<RoomVersionId>>,
}

impl Rooms {
    /// A template for a user of `origin` to join a room. `versions` are the room versions that `origin` speaks.
    ///
    /// # Errors
    /// [`Error::UnableToAuthorise`] and [`Error::UnableToGrant`] mean that another server in the room may know better.
    pub async fn make_join(
        &self,
        origin: &ServerName,
        room_id: &RoomId,
        user: &UserId,
        versions: Vec<RoomVersionId>,
    ) -> Result<Template> {
        let wish = wish(origin, user, Membership::Join, Some(versions))?;
        self.template(room_id, wish).await
    }

    /// A template for a user of `origin` to leave a room, turn down an invitation, or take a knock back.
    pub async fn make_leave(
        &self,
        origin: &ServerName,
        room_id: &RoomId,
        user: &UserId,
    ) -> Result<Template> {
        let wish = wish(origin, user, Membership::Leave, None)?;
        self.template(room_id, wish).await
    }

    /// A template for a user of `origin` to knock on a room. `versions` are the room versions that `origin` speaks.
    pub async fn make_knock(
        &self,
        origin: &ServerName,
        room_id: &RoomId,
        user: &UserId,
        versions: Vec<RoomVersionId>,
    ) -> Result<Template> {
        let wish = wish(origin, user, Membership::Knock, Some(versions))?;
        self.template(room_id, wish).await
    }

    async fn template(&self, room_id: &RoomId, wish: Wish) -> Result<Template> {
        let settled = self
            .thoroughly(room_id, move |composer| composer.template(&wish))
            .await?;
        Ok(settled.outcome)
    }
}

fn wish(
    origin: &ServerName,
    user: &UserId,
    membership: Membership,
    versions: Option<Vec<RoomVersionId>>,
) -> Result<Wish> {
    if user.server_name() != origin {
        return Err(Error::Forbidden(format!(
            "{user} is not a user of {origin}"
        )));
    }
    Ok(Wish {
        origin: origin.to_owned(),
        user: user.to_owned(),
        membership,
        versions,
    })
}

impl Composer {
    fn template(&mut self, wish: &Wish) -> Result<Template> {
        self.opens_to(&wish.origin)?;
        let rules = self.rules();
        speaks(wish.versions.as_deref(), rules)?;
        let mut content = Map::new();
        let word = Value::from(wish.membership.as_str());
        content.insert("membership".to_owned(), word);
        if wish.membership == Membership::Join {
            self.authorise_join(&wish.user, &mut content)?;
        }
        let draft = self.draft(
            &wish.user,
            "m.room.member",
            Some(wish.user.as_str()),
            &content,
            None,
        )?;
        // Judged as if it were sent now. Nobody ever sees the signature that this takes.
        let pdu = self.compose(draft)?;
        let mut event: Map<String, Value> = serde_json::from_str(pdu.json())
            .map_err(|_| Error::Bug("a composed event that is no object"))?;
        for field in ["event_id", "hashes", "signatures"] {
            event.remove(field);
        }
        let origin = Value::from(self.rooms.server_name().as_str());
        event.insert("origin".to_owned(), origin);
        Ok(Template {
            room_version: rules.room_version(),
            event,
        })
    }

    /// Refuses servers that the room shuts out. A room that none of ours is in cannot be spoken for.
    pub(super) fn opens_to(&self, origin: &ServerName) -> Result<()> {
        if self.desk.head.summary.joined_here == 0 {
            return Err(Error::NoSuchRoom);
        }
        if acl::allows(&self.tx, self.desk.head.room, origin)? {
            Ok(())
        } else {
            Err(Error::Forbidden(format!(
                "{origin} is shut out of this room"
            )))
        }
    }
}

fn speaks(versions: Option<&[RoomVersionId]>, rules: &Rules) -> Result<()> {
    let own = rules.room_version();
    match versions {
        Some(versions) if !versions.contains(&own) => Err(Error::IncompatibleVersion(own)),
        _ => Ok(()),
    }
}
