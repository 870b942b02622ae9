//! What all changes of memberships have in common.

use rooms::members::{self, Standing};
use rooms::{Change, Membership, Sent};
use ruma::{RoomId, UserId};
use serde_json::{Map, Value, json};

use crate::House;
use crate::error::Result;

/// Changes a membership. `content` is what the event says beside the membership.
pub(crate) async fn change(
    house: &House,
    room: &RoomId,
    people: (&UserId, &UserId),
    membership: Membership,
    content: Map<String, Value>,
) -> Result<Sent> {
    change_from(house, room, people, (&[], membership), content).await
}

/// As [`change`], but only from certain memberships to another: the same event can mean very different things.
pub(crate) async fn change_from(
    house: &House,
    room: &RoomId,
    (sender, target): (&UserId, &UserId),
    (only_from, membership): (&'static [Membership], Membership),
    content: Map<String, Value>,
) -> Result<Sent> {
    let change = Change {
        room_id: room.to_owned(),
        sender: sender.to_owned(),
        target: target.to_owned(),
        membership,
        only_from,
        content,
        timestamp: None,
    };
    Ok(house.rooms.change_membership(change).await?)
}

/// Takes one of ours out of a room: one that is here, or one that they were invited to, or knock on, elsewhere.
pub(crate) async fn leave(
    house: &House,
    room: &RoomId,
    user: &UserId,
    content: Map<String, Value>,
) -> Result<()> {
    if house.rooms.is_outside(room, user).await? {
        house.rooms.leave_remote(room, user, content).await?;
    } else {
        change(house, room, (user, user), Membership::Leave, content).await?;
    }
    Ok(())
}

/// How a user stands to a room, now.
pub(crate) async fn standing(
    house: &House,
    room: &RoomId,
    user: &UserId,
) -> Result<Option<Standing>> {
    let (room, user) = (room.to_owned(), user.to_owned());
    let standing = house.rooms.store().read(move |s| {
        let room = members::room(s, &room)?;
        members::standing_of(s, room, &user)
    });
    Ok(standing.await?)
}

/// The content of a membership that gives a reason, or not.
pub(crate) fn with_reason(reason: Option<String>) -> Map<String, Value> {
    reason
        .map(|reason| ("reason".to_owned(), Value::String(reason)))
        .into_iter()
        .collect()
}

/// Adds a local user's name and avatar, where the content does not give others.
pub(crate) fn add_profile(
    house: &House,
    user: &UserId,
    content: &mut Map<String, Value>,
) -> Result<()> {
    if !house.is_local(user) {
        return Ok(());
    }
    let profile = house.users.profile_basics(user)?;
    for (key, value) in [
        ("displayname", &profile.displayname),
        ("avatar_url", &profile.avatar_url),
    ] {
        if let Some(value) = value {
            content.entry(key).or_insert_with(|| json!(value));
        }
    }
    Ok(())
}
