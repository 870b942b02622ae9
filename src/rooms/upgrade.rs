//! Replacing a room by a new one of another version (client-server API, *Room upgrades*). The new room, the tombstone of the old
//! one and the move of its aliases are one batch.

use event::auth::levels::Level;
use event::rules::RoomIds;
use ruma::UserId;
use serde_json::{Map, Value, json};

use crate::Rooms;
use crate::ask::{FirstState, NewRoom, Upgrade, Upgraded};
use crate::compose::Composer;
use crate::create::rules_of;
use crate::error::{Error, Result};

/// The state that goes along, in the order in which the new room gets it; power levels come first and are adapted.
const TRANSFERRED: [&str; 9] = [
    "m.room.server_acl",
    "m.room.encryption",
    "m.room.name",
    "m.room.avatar",
    "m.room.topic",
    "m.room.guest_access",
    "m.room.history_visibility",
    "m.room.join_rules",
    "m.room.canonical_alias",
];

impl Rooms {
    /// Replaces a room by a new one of another version.
    pub async fn upgrade(&self, upgrade: Upgrade) -> Result<Upgraded> {
        let room_id = upgrade.room_id.clone();
        let settled = self
            .thoroughly(&room_id, move |composer| composer.upgrade(&upgrade))
            .await?;
        let (room_id, room) = settled.outcome;
        let pos = settled.pos.unwrap_or_else(|| self.store().head());
        Ok(Upgraded { room_id, room, pos })
    }
}

impl Composer {
    fn upgrade(&mut self, ask: &Upgrade) -> Result<(ruma::OwnedRoomId, store::RoomNo)> {
        let rules = rules_of(&ask.version)?;
        self.check_power(&ask.sender)?;
        let old_room = self.desk.head.room;
        // Where the ID can be chosen, the tombstone comes first and the new room names it; elsewhere the ID follows from the
        // create event, which then names the old room alone.
        let (room_id, tombstone) = match rules.room_ids {
            RoomIds::Chosen => {
                let room_id = self.rooms.choose_room_id()?;
                let tombstone = self.bury(ask, &room_id)?;
                (Some(room_id), Some(tombstone))
            }
            RoomIds::OfCreate => (None, None),
        };
        let new = self.plan(ask, tombstone.as_deref())?;
        let old = self.begin_beside(&new, room_id.as_deref())?;
        self.furnish(&new)?;
        let (new_id, new_room) = (self.desk.head.room_id.clone(), self.desk.head.room);
        self.close()?;
        drop(self.turn_to(old));
        if room_id.is_none() {
            self.bury(ask, &new_id)?;
        }
        self.rename(&ask.sender)?;
        self.silence(&ask.sender)?;
        self.move_aliases(old_room, new_room)?;
        self.take_listing(old_room, new_room)?;
        Ok((new_id, new_room))
    }

    fn check_power(&self, sender: &UserId) -> Result<()> {
        let standing = self.standing(sender)?;
        if !standing.is_some_and(|standing| standing.is_joined()) {
            return Err(Error::NotJoined);
        }
        let levels = self.levels();
        if levels.user(sender) < Level::Int(levels.event("m.room.tombstone", true)) {
            return Err(Error::Forbidden(
                "not enough power to replace this room".to_owned(),
            ));
        }
        Ok(())
    }

    /// Says in the old room where the new one is.
    fn bury(&mut self, ask: &Upgrade, new: &ruma::RoomId) -> Result<String> {
        let content = json!({ "body": "This room has been replaced", "replacement_room": new });
        let draft = self.draft(&ask.sender, "m.room.tombstone", Some(""), &content, None)?;
        let known = self.send(draft, None)?;
        Ok(known.pdu.event_id().to_string())
    }

    /// The old room's aliases point elsewhere now, so it should not call itself by them, if the sender may say so.
    fn rename(&mut self, sender: &UserId) -> Result<()> {
        let named = self.content("m.room.canonical_alias")?;
        if named.is_none_or(|named| named.is_empty()) {
            return Ok(());
        }
        let nothing = Map::<String, Value>::new();
        let draft = self.draft(sender, "m.room.canonical_alias", Some(""), &nothing, None)?;
        self.recommend(draft)
    }

    /// Leaves speaking and inviting in the old room to those who stand above the others, if the sender may say so.
    fn silence(&mut self, sender: &UserId) -> Result<()> {
        let levels = self.content("m.room.power_levels")?;
        let Some(mut levels) = levels else {
            return Ok(());
        };
        let number =
            |name: &str, default| levels.get(name).and_then(Value::as_i64).unwrap_or(default);
        let quiet = number("users_default", 0).saturating_add(1).max(50);
        let (speak, invite) = (
            number("events_default", 0).max(quiet),
            number("invite", 0).max(quiet),
        );
        levels.insert("events_default".to_owned(), Value::from(speak));
        levels.insert("invite".to_owned(), Value::from(invite));
        let draft = self.draft(sender, "m.room.power_levels", Some(""), &levels, None)?;
        self.recommend(draft)
    }

    /// Sends state that is only recommended: a room in which it is forbidden has been replaced all the same.
    fn recommend(&mut self, draft: event::Draft) -> Result<()> {
        match self.send_state(draft) {
            Ok(_) | Err(Error::Forbidden(_)) => Ok(()),
            Err(error) => Err(error),
        }
    }

    fn plan(&self, ask: &Upgrade, tombstone: Option<&str>) -> Result<NewRoom> {
        let rules = rules_of(&ask.version)?;
        let mut create = self.content("m.room.create")?.unwrap_or_default();
        create.remove("creator");
        create.remove("additional_creators");
        let mut predecessor = json!({ "room_id": self.desk.head.room_id });
        if let (Some(tombstone), Some(object)) = (tombstone, predecessor.as_object_mut()) {
            object.insert("event_id".to_owned(), Value::from(tombstone));
        }
        create.insert("predecessor".to_owned(), predecessor);
        if rules.auth.supreme_creators && !ask.additional_creators.is_empty() {
            create.insert(
                "additional_creators".to_owned(),
                json!(ask.additional_creators),
            );
        }
        let mut state = Vec::new();
        if let Some(levels) = self.content("m.room.power_levels")? {
            state.push(first("m.room.power_levels", self.adapted(levels, ask)?));
        }
        for event_type in TRANSFERRED {
            if let Some(content) = self.content(event_type)? {
                state.push(first(event_type, content));
            }
        }
        Ok(NewRoom {
            creator: ask.sender.clone(),
            version: ask.version.clone(),
            create,
            creator_content: ask.creator_content.clone(),
            state,
            invite: Vec::new(),
            alias: None,
            listed: false,
            timestamp: None,
        })
    }

    /// The old power levels as the new version wants them. The sender must be able to set up the new room, whatever the old
    /// levels said.
    fn adapted(&self, mut levels: Map<String, Value>, ask: &Upgrade) -> Result<Map<String, Value>> {
        let rules = rules_of(&ask.version)?;
        let old_creators = self.old_creators();
        let users = levels
            .entry("users")
            .or_insert_with(|| Value::Object(Map::new()));
        let Some(users) = users.as_object_mut() else {
            return Err(Error::BadState(
                "the old room's power levels cannot be read".to_owned(),
            ));
        };
        if rules.auth.supreme_creators {
            users.remove(ask.sender.as_str());
            for creator in &ask.additional_creators {
                users.remove(creator.as_str());
            }
        } else {
            let highest = users.values().filter_map(Value::as_i64).max().unwrap_or(0);
            for creator in old_creators {
                users
                    .entry(creator)
                    .or_insert(Value::from(highest.max(100)));
            }
            users.insert(ask.sender.to_string(), Value::from(highest.max(100)));
        }
        if rules.auth.supreme_creators && !self.rules().auth.supreme_creators {
            let events = levels
                .entry("events")
                .or_insert_with(|| Value::Object(Map::new()));
            if let Some(events) = events.as_object_mut() {
                events.insert("m.room.tombstone".to_owned(), Value::from(150));
            }
        }
        Ok(levels)
    }

    /// Those who stood above all levels in the old room and would fall to nothing where that is unknown.
    fn old_creators(&self) -> Vec<String> {
        if !self.rules().auth.supreme_creators {
            return Vec::new();
        }
        let create = &self.desk.head.create.pdu;
        let content: Map<String, Value> =
            serde_json::from_str(create.content_str()).unwrap_or_default();
        let additional = content.get("additional_creators").and_then(Value::as_array);
        let mut creators = vec![create.sender().to_string()];
        creators.extend(
            additional
                .into_iter()
                .flatten()
                .filter_map(|creator| creator.as_str().map(str::to_owned)),
        );
        creators
    }

    fn content(&self, event_type: &str) -> Result<Option<Map<String, Value>>> {
        let known = self.state(event_type, "")?;
        Ok(known.and_then(|known| serde_json::from_str(known.pdu.content_str()).ok()))
    }
}

fn first(event_type: &str, content: Map<String, Value>) -> FirstState {
    FirstState {
        event_type: event_type.to_owned(),
        state_key: String::new(),
        content: Value::Object(content),
    }
}
