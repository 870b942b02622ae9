//! An invitation that is taken back, or a knock that is turned down, while none of ours is in the room: it comes as any other event,
//! but there is no room here to judge it by. It is believed of the servers that we know to be in the room, of nobody else.

use event::UncheckedPdu;
use ruma::{OwnedEventId, OwnedRoomId, OwnedUserId, RoomId, UserId};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::outside::{self, News};
use crate::error::Result;
use crate::intake::asking::check;
use crate::{Membership, Rooms};

/// What is looked at before it is known by which rules the event is to be read.
#[derive(Deserialize)]
struct Glance {
    room_id: OwnedRoomId,
    #[serde(rename = "type")]
    event_type: String,
    state_key: Option<String>,
    content: Content,
}

#[derive(Deserialize)]
struct Content {
    membership: Option<String>,
}

impl Rooms {
    /// Takes note of such an event. Nothing if it is not one.
    pub(crate) async fn withdrawn(&self, raw: &RawValue) -> Result<Option<OwnedEventId>> {
        let Some((room_id, user)) = self.glance(raw) else {
            return Ok(None);
        };
        let (id, who) = (room_id.clone(), user.clone());
        let remembered = self.store().read(move |s| {
            if outside::is_resident(s, &id)? {
                return Ok(None);
            }
            outside::remembered(s, &id, &who)
        });
        let Some(remembered) = remembered.await? else {
            return Ok(None);
        };
        let pending = matches!(
            remembered.membership,
            Membership::Invite | Membership::Knock
        );
        let Ok(pdu) = UncheckedPdu::parse(raw.get(), remembered.rules) else {
            return Ok(None);
        };
        let server = pdu.sender().server_name().to_owned();
        let in_room =
            remembered.servers.contains(&server) || remembered.pdu.sender().server_name() == server;
        if !pending || !in_room || !is_about(&pdu, &room_id, &user) {
            return Ok(None);
        }
        let mut checked = check(self, vec![pdu]).await?;
        let Some((event_id, Ok(pdu))) = checked.pop() else {
            return Ok(None);
        };
        let news = News {
            pdu,
            rules: remembered.rules,
            stripped: None,
            servers: remembered.servers,
        };
        self.note_outside(&room_id, &user, news).await?;
        Ok(Some(event_id))
    }

    /// The room and the one of ours who is not to come in, if the event may say so.
    fn glance(&self, raw: &RawValue) -> Option<(OwnedRoomId, OwnedUserId)> {
        let glance: Glance = serde_json::from_str(raw.get()).ok()?;
        let user = OwnedUserId::try_from(glance.state_key?).ok()?;
        let over = matches!(glance.content.membership.as_deref(), Some("leave" | "ban"));
        (glance.event_type == "m.room.member" && over && self.is_ours(&user))
            .then_some((glance.room_id, user))
    }
}

fn is_about(pdu: &UncheckedPdu, room_id: &RoomId, user: &UserId) -> bool {
    pdu.room_id() == room_id
        && pdu.event_type() == "m.room.member"
        && pdu.state_key() == Some(user.as_str())
}
