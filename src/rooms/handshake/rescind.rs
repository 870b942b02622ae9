//! The end of an invitation, or of a knock, that the room itself decides while we are not in it: somebody there takes the invitation back, or says
//! no. Their server tells us with an ordinary transaction about a room that we do not have.

use event::UncheckedPdu;
use ruma::{OwnedRoomId, OwnedUserId, RoomId, UserId};
use serde::Deserialize;
use serde_json::value::RawValue;
use store::Snapshot;

use super::outside::{self, News, Remembered};
use crate::error::Result;
use crate::{Membership, Rooms};

#[derive(Deserialize)]
struct Event {
    #[serde(rename = "type")]
    event_type: String,
    room_id: OwnedRoomId,
    state_key: OwnedUserId,
    content: Content,
}

#[derive(Deserialize)]
struct Content {
    membership: String,
}

impl Rooms {
    /// Takes note of those events of a transaction that end invitations and knocks of ours in rooms that we are not in. All
    /// others are left alone.
    pub async fn take_rescissions(&self, pdus: &[Box<RawValue>]) -> Result<()> {
        for pdu in pdus {
            let Some(event) = ends_something(pdu).filter(|event| self.is_ours(&event.state_key))
            else {
                continue;
            };
            let (room_id, user) = (event.room_id.clone(), event.state_key.clone());
            let remembered = self
                .store()
                .read(move |s| pending(s, &room_id, &user))
                .await?;
            if let Some(remembered) = remembered {
                self.rescind(&event, pdu, remembered).await?;
            }
        }
        Ok(())
    }

    /// What we cannot judge without the room is believed of whoever signs it and knows the event that it ends.
    async fn rescind(&self, event: &Event, json: &RawValue, remembered: Remembered) -> Result<()> {
        let Ok(unchecked) = UncheckedPdu::parse(json.get(), remembered.rules) else {
            return Ok(());
        };
        let is_of_it = unchecked
            .auth_events()
            .iter()
            .any(|id| id == remembered.pdu.event_id());
        if !is_of_it || unchecked.sender() == event.state_key {
            return Ok(());
        }
        let pdu = match self.check(unchecked).await {
            Ok(pdu) => pdu,
            Err(error) => {
                tracing::debug!(room = %event.room_id, %error, "the end of an invitation is not believed");
                return Ok(());
            }
        };
        let news = News {
            pdu,
            rules: remembered.rules,
            stripped: None,
            servers: remembered.servers,
        };
        self.note_outside(&event.room_id, &event.state_key, news)
            .await
    }
}

fn ends_something(json: &RawValue) -> Option<Event> {
    let event: Event = serde_json::from_str(json.get()).ok()?;
    let ends = matches!(event.content.membership.as_str(), "leave" | "ban");
    (event.event_type == "m.room.member" && ends).then_some(event)
}

fn pending(s: &Snapshot, room_id: &RoomId, user: &UserId) -> Result<Option<Remembered>> {
    if outside::is_resident(s, room_id)? {
        return Ok(None);
    }
    let remembered = outside::remembered(s, room_id, user)?;
    Ok(remembered.filter(|remembered| {
        matches!(
            remembered.membership,
            Membership::Invite | Membership::Knock
        )
    }))
}
