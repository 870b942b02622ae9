//! Our verdicts beside those of ruma-state-res, on generated rooms of every version.
//!
//! Where both may differ, [`explained`] says why, and a fixture elsewhere holds our side: `a_room_without_a_join_rule_…`,
//! `a_creator_of_null_…`, `only false closes` in `a_room_can_be_closed_…`, `an_invite_that_lacks_something_…`.

use rand::rngs::SmallRng;
use rand::seq::IndexedRandom as _;
use rand::{RngExt as _, SeedableRng as _};
use ruma::events::{StateEventType, TimelineEventType};
use ruma::{EventId, MilliSecondsSinceUnixEpoch, OwnedEventId, RoomId, UserId, uint};
use ruma_state_res::{
    Event, auth_types_for_event, check_state_dependent_auth_rules,
    check_state_independent_auth_rules,
};
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::fixture::{ALL, event, rules};
use crate::auth::{AuthState, Known, auth_types_of, check_auth_events, judge};
use crate::pdu::Pdu;

/// Our event as ruma wants to see it.
#[derive(Clone)]
struct Theirs {
    pdu: Pdu,
    event_id: OwnedEventId,
    event_type: TimelineEventType,
    redacts: Option<OwnedEventId>,
    rejected: bool,
}

impl Theirs {
    fn new(pdu: &Pdu, version: &str, rejected: bool) -> Self {
        Self {
            pdu: pdu.clone(),
            event_id: pdu.event_id().to_owned(),
            event_type: pdu.event_type().into(),
            redacts: pdu.redacts(rules(version)),
            rejected,
        }
    }
}

impl Event for Theirs {
    type Id = OwnedEventId;

    fn event_id(&self) -> &OwnedEventId {
        &self.event_id
    }
    fn room_id(&self) -> Option<&RoomId> {
        self.pdu.names_room().then(|| self.pdu.room_id())
    }
    fn sender(&self) -> &UserId {
        self.pdu.sender()
    }
    fn origin_server_ts(&self) -> MilliSecondsSinceUnixEpoch {
        MilliSecondsSinceUnixEpoch(uint!(1))
    }
    fn event_type(&self) -> &TimelineEventType {
        &self.event_type
    }
    fn content(&self) -> &RawValue {
        self.pdu.content()
    }
    fn state_key(&self) -> Option<&str> {
        self.pdu.state_key()
    }
    fn prev_events(&self) -> Box<dyn DoubleEndedIterator<Item = &OwnedEventId> + '_> {
        Box::new(self.pdu.prev_events().iter())
    }
    fn auth_events(&self) -> Box<dyn DoubleEndedIterator<Item = &OwnedEventId> + '_> {
        Box::new(self.pdu.auth_events().iter())
    }
    fn redacts(&self) -> Option<&OwnedEventId> {
        self.redacts.as_ref()
    }
    fn rejected(&self) -> bool {
        self.rejected
    }
}

const USERS: [&str; 6] = [
    "@alice:one",
    "@bob:one",
    "@carol:two",
    "@dave:two",
    "@eve:three",
    "@zoe:one",
];
const MEMBERSHIPS: [&str; 6] = ["join", "invite", "leave", "ban", "knock", "mystery"];
const JOIN_RULES: [&str; 7] = [
    "public",
    "invite",
    "knock",
    "restricted",
    "knock_restricted",
    "private",
    "mystery",
];

/// Makes up rooms and what happens in them.
struct Maker {
    random: SmallRng,
    version: &'static str,
}

impl Maker {
    fn one(&mut self, of: &[&'static str]) -> &'static str {
        of.choose(&mut self.random).unwrap()
    }

    fn chance(&mut self, percent: u32) -> bool {
        self.random.random_range(0..100) < percent
    }

    fn state(&mut self) -> Vec<Pdu> {
        let mut lines = vec![self.create()];
        for user in USERS {
            if self.chance(85) {
                let membership = if self.chance(60) {
                    "join"
                } else {
                    self.one(&MEMBERSHIPS)
                };
                lines.push(format!(
                    "{user} .member {user} {}",
                    json!({"membership": membership})
                ));
            }
        }
        if self.chance(80) {
            let sender = self.one(&USERS);
            lines.push(format!("{sender} .power_levels '' {}", self.levels(1)));
        }
        if self.chance(85) {
            lines.push(format!(
                "@alice:one .join_rules '' {}",
                json!({"join_rule": self.one(&JOIN_RULES)})
            ));
        }
        if self.chance(30) {
            lines.push("@alice:one .third_party_invite token {}".to_owned());
        }
        lines.iter().map(|line| event(line, self.version)).collect()
    }

    fn create(&mut self) -> String {
        let mut content =
            json!({"room_version": self.version, "creator": self.one(&["@alice:one", "@bob:one"])});
        if self.chance(15) {
            content["m.federate"] = json!(self.chance(50));
        }
        if self.chance(30) {
            content["additional_creators"] = json!([self.one(&USERS), self.one(&USERS)]);
        }
        format!("@alice:one .create '' {content} id=$create:one")
    }

    fn level(&mut self, oddness: u32) -> Value {
        let level = *[-1, 0, 1, 25, 49, 50, 51, 99, 100, 101]
            .choose(&mut self.random)
            .unwrap();
        if self.chance(oddness) {
            return match self.random.random_range(0..6) {
                0 => json!(null),
                1 => json!(true),
                2 => json!([level]),
                3 => json!("x"),
                4 => json!(""),
                _ => json!({}),
            };
        }
        if self.chance(oddness) {
            json!(format!(" {level} "))
        } else {
            json!(level)
        }
    }

    fn levels(&mut self, oddness: u32) -> Value {
        let mut content = json!({});
        for field in [
            "users_default",
            "events_default",
            "state_default",
            "ban",
            "redact",
            "kick",
            "invite",
        ] {
            if self.chance(35) {
                content[field] = self.level(oddness);
            }
        }
        for (map, keys) in [
            ("users", USERS.as_slice()),
            (
                "events",
                &[
                    "m.room.power_levels",
                    "m.room.message",
                    "m.room.name",
                    "m.room.redaction",
                ],
            ),
            ("notifications", &["room", "other"]),
        ] {
            if self.chance(oddness) {
                content[map] = json!("odd");
            } else if self.chance(70) {
                content[map] = json!({});
                for key in keys {
                    if self.chance(45) {
                        content[map][*key] = self.level(oddness);
                    }
                }
                if map == "users" && self.version != "12" && self.chance(60) {
                    content[map]["@alice:one"] = json!(100);
                }
                if map == "users" && self.chance(oddness) {
                    content[map]["nobody"] = json!(1);
                }
            }
        }
        content
    }

    /// New levels that differ little from those there are.
    fn changed_levels(&mut self, state: &[Pdu]) -> Value {
        let Some(current) = AuthState::get(state, "m.room.power_levels", "") else {
            return self.levels(3);
        };
        let mut content: Value = serde_json::from_str(current.content_str()).unwrap();
        let other = self.levels(2);
        for (key, value) in other.as_object().unwrap() {
            if self.chance(20) {
                content[key] = value.clone();
            } else if let (Some(current), Some(value)) =
                (content[key].as_object_mut(), value.as_object())
            {
                for (key, value) in value {
                    if self.random.random_range(0..100) < 15 {
                        current.insert(key.clone(), value.clone());
                    } else if self.random.random_range(0..100) < 5 {
                        current.remove(key);
                    }
                }
            }
        }
        content
    }

    fn event(&mut self, state: &[Pdu]) -> Pdu {
        let mighty = self.chance(60);
        let sender = self.one(if mighty {
            &["@alice:one", "@bob:one"]
        } else {
            &USERS
        });
        let prev = if self.chance(20) {
            "$create:one"
        } else {
            "$x:one"
        };
        let line = match self.random.random_range(0..20) {
            0..9 => self.member(sender),
            9..13 => format!("{sender} .power_levels '' {}", self.changed_levels(state)),
            13 => format!("{sender} .third_party_invite other {{}}"),
            14 => format!(
                "{sender} .aliases {} {{}}",
                self.one(&["one", "two", "-", "''"])
            ),
            15 => format!(
                "{sender} .redaction - {{}} id={} redacts={}",
                self.one(&["$r:one", "$r:two"]),
                self.one(&["$e:one", "$e:two", "$e:three"])
            ),
            16 => format!(
                "{sender} .name {} {{}}",
                self.one(&["''", "-", "@alice:one", "@carol:two", "@x"])
            ),
            17 => self.create(),
            _ => format!("{sender} .message - {{}}"),
        };
        event(&format!("{line} prev={prev}"), self.version)
    }

    fn member(&mut self, sender: &str) -> String {
        let target = if self.chance(50) {
            sender.to_owned()
        } else {
            self.one(&USERS).to_owned()
        };
        let target = if self.chance(2) {
            "nobody".to_owned()
        } else {
            target
        };
        let membership = self.one(&MEMBERSHIPS);
        let mut content = json!({"membership": membership});
        if self.chance(25) {
            content["join_authorised_via_users_server"] = json!(self.one(&USERS));
        }
        if self.chance(8) {
            content["third_party_invite"] = json!({"signed": {
                "mxid": if self.chance(80) { target.as_str() } else { "@x:one" },
                "token": self.one(&["token", "other"]),
                "signatures": {},
            }});
        }
        if self.chance(3) {
            content["membership"] = json!(null);
        }
        format!("{sender} .member {target} {content}")
    }
}

/// Why ruma and we may differ here.
fn explained(event: &Pdu, state: &[Pdu], version: &str) -> Option<&'static str> {
    let no_rule = AuthState::get(state, "m.room.join_rules", "").is_none();
    if no_rule && event.event_type() == "m.room.member" {
        return Some("a room without a join rule counts as closed, not as broken");
    }
    // ruma takes two ids without a server for ids of the same server.
    (event.event_type() == "m.room.redaction" && event.redacts(rules(version)).is_none())
        .then_some("a redaction of nothing is no redaction of one's own")
}

#[test]
fn t10_verdicts_are_those_of_ruma() {
    let (mut allowed, mut denied, mut differ) = (0_u32, 0_u32, 0_u32);
    for version in ALL {
        let mut maker = Maker {
            random: SmallRng::seed_from_u64(version.len() as u64),
            version,
        };
        let theirs = ruma::RoomVersionId::try_from(version)
            .unwrap()
            .rules()
            .unwrap()
            .authorization;
        for _ in 0..2500 {
            let state = maker.state();
            let event = maker.event(&state);
            let ours = judge(&event, &state, rules(version));
            let find = |event_type: &StateEventType, key: &str| {
                AuthState::get(&state, &event_type.to_string(), key)
                    .map(|pdu| Theirs::new(pdu, version, false))
            };
            let incoming = Theirs::new(&event, version, false);
            let independent = match event.event_type() {
                "m.room.create" => {
                    check_state_independent_auth_rules(&theirs, &incoming, |_| None::<Theirs>)
                }
                _ => Ok(()),
            };
            let other = independent
                .and_then(|()| check_state_dependent_auth_rules(&theirs, &incoming, find));
            *if ours.is_allowed() {
                &mut allowed
            } else {
                &mut denied
            } += 1;
            if ours.is_allowed() != other.is_ok() {
                differ += 1;
                assert!(
                    explained(&event, &state, version).is_some(),
                    "version {version}: {event:?}\nin {state:#?}\nours {ours:?}, theirs {other:?}"
                );
            }
        }
    }
    // Both verdicts are frequent, and what is explained is rare; else this test proves little.
    assert!(
        allowed > 5_000 && denied > 5_000 && differ < 600,
        "{allowed} allowed, {denied} denied, {differ} differ"
    );
}

#[test]
fn selections_are_those_of_ruma() {
    for version in ALL {
        let mut maker = Maker {
            random: SmallRng::seed_from_u64(99),
            version,
        };
        let theirs = ruma::RoomVersionId::try_from(version)
            .unwrap()
            .rules()
            .unwrap()
            .authorization;
        for _ in 0..500 {
            let event = maker.event(&[]);
            let found = auth_types_of(rules(version), &event);
            let mut ours: Vec<_> = found
                .iter()
                .map(|(kind, key)| ((*kind).to_owned(), key.to_string()))
                .collect();
            let (kind, content) = (event.event_type().into(), event.content());
            let Ok(other) =
                auth_types_for_event(&kind, event.sender(), event.state_key(), content, &theirs)
            else {
                // They refuse to select for an event without membership, which no state allows.
                assert!(event.membership().is_none());
                continue;
            };
            let mut other: Vec<_> = other
                .into_iter()
                .map(|(kind, key)| (kind.to_string(), key))
                .collect();
            ours.sort();
            other.sort();
            assert_eq!(ours, other, "version {version}: {event:?}");
        }
    }
}

#[test]
fn verdicts_on_auth_events_are_those_of_ruma() {
    let (mut allowed, mut denied) = (0_u32, 0_u32);
    for version in ALL {
        let mut maker = Maker {
            random: SmallRng::seed_from_u64(7),
            version,
        };
        let theirs = ruma::RoomVersionId::try_from(version)
            .unwrap()
            .rules()
            .unwrap()
            .authorization;
        for _ in 0..1000 {
            let state = maker.state();
            let event = maker.event(&state);
            if event.event_type() == "m.room.create"
                || event.event_type() == "m.room.member" && event.membership().is_none()
            {
                continue;
            }
            let wanted = auth_types_of(rules(version), &event);
            let mut named: Vec<&Pdu> = wanted
                .iter()
                .filter_map(|(kind, key)| AuthState::get(&state, kind, key))
                .collect();
            if maker.chance(10) {
                named.extend(state.choose(&mut maker.random));
            }
            let rejected = maker
                .chance(10)
                .then(|| state.choose(&mut maker.random))
                .flatten()
                .map(Pdu::event_id);
            let ids: Vec<&EventId> = named.iter().map(|pdu| pdu.event_id()).collect();
            let json = event.json().replace(
                "\"auth_events\":[]",
                &format!("\"auth_events\":{}", json!(ids)),
            );
            let event = Pdu::from_stored(
                event.event_id().to_owned(),
                event.room_id().to_owned(),
                json,
            )
            .unwrap();
            let known = |id: &EventId| state.iter().find(|pdu| pdu.event_id() == id);
            let ours = check_auth_events(&event, rules(version), |id| {
                known(id).map(|pdu| Known {
                    pdu,
                    rejected: rejected == Some(id),
                })
            });
            let other = check_state_independent_auth_rules(
                &theirs,
                Theirs::new(&event, version, false),
                |id| known(id).map(|pdu| Theirs::new(pdu, version, rejected == Some(id))),
            );
            *if ours.is_allowed() {
                &mut allowed
            } else {
                &mut denied
            } += 1;
            assert_eq!(
                ours.is_allowed(),
                other.is_ok(),
                "version {version}: {event:?}\nours {ours:?}, theirs {other:?}"
            );
        }
    }
    assert!(
        allowed > 1_000 && denied > 1_000,
        "{allowed} allowed, {denied} denied"
    );
}
