//! What is tried on arbitrary bytes: one function each, called by the fuzzer (`fuzz_targets/`) and, on the stable compiler, by `tests/fuzz.rs`.
//!
//! Bytes are read as choices ([`Input`]), so that most inputs are nearly right: rooms, contents and patterns made of words that the rules know. Nothing may
//! panic; where there is a second way to an answer, both must agree.

use event::auth::{self, Known, Membership, PowerLevels, state_fn};
use event::canonical;
use event::push::{self, Context, FlatEvent};
use event::resolve::{self, StateMap};
use event::rules::{Json, RoomIds};
use event::sign::VerifyKey;
use event::{Checked, Pdu, Rules, UncheckedPdu, acl::Acl, judge, redact};
use ruma::push::Ruleset;
use ruma::{EventId, RoomId, ServerName, UserId};
use serde_json::{Map, Value, json};

/// How deep generated JSON nests.
const DEPTH: usize = 4;
/// How many events a generated room has at most.
const EVENTS: usize = 28;

const USERS: [&str; 5] = ["@a:one", "@b:one", "@c:two", "@d:two", "@e:three"];
const TYPES: [&str; 9] = [
    "m.room.member",
    "m.room.power_levels",
    "m.room.join_rules",
    "m.room.third_party_invite",
    "m.room.topic",
    "m.room.aliases",
    "m.room.redaction",
    "m.room.message",
    "m.room.create",
];
const KEYS: [&str; 27] = [
    "membership",
    "join_rule",
    "users",
    "users_default",
    "events",
    "events_default",
    "state_default",
    "notifications",
    "ban",
    "kick",
    "invite",
    "redact",
    "creator",
    "additional_creators",
    "room_version",
    "m.federate",
    "third_party_invite",
    "signed",
    "mxid",
    "token",
    "signatures",
    "public_key",
    "public_keys",
    "join_authorised_via_users_server",
    "redacts",
    "body",
    "m.mentions",
];
const WORDS: [&str; 18] = [
    "join",
    "invite",
    "leave",
    "ban",
    "knock",
    "public",
    "restricted",
    "knock_restricted",
    "token",
    "12",
    "50",
    "100",
    " -7 ",
    "",
    "@a:one",
    "@b:one",
    "@c:two",
    "room",
];
const PATTERNS: [&str; 10] = ["*", "?", "a", "b", ".", "A", "one", " ", "é", "_"];
const SERVERS: [&str; 7] = [
    "one",
    "a.one",
    "AB.a:8448",
    "1.2.3.4",
    "[::1]:80",
    "b.b.a",
    "xn--9ca.one",
];

/// Bytes read as choices. Where they end, every choice is the first.
struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    fn byte(&mut self) -> u8 {
        let (first, rest) = self.0.split_first().unwrap_or((&0, &[]));
        self.0 = rest;
        *first
    }

    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn below(&mut self, count: usize) -> usize {
        usize::from(self.byte()) % count.max(1)
    }

    fn chance(&mut self, of: usize) -> bool {
        self.below(of) == 1
    }

    fn one<T: Copy + Default>(&mut self, of: &[T]) -> T {
        of.get(self.below(of.len())).copied().unwrap_or_default()
    }

    fn number(&mut self) -> i64 {
        (0..8).fold(0, |number, _| (number << 8) | i64::from(self.byte()))
    }

    fn text(&mut self) -> String {
        let length = self.below(12).min(self.0.len());
        let (text, rest) = self.0.split_at(length);
        self.0 = rest;
        String::from_utf8_lossy(text).into_owned()
    }

    fn rules(&mut self) -> &'static Rules {
        let at = self.below(12);
        Rules::all().get(at).unwrap_or(Rules::newest())
    }

    fn json(&mut self, depth: usize) -> Value {
        match self.below(if depth == 0 || self.is_empty() { 7 } else { 11 }) {
            0 | 1 => self.one(&WORDS).into(),
            2 => Value::Null,
            3 => (i64::from(self.byte()) - 100).into(),
            4 => self.number().into(),
            5 => self.chance(2).into(),
            6 => match self.chance(4) {
                true => (self.number() as f64 / 7.0).into(),
                false => self.text().into(),
            },
            7 => {
                let length = self.below(4);
                (0..length).map(|_| self.json(depth - 1)).collect()
            }
            _ => self.object(depth - 1).into(),
        }
    }

    fn object(&mut self, depth: usize) -> Map<String, Value> {
        let length = self.below(6);
        let mut entry = || {
            let key = match self.below(8) {
                0 => self.text(),
                1 => self.one(&USERS).to_owned(),
                2 => self.one(&TYPES).to_owned(),
                _ => self.one(&KEYS).to_owned(),
            };
            (key, self.json(depth))
        };
        (0..length).map(|_| entry()).collect()
    }

    /// What an event of a type might say: mostly the property that matters with a word that might stand there, and anything beside it.
    fn content(&mut self, event_type: &str) -> Value {
        let mut content = self.object(DEPTH);
        let usual = match event_type {
            "m.room.member" => json!({ "membership": self.one(&WORDS) }),
            "m.room.join_rules" => json!({ "join_rule": self.one(&WORDS) }),
            "m.room.power_levels" => {
                json!({ "users": { (self.one(&USERS)): self.byte(), (self.one(&USERS)): self.byte() } })
            }
            "m.room.create" => json!({ "creator": self.one(&USERS) }),
            _ => json!({ "body": self.text() }),
        };
        if let Value::Object(usual) = usual
            && !self.chance(8)
        {
            content.extend(usual);
        }
        content.into()
    }

    /// Puts a few characters that mean something to JSON where others were.
    fn mangle(&mut self, text: &str) -> String {
        let mut characters: Vec<char> = text.chars().collect();
        for _ in 0..self.below(4) {
            let at = self.below(characters.len().min(250));
            let new = char::from(self.one(b"{}[]\",:\\u0019eE.+- \t\n\x01nt"));
            if let Some(character) = characters.get_mut(at) {
                *character = new;
            }
        }
        characters.into_iter().collect()
    }

    /// JSON as it might arrive: from nearly right to not at all.
    fn wire(&mut self, value: &Value) -> String {
        match self.below(4) {
            0 => String::from_utf8_lossy(self.0).into_owned(),
            1 => self.mangle(&value.to_string()),
            2 => serde_json::to_string_pretty(value).unwrap_or_default(),
            _ => value.to_string(),
        }
    }
}

/// Canonical JSON is its own canonical form, and means what the text meant.
pub fn canonical(data: &[u8]) {
    let mut input = Input(data);
    let value = input.json(DEPTH);
    let text = input.wire(&value);
    for json in [Json::Strict, Json::Lax] {
        let Ok(canonical) = canonical::canonicalise(&text, json) else {
            continue;
        };
        assert_eq!(
            canonical::canonicalise(&canonical, json).ok().as_ref(),
            Some(&canonical)
        );
        if json == Json::Strict {
            assert_eq!(meaning(&canonical), meaning(&text));
        }
    }
}

/// What a text says, with a number the same however it is written.
fn meaning(text: &str) -> Option<Value> {
    fn plain(value: &mut Value) {
        match value {
            Value::Number(number) => *value = json!(number.as_f64().map(|number| number as i64)),
            Value::Array(items) => items.iter_mut().for_each(plain),
            Value::Object(object) => object.values_mut().for_each(plain),
            _ => {}
        }
    }
    let mut value = serde_json::from_str(text).ok()?;
    plain(&mut value);
    Some(value)
}

/// Whatever arrives is refused or becomes an event with one id, and no event comes through unsigned.
pub fn ingress(data: &[u8]) {
    let mut input = Input(data);
    let rules = input.rules();
    let event_type = input.one(&TYPES);
    let mut event = json!({
        "type": event_type, "sender": input.one(&USERS), "room_id": "!r:one", "content": input.content(event_type), "depth": input.byte(),
        "origin_server_ts": input.number(), "prev_events": [], "auth_events": [], "hashes": { "sha256": input.text() }, "signatures": {},
        "state_key": input.one(&USERS), "event_id": "$e:one",
    });
    for _ in 0..input.below(3) {
        let field = input.one(&[
            "type",
            "sender",
            "room_id",
            "depth",
            "prev_events",
            "auth_events",
            "hashes",
            "signatures",
            "state_key",
            "event_id",
            "unsigned",
        ]);
        let value = input.json(DEPTH);
        let Some(fields) = event.as_object_mut() else {
            return;
        };
        if input.chance(3) {
            fields.remove(field);
        } else {
            fields.insert(field.to_owned(), value);
        }
    }
    let text = input.wire(&event);
    if let Ok(redacted) = redact::redact(&text, rules) {
        assert_eq!(redact::redact(&redacted, rules).ok(), Some(redacted));
    }
    if let Ok(unchecked) = UncheckedPdu::parse(&text, rules) {
        let again = UncheckedPdu::parse(&text, rules);
        assert!(again.is_ok_and(|again| again.event_id() == unchecked.event_id()));
        // Only who is invited by a third party's word needs no server to sign for him.
        let checked = unchecked.check(&|_: &ServerName, _: &str| None::<VerifyKey>);
        let unsigned = checked.ok().map(Checked::into_pdu);
        assert!(unsigned.is_none_or(|pdu| pdu.membership() == Some(Membership::Invite)));
    }
}

/// A generated room: events that name earlier ones as what authorises them, and whether each was rejected.
struct Room {
    rules: &'static Rules,
    events: Vec<resolve::Known>,
}

impl Room {
    fn read(input: &mut Input<'_>) -> Self {
        let mut room = Self {
            rules: input.rules(),
            events: Vec::new(),
        };
        room.add(input, "m.room.create", Some(""));
        for user in USERS.into_iter().take(input.below(USERS.len() + 1)) {
            room.add(input, "m.room.member", Some(user));
        }
        while !input.is_empty() && room.events.len() < EVENTS {
            let event_type = input.one(&TYPES);
            let state_key = match input.below(8) {
                0 => None,
                1 => Some("token"),
                2 | 3 => Some(""),
                _ => Some(input.one(&USERS)),
            };
            let state_key = match event_type {
                "m.room.power_levels" | "m.room.join_rules" if !input.chance(8) => Some(""),
                _ => state_key,
            };
            room.add(input, event_type, state_key);
        }
        room
    }

    fn add(&mut self, input: &mut Input<'_>, event_type: &str, state_key: Option<&str>) {
        let at = self.events.len();
        let sender = match state_key.filter(|key| key.starts_with('@')) {
            Some(user) if !input.chance(3) => user,
            _ => input.one(&USERS),
        };
        let links = input.below(6).min(at);
        let auth: Vec<String> = (0..links)
            .map(|_| format!("$e{}", input.below(at)))
            .collect();
        let mut event = json!({
            "type": event_type, "sender": sender, "content": input.content(event_type), "depth": at, "origin_server_ts": input.below(6),
            "prev_events": [], "auth_events": auth, "hashes": {}, "signatures": {},
        });
        if let (Some(event), Some(state_key)) = (event.as_object_mut(), state_key) {
            event.insert("state_key".to_owned(), state_key.into());
        }
        // Where rooms are named after their create event, that is the first one.
        let room = match self.rules.room_ids {
            RoomIds::OfCreate => "!e0",
            RoomIds::Chosen => "!r:one",
        };
        let (Ok(id), Ok(room)) = (EventId::parse(format!("$e{at}")), RoomId::parse(room)) else {
            return;
        };
        if let Ok(pdu) = Pdu::from_stored(id, room, event.to_string()) {
            let rejected = at > 0 && input.chance(10);
            self.events.push(resolve::Known { pdu, rejected });
        }
    }

    fn find(&self, id: &EventId) -> Option<&resolve::Known> {
        self.events.iter().find(|known| known.pdu.event_id() == id)
    }

    /// A state of some of the events.
    fn state(&self, input: &mut Input<'_>) -> StateMap {
        let chosen = self.events.iter().filter(|_| !input.chance(3));
        let pairs = chosen.filter_map(|known| {
            let (event_type, state_key) = known.pdu.state_pair()?;
            let pair = (event_type.to_owned(), state_key.to_owned());
            Some((pair, known.pdu.event_id().to_owned()))
        });
        pairs.collect()
    }
}

/// Every event gets a verdict, the same one whichever way the state is looked up.
pub fn auth(data: &[u8]) {
    let mut input = Input(data);
    let mut room = Room::read(&mut input);
    let rules = room.rules;
    let Some(event) = room.events.pop().map(|known| known.pdu) else {
        return;
    };
    let state: Vec<Pdu> = room.events.iter().map(|known| known.pdu.clone()).collect();
    let by_text = state_fn(|event_type, state_key| {
        let pair = Some((event_type, state_key));
        state.iter().find(|pdu| pdu.state_pair() == pair)
    });
    let verdict = judge(&event, &state, rules);
    assert_eq!(judge(&event, &by_text, rules), verdict);
    let _ = auth::check_auth_events(&event, rules, |id| {
        let known = room.find(id)?;
        Some(Known {
            pdu: &known.pdu,
            rejected: known.rejected,
        })
    });
}

/// Resolution ends, does not depend on the order of the states or on how often one is given, and leaves a single state as it is.
pub fn resolve(data: &[u8]) {
    let mut input = Input(data);
    let room = Room::read(&mut Input(data));
    let mut states: Vec<StateMap> = (0..2 + input.below(3))
        .map(|_| room.state(&mut input))
        .collect();
    let find = |id: &EventId| room.find(id).cloned();
    let resolved = resolve::resolve_sets(room.rules, &states, find);
    for state in &states {
        let alone = std::slice::from_ref(state);
        assert_eq!(resolve::resolve_sets(room.rules, alone, find), *state);
    }
    states.extend(states.first().cloned());
    states.reverse();
    assert_eq!(resolve::resolve_sets(room.rules, &states, find), resolved);
}

/// Any rules judge any event.
pub fn push(data: &[u8]) {
    let mut input = Input(data);
    let mut room = Room::read(&mut input);
    let mut input = Input(data);
    let pattern = |input: &mut Input<'_>| -> String {
        let length = input.below(10);
        (0..length).map(|_| input.one(&PATTERNS)).collect()
    };
    let mut rule = |at: usize| {
        let key = match input.below(3) {
            0 => input.text(),
            1 => format!("content.{}", input.one(&KEYS)),
            _ => input
                .one(&["content.body", "type", "sender", "state_key", "content"])
                .to_owned(),
        };
        let condition = match input.below(6) {
            0 | 1 => json!({ "kind": "event_match", "key": key, "pattern": pattern(&mut input) }),
            2 => json!({ "kind": "event_property_is", "key": key, "value": input.one(&WORDS) }),
            3 => json!({ "kind": "event_property_contains", "key": key, "value": input.byte() }),
            4 => json!({ "kind": "room_member_count", "is": input.one(&["2", ">1", "<9", "==2"]) }),
            _ => json!({ "kind": "contains_display_name" }),
        };
        let (id, actions) = (at.to_string(), ["notify"]);
        let conditional = json!({
            "rule_id": id, "default": false, "enabled": true, "actions": actions, "conditions": [condition],
        });
        let patterned = json!({
            "rule_id": id, "default": false, "enabled": true, "actions": actions, "pattern": pattern(&mut input),
        });
        (conditional, patterned)
    };
    let (conditional, patterned): (Vec<_>, Vec<_>) = (0..4).map(&mut rule).unzip();
    let rules = json!({ "override": conditional, "content": patterned, "underride": conditional });
    let (Ok(rules), Some(known)) = (serde_json::from_value::<Ruleset>(rules), room.events.pop())
    else {
        return;
    };
    let Ok(user_id) = <&UserId>::try_from("@e:three") else {
        return;
    };
    let display_name = String::from_utf8_lossy(data.get(..8).unwrap_or_default()).into_owned();
    let cx = Context {
        user_id,
        display_name: Some(display_name.as_str()),
        member_count: 2,
        may_notify: &|_: &str| true,
        follows_thread: None,
    };
    let event = FlatEvent::of(&known.pdu);
    let actions = push::evaluate(&rules, &event, &cx);
    assert!(actions.is_empty() || known.pdu.sender() != user_id);
}

/// An ACL lets in whom the plainest reading of its patterns lets in.
pub fn acl(data: &[u8]) {
    let mut input = Input(data);
    let mut list = || -> Vec<String> {
        let length = input.below(4);
        let mut pattern = || -> String {
            let length = input.below(9);
            (0..length).map(|_| input.one(&PATTERNS)).collect()
        };
        (0..length).map(|_| pattern()).collect()
    };
    let (allow, deny) = (list(), list());
    let content = json!({ "allow": allow, "deny": deny }).to_string();
    let Ok(server) = <&ServerName>::try_from(input.one(&SERVERS)) else {
        return;
    };
    let _ = Acl::parse(&input.mangle(&content)).allows(server);
    let host = server.host().to_lowercase();
    let any = |list: &[String]| {
        let mut patterns = list.iter().map(|pattern| pattern.to_lowercase());
        patterns.any(|pattern| matches_plainly(&pattern, &host))
    };
    assert_eq!(
        Acl::parse(&content).allows(server),
        !any(&deny) && any(&allow)
    );
}

/// Every way to split the text for every star.
fn matches_plainly(pattern: &str, text: &str) -> bool {
    let mut rest = pattern.chars();
    let (first, mut tail) = (rest.next(), text.chars());
    match first {
        None => text.is_empty(),
        Some('*') => {
            let mut ends = text.char_indices().map(|(at, _)| at).chain([text.len()]);
            ends.any(|at| matches_plainly(rest.as_str(), text.get(at..).unwrap_or_default()))
        }
        Some(wanted) => {
            let found = tail.next();
            found.is_some_and(|found| wanted == '?' || wanted == found)
                && matches_plainly(rest.as_str(), tail.as_str())
        }
    }
}

/// Any content of `m.room.power_levels` gives everybody a level.
pub fn levels(data: &[u8]) {
    let mut input = Input(data);
    let room = Room::read(&mut input);
    let of_type = |name: &str| {
        let mut pdus = room.events.iter().map(|known| &known.pdu);
        pdus.find(|pdu| pdu.event_type() == name)
    };
    let Some(create) = of_type("m.room.create") else {
        return;
    };
    let levels = PowerLevels::of(of_type("m.room.power_levels"), create, room.rules);
    for name in USERS {
        let Ok(user) = <&UserId>::try_from(name) else {
            continue;
        };
        let mut own = levels.users().filter(|(named, _)| *named == name);
        if let Some((_, level)) = own.next()
            && !levels.is_creator(user)
        {
            assert_eq!(levels.user(user), auth::Level::Int(level));
        }
        for event_type in TYPES {
            let _ = levels.user(user).reaches(levels.event(event_type, true));
            let _ = levels.user(user).reaches(levels.message(event_type));
        }
    }
    let _ = [levels.notification("room"), levels.redact(), levels.kick()];
}
