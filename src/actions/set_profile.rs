//! Changing what one tells about oneself, and telling the rooms.

use rooms::{Membership, members};
use ruma::{OwnedRoomId, OwnedUserId};
use serde_json::Map;
use serde_json::value::RawValue;
use users::Identity;
use users::profile::{AVATAR_URL, DISPLAYNAME};

use crate::House;
use crate::error::Result;
use crate::{member, policy};

/// Sets or removes a field of one's profile. A new name or avatar is told to all rooms one is in, after the answer: there may be many.
pub async fn set_profile(
    house: &House,
    who: &Identity,
    field: &str,
    value: Option<&RawValue>,
) -> Result<()> {
    policy::may_act(who)?;
    let changed = match value {
        Some(value) => {
            house
                .users
                .set_profile_field(&who.user_id, field, value)
                .await?
        }
        None => {
            house
                .users
                .delete_profile_field(&who.user_id, field)
                .await?
        }
    };
    if changed && matches!(field, DISPLAYNAME | AVATAR_URL) {
        let (house, user) = (house.clone(), who.user_id.clone());
        let tasks = house.tasks.clone();
        tasks.spawn("telling rooms of a profile", async move {
            tell_rooms(&house, &user).await;
        });
    }
    Ok(())
}

async fn tell_rooms(house: &House, user: &OwnedUserId) {
    let rooms = match joined_rooms(house, user).await {
        Ok(rooms) => rooms,
        Err(error) => {
            return tracing::error!(%user, %error, "the rooms of a user could not be listed");
        }
    };
    for room in rooms {
        let told = async {
            let mut content = Map::new();
            // Read anew for each room: the profile may have changed again meanwhile, and the last one is to stay.
            member::add_profile(house, user, &mut content)?;
            member::change(house, &room, (user, user), Membership::Join, content).await
        };
        if let Err(error) = told.await {
            tracing::warn!(%user, %room, %error, "a room could not be told of a new profile");
        }
    }
}

/// The rooms that a user is in.
pub(crate) async fn joined_rooms(house: &House, user: &OwnedUserId) -> Result<Vec<OwnedRoomId>> {
    let user = user.clone();
    let rooms = house.rooms.store().read(move |s| {
        let Some(user) = s.user_no(&user)? else {
            return Ok(Vec::new());
        };
        let joined = members::rooms_with(s, user, Membership::Join)?;
        joined
            .into_iter()
            .map(|room| Ok::<_, rooms::Error>(s.room_id(room)?))
            .collect()
    });
    Ok(rooms.await?)
}
