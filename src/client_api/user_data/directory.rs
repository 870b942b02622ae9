//! `POST /_matrix/client/v3/user_directory/search`

use std::collections::BTreeMap;

use rooms::{Membership, RoomNo, Snapshot, members, summary};
use ruma::OwnedUserId;
use ruma::api::client::user_directory::search_users::v3::Request;
use serde::Serialize;
use web::{Authed, JsonBytes, Matrix, Reply};

use crate::reading::Result;
use crate::{App, json};

/// How many people an answer names at most.
const MOST: usize = 50;
/// How many memberships are looked at for one answer.
const LOOKED_AT: usize = 50_000;

#[derive(Serialize)]
struct Answer {
    results: Vec<Person>,
    limited: bool,
}

#[derive(Serialize)]
struct Person {
    user_id: OwnedUserId,
    #[serde(skip_serializing_if = "Option::is_none")]
    display_name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    avatar_url: Option<String>,
}

/// Finds people by name: those the user shares a room with, and those in rooms that everybody can join.
pub(crate) async fn post(who: Authed, Matrix(ask): Matrix<Request>, app: App) -> Reply<JsonBytes> {
    let term = ask.search_term.trim().to_lowercase();
    let limit = usize::try_from(u64::from(ask.limit))
        .unwrap_or(MOST)
        .min(MOST);
    if term.is_empty() {
        return json::answer(&Answer {
            results: Vec::new(),
            limited: false,
        });
    }
    let (user, house, wanted) = (who.user_no(), app.house.clone(), term.clone());
    let found = app.read(move |s| {
        let mut found = BTreeMap::new();
        let mut looked_at = 0;
        for room in rooms_to_look_in(s, user)? {
            for member in
                members::list(s, room, Membership::Join).take(LOOKED_AT.saturating_sub(looked_at))
            {
                let member = member?;
                looked_at += 1;
                if member.user == user || found.contains_key(&member.user) {
                    continue;
                }
                let user_id = s.user_id(member.user)?;
                // Of our own people the profile is what they are called; of others, what the room says.
                let name = if house.is_local(&user_id) {
                    house.users.profile_basics(&user_id)?.displayname.clone()
                } else {
                    member.display_name
                };
                if fits(&wanted, &user_id, name.as_deref()) {
                    found.insert(member.user, (user_id, name));
                }
            }
        }
        Ok(found)
    });
    let mut people: Vec<(OwnedUserId, Option<String>)> = found.await?.into_values().collect();
    // Whoever is called exactly so comes first.
    people.sort_by_key(|(user_id, name)| {
        let exact = user_id.localpart() == term
            || name
                .as_deref()
                .is_some_and(|name| name.to_lowercase() == term);
        (!exact, user_id.clone())
    });
    let limited = people.len() > limit;
    let results = people
        .into_iter()
        .take(limit)
        .map(|(user_id, display_name)| {
            let profile = app.house.users.profile_basics(&user_id)?;
            Ok(Person {
                display_name,
                avatar_url: profile.avatar_url.clone(),
                user_id,
            })
        });
    json::answer(&Answer {
        results: results.collect::<Result<_>>()?,
        limited,
    })
}

/// The rooms whose members somebody may find: their own, and those open to all.
fn rooms_to_look_in(s: &Snapshot, user: rooms::UserNo) -> Result<Vec<RoomNo>> {
    let mut found = members::rooms_with(s, user, Membership::Join)?;
    for room in rooms::summary::all(s) {
        let (room, summary): (RoomNo, summary::Summary) = room?;
        let open = summary.join_rule.as_deref() == Some("public")
            || summary.history_visibility.as_deref() == Some("world_readable");
        if open && !found.contains(&room) {
            found.push(room);
        }
    }
    Ok(found)
}

fn fits(term: &str, user_id: &OwnedUserId, name: Option<&str>) -> bool {
    let name = name.map(str::to_lowercase).unwrap_or_default();
    let id = user_id.as_str().to_lowercase();
    term.split_whitespace()
        .all(|word| name.contains(word) || id.contains(word))
}
