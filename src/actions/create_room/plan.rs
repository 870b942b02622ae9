//! Which events a new room begins with, decided before anything is written: specification, client-server API, `createRoom`.
//!
//! Pure: what the caller asked for goes in, a list of contents in the order in which they are sent comes out. Judging and storing is `rooms`' part.

use std::collections::BTreeSet;

use ruma::{OwnedRoomAliasId, OwnedUserId, RoomVersionId, UserId};
use serde_json::{Map, Value, json};

use super::{Ask, InitialState, Preset};
use crate::error::{Error, Result};

/// The levels a room starts with for what not everybody should do.
const GUARDED: [(&str, i64); 7] = [
    ("m.room.avatar", 50),
    ("m.room.canonical_alias", 50),
    ("m.room.encryption", 100),
    ("m.room.history_visibility", 100),
    ("m.room.name", 50),
    ("m.room.power_levels", 100),
    ("m.room.server_acl", 100),
];

/// What a room version means for the first events.
#[derive(Debug, Clone)]
pub(crate) struct Version {
    /// Its name, for the create event.
    pub(crate) id: RoomVersionId,
    /// Does the create event name its creator in the content?
    pub(crate) creator_in_content: bool,
    /// Do creators stand above all power levels (and so may not be listed in them)?
    pub(crate) creators_outrank: bool,
}

impl Version {
    /// What is to be known about a room version, if it is one of ours.
    pub(crate) fn of(id: &RoomVersionId) -> Option<Self> {
        let rules = event::Rules::of(id)?;
        Some(Self {
            id: id.clone(),
            creator_in_content: !rules.auth.creator_is_sender,
            creators_outrank: rules.auth.supreme_creators,
        })
    }
}

/// The contents of a room's first events.
#[derive(Debug)]
pub(crate) struct Plan {
    /// The content of `m.room.create`.
    pub(crate) create: Map<String, Value>,
    /// What follows the creator's join, in order; invites are not among it.
    pub(crate) state: Vec<InitialState>,
    /// Whom to invite afterwards, each once.
    pub(crate) invite: Vec<OwnedUserId>,
}

/// Decides the first events of a room.
pub(crate) fn plan(
    ask: &Ask,
    creator: &UserId,
    alias: Option<&OwnedRoomAliasId>,
    version: &Version,
) -> Result<Plan> {
    let preset = ask.preset();
    let invite = invitees(ask, creator);
    let create = create_content(ask, creator, &invite, version)?;
    let creators = creators(&create, creator);

    let mut state = Vec::with_capacity(8 + ask.initial_state.len());
    let levels = power_levels(ask, &creators, &invite, version)?;
    put(&mut state, "m.room.power_levels", Value::Object(levels));
    if let Some(alias) = alias {
        put(
            &mut state,
            "m.room.canonical_alias",
            json!({ "alias": alias }),
        );
    }
    put(
        &mut state,
        "m.room.join_rules",
        json!({ "join_rule": preset.join_rule() }),
    );
    put(
        &mut state,
        "m.room.history_visibility",
        json!({ "history_visibility": "shared" }),
    );
    put(
        &mut state,
        "m.room.guest_access",
        json!({ "guest_access": preset.guest_access() }),
    );
    for wanted in &ask.initial_state {
        check_initial(wanted)?;
        replace(&mut state, wanted.clone());
    }
    if let Some(name) = &ask.name {
        replace(
            &mut state,
            InitialState::unkeyed("m.room.name", json!({ "name": name })),
        );
    }
    if let Some(topic) = &ask.topic {
        replace(
            &mut state,
            InitialState::unkeyed("m.room.topic", topic_content(topic)),
        );
    }
    Ok(Plan {
        create,
        state,
        invite,
    })
}

fn invitees(ask: &Ask, creator: &UserId) -> Vec<OwnedUserId> {
    let mut seen = BTreeSet::new();
    ask.invite
        .iter()
        .filter(|user| *user != creator && seen.insert((*user).clone()))
        .cloned()
        .collect()
}

fn create_content(
    ask: &Ask,
    creator: &UserId,
    invite: &[OwnedUserId],
    version: &Version,
) -> Result<Map<String, Value>> {
    let mut content = ask.creation_content.clone();
    content.insert("room_version".to_owned(), json!(version.id));
    if version.creator_in_content {
        content.insert("creator".to_owned(), json!(creator));
    } else {
        content.remove("creator");
    }
    if !version.creators_outrank {
        return Ok(content);
    }
    let mut additional = additional_creators(&content)?;
    if ask.preset() == Preset::TrustedPrivateChat {
        additional.extend(invite.iter().cloned());
    }
    if content.contains_key("additional_creators") || !additional.is_empty() {
        let mut seen = BTreeSet::new();
        additional.retain(|user| seen.insert(user.clone()));
        content.insert("additional_creators".to_owned(), json!(additional));
    }
    Ok(content)
}

/// The additional creators that a create event's content names.
pub(crate) fn additional_creators(content: &Map<String, Value>) -> Result<Vec<OwnedUserId>> {
    let Some(value) = content.get("additional_creators") else {
        return Ok(Vec::new());
    };
    let bad =
        || Error::InvalidParameter("additional_creators must be a list of user IDs".to_owned());
    let list = value.as_array().ok_or_else(bad)?;
    list.iter()
        .map(|user| {
            let user = user
                .as_str()
                .and_then(|user| OwnedUserId::try_from(user).ok())
                .ok_or_else(bad)?;
            if user.validate_historical().is_err() {
                Err(bad())
            } else {
                Ok(user)
            }
        })
        .collect()
}

fn creators(create: &Map<String, Value>, creator: &UserId) -> BTreeSet<OwnedUserId> {
    let mut creators: BTreeSet<OwnedUserId> = additional_creators(create)
        .unwrap_or_default()
        .into_iter()
        .collect();
    creators.insert(creator.to_owned());
    creators
}

fn power_levels(
    ask: &Ask,
    creators: &BTreeSet<OwnedUserId>,
    invite: &[OwnedUserId],
    version: &Version,
) -> Result<Map<String, Value>> {
    let mut users = Map::new();
    if !version.creators_outrank {
        users.extend(creators.iter().map(|user| (user.to_string(), json!(100))));
        if ask.preset() == Preset::TrustedPrivateChat {
            users.extend(invite.iter().map(|user| (user.to_string(), json!(100))));
        }
    }
    let mut events: Map<String, Value> = GUARDED
        .iter()
        .map(|(kind, level)| ((*kind).to_owned(), json!(level)))
        .collect();
    events.insert(
        "m.room.tombstone".to_owned(),
        json!(if version.creators_outrank { 150 } else { 100 }),
    );

    let mut levels = Map::new();
    for (key, level) in [
        ("ban", 50),
        ("kick", 50),
        ("redact", 50),
        ("state_default", 50),
        ("events_default", 0),
        ("users_default", 0),
    ] {
        levels.insert(key.to_owned(), json!(level));
    }
    // In a room among friends everyone may bring someone along.
    levels.insert(
        "invite".to_owned(),
        json!(if ask.preset() == Preset::PublicChat {
            50
        } else {
            0
        }),
    );
    levels.insert("users".to_owned(), Value::Object(users));
    levels.insert("events".to_owned(), Value::Object(events));
    levels.extend(ask.power_levels.clone());

    if version.creators_outrank {
        let listed = levels.get("users").and_then(Value::as_object);
        if listed.is_some_and(|users| {
            creators
                .iter()
                .any(|creator| users.contains_key(creator.as_str()))
        }) {
            return Err(Error::InvalidParameter(
                "creators of the room cannot be listed in its power levels".to_owned(),
            ));
        }
    }
    Ok(levels)
}

/// `m.topic` carries the rich form beside the plain one (added in 1.15).
fn topic_content(topic: &str) -> Value {
    json!({ "topic": topic, "m.topic": { "m.text": [{ "body": topic, "mimetype": "text/plain" }] } })
}

fn check_initial(wanted: &InitialState) -> Result<()> {
    match wanted.event_type.as_str() {
        "m.room.create" => Err(Error::InvalidRoomState(
            "the create event cannot be given as initial state".to_owned(),
        )),
        "m.room.member" => Err(Error::InvalidRoomState(
            "memberships cannot be given as initial state".to_owned(),
        )),
        _ => Ok(()),
    }
}

fn put(state: &mut Vec<InitialState>, event_type: &str, content: Value) {
    state.push(InitialState::unkeyed(event_type, content));
}

/// Sets a piece of state in the place of the one it overrides, so that each is sent once.
fn replace(state: &mut Vec<InitialState>, wanted: InitialState) {
    let same = |old: &&mut InitialState| {
        old.event_type == wanted.event_type && old.state_key == wanted.state_key
    };
    match state.iter_mut().find(same) {
        Some(old) => old.content = wanted.content,
        None => state.push(wanted),
    }
}

#[cfg(test)]
mod tests {
    use ruma::user_id;

    use super::*;

    fn version(id: &str) -> Version {
        Version::of(&RoomVersionId::try_from(id).unwrap()).unwrap()
    }

    fn planned(ask: &Ask, id: &str) -> Result<Plan> {
        plan(ask, user_id!("@alice:localhost"), None, &version(id))
    }

    fn content<'p>(plan: &'p Plan, event_type: &str) -> &'p Value {
        &plan
            .state
            .iter()
            .find(|piece| piece.event_type == event_type)
            .unwrap()
            .content
    }

    #[test]
    fn presets_set_what_the_specification_says() {
        for (preset, rule, guests) in [
            (Preset::PrivateChat, "invite", "can_join"),
            (Preset::TrustedPrivateChat, "invite", "can_join"),
            (Preset::PublicChat, "public", "forbidden"),
        ] {
            let plan = planned(
                &Ask {
                    preset: Some(preset),
                    ..Ask::default()
                },
                "12",
            )
            .unwrap();
            assert_eq!(content(&plan, "m.room.join_rules")["join_rule"], rule);
            assert_eq!(
                content(&plan, "m.room.guest_access")["guest_access"],
                guests
            );
        }
    }

    #[test]
    fn visibility_chooses_the_preset_when_none_is_given() {
        let plan = planned(
            &Ask {
                public: true,
                ..Ask::default()
            },
            "11",
        )
        .unwrap();
        assert_eq!(content(&plan, "m.room.join_rules")["join_rule"], "public");
    }

    #[test]
    fn trusted_invitees_are_equals_of_the_creator_in_every_version() {
        let ask = Ask {
            preset: Some(Preset::TrustedPrivateChat),
            invite: vec![user_id!("@bob:localhost").to_owned()],
            ..Ask::default()
        };
        let old = planned(&ask, "11").unwrap();
        assert_eq!(
            content(&old, "m.room.power_levels")["users"]["@bob:localhost"],
            100
        );
        let new = planned(&ask, "12").unwrap();
        assert_eq!(new.create["additional_creators"], json!(["@bob:localhost"]));
        assert_eq!(content(&new, "m.room.power_levels")["users"], json!({}));
    }

    #[test]
    fn creators_cannot_be_given_a_level_where_they_outrank_levels() {
        let mut ask = Ask::default();
        ask.power_levels
            .insert("users".to_owned(), json!({ "@alice:localhost": 100 }));
        assert!(matches!(
            planned(&ask, "12"),
            Err(Error::InvalidParameter(_))
        ));
        assert!(planned(&ask, "11").is_ok());
    }

    #[test]
    fn a_tombstone_needs_more_than_state_default_from_version_twelve() {
        let plan = planned(&Ask::default(), "12").unwrap();
        assert_eq!(
            content(&plan, "m.room.power_levels")["events"]["m.room.tombstone"],
            150
        );
    }

    #[test]
    fn the_version_cannot_be_smuggled_in() {
        let mut ask = Ask::default();
        ask.creation_content
            .insert("room_version".to_owned(), json!("1"));
        ask.creation_content
            .insert("creator".to_owned(), json!("@eve:localhost"));
        let plan = planned(&ask, "10").unwrap();
        assert_eq!(plan.create["room_version"], "10");
        assert_eq!(plan.create["creator"], "@alice:localhost");
        assert!(!planned(&ask, "11").unwrap().create.contains_key("creator"));
    }

    #[test]
    fn name_and_topic_override_initial_state() {
        let ask = Ask {
            topic: Some("new".to_owned()),
            initial_state: vec![InitialState::unkeyed(
                "m.room.topic",
                json!({ "topic": "old" }),
            )],
            ..Ask::default()
        };
        let plan = planned(&ask, "12").unwrap();
        let topics: Vec<_> = plan
            .state
            .iter()
            .filter(|piece| piece.event_type == "m.room.topic")
            .collect();
        assert_eq!(topics.len(), 1);
        assert_eq!(topics[0].content["m.topic"]["m.text"][0]["body"], "new");
    }

    #[test]
    fn unreadable_additional_creators_are_refused() {
        for bad in [
            json!("@bob:localhost"),
            json!([1]),
            json!(["bob"]),
            json!({}),
        ] {
            let mut ask = Ask::default();
            ask.creation_content
                .insert("additional_creators".to_owned(), bad);
            assert!(matches!(
                planned(&ask, "12"),
                Err(Error::InvalidParameter(_))
            ));
        }
    }
}
