//! Rooms made up at random: a few users on three servers, branches that fork and merge, and everything that people do to each other's power.

use event::resolve::{self, Known, StateMap};
use event::rules::{EventIds, References, RoomIds};
use event::{KeyPair, Pdu, Rules, UncheckedPdu, Verdict, auth, sign};
use rand::rngs::SmallRng;
use rand::seq::IndexedRandom as _;
use rand::{RngExt as _, SeedableRng as _};
use ruma::{CanonicalJsonObject, EventId, OwnedEventId, OwnedRoomId, OwnedUserId, RoomId, UserId};
use serde_json::{Value, json};
use std::collections::HashMap;

/// A room: its events, and the states to resolve.
pub struct Dag {
    pub rules: &'static Rules,
    pub events: Vec<Known>,
    pub by_id: HashMap<OwnedEventId, usize>,
    pub states: Vec<StateMap>,
}

impl Dag {
    pub fn find(&self, id: &EventId) -> Option<Known> {
        self.by_id.get(id).map(|at| self.events[*at].clone())
    }

    /// What we make of it.
    pub fn resolve(&self) -> StateMap {
        resolve::resolve_sets(self.rules, &self.states, |id| self.find(id))
    }

    /// The room as a case of the oracle's protocol (docs/oracle.md), with the events that matter only.
    pub fn to_case(&self) -> Value {
        let mut wanted: Vec<OwnedEventId> = self
            .states
            .iter()
            .flat_map(|state| state.values().cloned())
            .collect();
        let mut at = 0;
        while at < wanted.len() {
            let known = self.find(&wanted[at]).unwrap();
            let create = self.create().pdu.event_id().to_owned();
            for id in known.pdu.auth_events().iter().chain([&create]) {
                if !wanted.contains(id) {
                    wanted.push(id.clone());
                }
            }
            at += 1;
        }
        wanted.sort();
        wanted.dedup();
        let wanted: Vec<&Known> = self
            .events
            .iter()
            .filter(|known| wanted.iter().any(|id| id == known.pdu.event_id()))
            .collect();
        let pdu = |known: &&Known| json!({ "event_id": known.pdu.event_id(), "pdu": serde_json::from_str::<Value>(known.pdu.json()).unwrap() });
        let ids = |state: &StateMap| {
            let mut ids: Vec<_> = state.values().map(ToString::to_string).collect();
            ids.sort();
            ids
        };
        json!({
            "op": "resolve",
            "room_version": self.rules.version,
            "events": wanted.iter().map(pdu).collect::<Vec<_>>(),
            "state_sets": self.states.iter().map(ids).collect::<Vec<_>>(),
            "rejected": wanted.iter().filter(|known| known.rejected).map(|known| known.pdu.event_id()).collect::<Vec<_>>(),
        })
    }

    /// Reads such a case.
    pub fn from_case(case: &Value) -> Self {
        let rules = Rules::named(case["room_version"].as_str().unwrap()).unwrap();
        let rejected = case["rejected"].as_array().unwrap();
        let mut dag = Self {
            rules,
            events: Vec::new(),
            by_id: HashMap::new(),
            states: Vec::new(),
        };
        for event in case["events"].as_array().unwrap() {
            let id = EventId::parse(event["event_id"].as_str().unwrap()).unwrap();
            let room_id = match event["pdu"]["room_id"].as_str() {
                Some(room_id) => RoomId::parse(room_id).unwrap(),
                None => event::id::room_of_create(&id).unwrap(),
            };
            let json = event::canonical::to_string(&event["pdu"]).unwrap();
            let known = Known {
                pdu: Pdu::from_stored(id.clone(), room_id, json).unwrap(),
                rejected: rejected.iter().any(|it| it.as_str() == Some(id.as_str())),
            };
            dag.by_id.insert(id, dag.events.len());
            dag.events.push(known);
        }
        for state in case["state_sets"].as_array().unwrap() {
            let ids = state.as_array().unwrap().iter();
            let ids = ids.map(|id| EventId::parse(id.as_str().unwrap()).unwrap());
            dag.states.push(ids.map(|id| (dag.pair(&id), id)).collect());
        }
        dag
    }

    fn pair(&self, id: &EventId) -> (String, String) {
        let pdu = self.find(id).unwrap().pdu;
        let (event_type, state_key) = pdu.state_pair().unwrap();
        (event_type.to_owned(), state_key.to_owned())
    }

    fn create(&self) -> &Known {
        &self.events[0]
    }
}

/// A state as text that can be compared and read.
pub fn readable(state: &StateMap) -> Vec<String> {
    let mut lines: Vec<_> = state
        .iter()
        .map(|((event_type, state_key), id)| format!("{event_type} {state_key:?} {id}"))
        .collect();
    lines.sort();
    lines
}

/// One server's idea of the room.
#[derive(Clone)]
struct Branch {
    state: StateMap,
    tips: Vec<OwnedEventId>,
    depth: u64,
}

struct Maker {
    random: SmallRng,
    dag: Dag,
    room_id: Option<OwnedRoomId>,
    users: Vec<OwnedUserId>,
    branches: Vec<Branch>,
    /// Earlier ideas of the room, which somebody may still have.
    stale: Vec<StateMap>,
    clock: u64,
}

/// What third-party invites are known by. Few, so that they conflict.
const TOKENS: [&str; 2] = ["token", "other token"];

/// The keys of those who vouch for third parties. Nobody trusts the last.
fn witness(number: u8) -> KeyPair {
    KeyPair::from_seed(&[number + 1; 32], "0").unwrap()
}

/// Makes a room. The same seed makes the same room.
pub fn generate(rules: &'static Rules, seed: u64) -> Dag {
    let mut random = SmallRng::seed_from_u64(seed);
    let users = (0..random.random_range(5..=8))
        .map(|at| UserId::parse(format!("@u{at}:s{}.example", at % 3)).unwrap())
        .collect();
    let dag = Dag {
        rules,
        events: Vec::new(),
        by_id: HashMap::new(),
        states: Vec::new(),
    };
    let mut maker = Maker {
        random,
        dag,
        room_id: None,
        users,
        branches: Vec::new(),
        stale: Vec::new(),
        clock: 1_000,
    };
    maker.found();
    for _ in 0..maker.random.random_range(15..45) {
        maker.step();
    }
    maker.finish();
    maker.dag
}

impl Maker {
    /// The first events of a room, and the branches that start from them.
    fn found(&mut self) {
        if self.dag.rules.room_ids == RoomIds::Chosen {
            self.room_id = Some(RoomId::parse("!room:s0.example").unwrap());
        }
        let creator = self.users[0].clone();
        self.branches.push(Branch {
            state: StateMap::new(),
            tips: Vec::new(),
            depth: 0,
        });
        let mut create = json!({ "room_version": self.dag.rules.version });
        if !self.dag.rules.auth.creator_is_sender {
            create["creator"] = json!(creator);
        }
        if self.dag.rules.auth.supreme_creators && self.random.random_bool(0.4) {
            create["additional_creators"] = json!([self.users[1]]);
        }
        self.say(0, &creator, "m.room.create", "", &create);
        self.say(
            0,
            &creator,
            "m.room.member",
            creator.as_str(),
            &json!({ "membership": "join" }),
        );
        if self.random.random_bool(0.9) {
            let levels = self.levels(&json!({}), 0);
            self.say(0, &creator, "m.room.power_levels", "", &levels);
        }
        let rule = ["public", "public", "invite"]
            .choose(&mut self.random)
            .unwrap();
        self.say(
            0,
            &creator,
            "m.room.join_rules",
            "",
            &json!({ "join_rule": rule }),
        );
        for at in 1..self.users.len() {
            let user = self.users[at].clone();
            if self.random.random_bool(0.7) {
                self.say(
                    0,
                    &creator,
                    "m.room.member",
                    user.as_str(),
                    &json!({ "membership": "invite" }),
                );
                self.say(
                    0,
                    &user,
                    "m.room.member",
                    user.as_str(),
                    &json!({ "membership": "join" }),
                );
            }
        }
        self.fork();
    }

    fn fork(&mut self) {
        let branch = self.branches.choose(&mut self.random).unwrap().clone();
        self.branches.push(branch);
    }

    fn step(&mut self) {
        let at = self.random.random_range(0..self.branches.len());
        match self.random.random_range(0..100) {
            0..6 if self.branches.len() < 4 => self.fork(),
            6..11 if self.branches.len() > 2 => self.merge(),
            11..14 => self.stale.push(self.branches[at].state.clone()),
            _ => self.act(at),
        }
    }

    /// Two branches become one: what the resolution says, under both tips.
    fn merge(&mut self) {
        let one = self
            .branches
            .swap_remove(self.random.random_range(0..self.branches.len()));
        let other = self.random.random_range(0..self.branches.len());
        let states = [one.state, self.branches[other].state.clone()];
        let dag = &self.dag;
        let state = resolve::resolve_sets(dag.rules, &states, |id| dag.find(id));
        let branch = &mut self.branches[other];
        branch.state = state;
        branch.tips.extend(
            one.tips
                .into_iter()
                .filter(|tip| !branch.tips.contains(tip))
                .collect::<Vec<_>>(),
        );
        branch.depth = branch.depth.max(one.depth);
    }

    /// Somebody does something, allowed or not.
    fn act(&mut self, at: usize) {
        let actor = self.users.choose(&mut self.random).unwrap().clone();
        let actor = if self.random.random_bool(0.3) {
            self.users[0].clone()
        } else {
            actor
        };
        let target = self.users.choose(&mut self.random).unwrap().clone();
        let content = self.branches[at]
            .state
            .get(&("m.room.power_levels".to_owned(), String::new()))
            .map_or_else(|| json!({}), |id| self.content(id));
        let member = "m.room.member";
        match self.random.random_range(0..110) {
            0..16 => {
                let changes = self.random.random_range(1..=2);
                let levels = self.levels(&content, changes);
                self.say(at, &actor, "m.room.power_levels", "", &levels);
            }
            16..26 => {
                let rule = self.join_rule();
                self.say(
                    at,
                    &actor,
                    "m.room.join_rules",
                    "",
                    &json!({ "join_rule": rule, "allow": [] }),
                );
            }
            26..40 => self.say(
                at,
                &actor,
                member,
                target.as_str(),
                &json!({ "membership": "ban" }),
            ),
            40..54 => self.say(
                at,
                &actor,
                member,
                target.as_str(),
                &json!({ "membership": "leave" }),
            ),
            54..60 => self.say(
                at,
                &actor,
                member,
                actor.as_str(),
                &json!({ "membership": "leave" }),
            ),
            60..70 => self.say(
                at,
                &actor,
                member,
                target.as_str(),
                &json!({ "membership": "invite" }),
            ),
            70..73 => self.say(
                at,
                &actor,
                member,
                actor.as_str(),
                &json!({ "membership": "knock" }),
            ),
            73..86 => {
                let mut join = json!({ "membership": "join", "displayname": self.random.random_range(0..9).to_string() });
                if self.random.random_bool(0.3) {
                    join["join_authorised_via_users_server"] = json!(target);
                }
                self.say(at, &actor, member, actor.as_str(), &join);
            }
            86..90 => self.invite_third_party(at, &actor),
            90..98 => self.redeem(at, &actor, &target),
            _ => {
                let (event_type, key) = [
                    ("m.room.topic", ""),
                    ("m.room.name", ""),
                    ("org.example.a", "x"),
                    ("org.example.a", "y"),
                ]
                .choose(&mut self.random)
                .copied()
                .unwrap();
                let content = json!({ "it": self.random.random_range(0..99) });
                self.say(at, &actor, event_type, key, &content);
            }
        }
    }

    /// Somebody invites a person who has no user id yet, or withdraws such an invite.
    fn invite_third_party(&mut self, at: usize, actor: &UserId) {
        let token = *TOKENS.choose(&mut self.random).unwrap();
        let mut keys =
            (0..2).map(|_| json!(witness(self.random.random_range(0..2)).public().to_base64()));
        let (first, second) = (keys.next().unwrap(), keys.next().unwrap());
        let content = match self.random.random_range(0..4) {
            0 => json!({}),
            1 => {
                json!({ "display_name": "x", "key_validity_url": "https://id.example", "public_key": first })
            }
            2 => {
                json!({ "display_name": "x", "key_validity_url": "https://id.example", "public_keys": [{ "public_key": first }] , "public_key": second })
            }
            _ => json!({ "public_keys": [{ "public_key": first }, { "public_key": second }] }),
        };
        self.say(at, actor, "m.room.third_party_invite", token, &content);
    }

    /// Somebody makes an invite of one that was made for a person, mostly of one that is there and as its maker.
    fn redeem(&mut self, at: usize, actor: &UserId, target: &UserId) {
        let mut made: Vec<Pdu> = self.branches[at]
            .state
            .iter()
            .filter(|((event_type, _), _)| event_type == "m.room.third_party_invite")
            .map(|(_, id)| self.dag.find(id).unwrap().pdu)
            .collect();
        made.sort_by(|a, b| a.state_key().cmp(&b.state_key()));
        let made = made.choose(&mut self.random).cloned();
        let honest = made.filter(|_| self.random.random_bool(0.8));
        let sender = honest.as_ref().map_or(actor, Pdu::sender).to_owned();
        let token = honest
            .as_ref()
            .and_then(Pdu::state_key)
            .unwrap_or(TOKENS[0]);
        let trusted = |key: &KeyPair| {
            honest
                .as_ref()
                .is_some_and(|pdu| pdu.content_str().contains(&key.public().to_base64()))
        };
        let key = match (0..2).map(witness).find(trusted) {
            Some(key) if self.random.random_bool(0.9) => key,
            _ => witness(self.random.random_range(0..3)),
        };
        let mxid = if self.random.random_bool(0.9) {
            target
        } else {
            actor
        };
        let signed = json!({ "mxid": mxid, "token": token });
        let mut signed: CanonicalJsonObject = serde_json::from_value(signed).unwrap();
        sign::sign_json(&mut signed, "id.example", &key).unwrap();
        let content = json!({
            "membership": "invite", "third_party_invite": { "display_name": "x", "signed": signed },
        });
        self.say(at, &sender, "m.room.member", target.as_str(), &content);
    }

    fn join_rule(&mut self) -> &'static str {
        [
            "public",
            "invite",
            "knock",
            "restricted",
            "knock_restricted",
        ]
        .choose(&mut self.random)
        .unwrap()
    }

    /// Power levels, with a few changes.
    fn levels(&mut self, from: &Value, changes: usize) -> Value {
        let mut levels = from.clone();
        let any = [0, 10, 50, 50, 75, 100, 100];
        if levels.get("users").is_none() {
            levels["users"] = json!({});
            if !self.dag.rules.auth.supreme_creators {
                levels["users"][self.users[0].as_str()] = json!(100);
            }
            levels["users"][self.users[2].as_str()] = json!(100);
            levels["users"][self.users[3].as_str()] = json!(50);
        }
        for _ in 0..changes {
            let value = json!(any.choose(&mut self.random).unwrap());
            if self.random.random_bool(0.7) {
                let user = self.users.choose(&mut self.random).unwrap();
                levels["users"][user.as_str()] = value;
            } else {
                let key = [
                    "ban",
                    "kick",
                    "invite",
                    "state_default",
                    "users_default",
                    "events_default",
                ]
                .choose(&mut self.random)
                .unwrap();
                levels[*key] = if *key == "users_default" {
                    json!([0, 0, 10, 50].choose(&mut self.random).unwrap())
                } else {
                    value
                };
            }
        }
        levels
    }

    /// Writes an event on a branch. What the rules deny there is rejected, and mostly, though not always, stays out of the branch's state.
    fn say(
        &mut self,
        at: usize,
        sender: &UserId,
        event_type: &str,
        state_key: &str,
        content: &Value,
    ) {
        let pdu = self.write(at, sender, event_type, state_key, content);
        let state = &self.branches[at].state;
        let dag = &self.dag;
        let standing: Vec<Pdu> = state
            .values()
            .map(|id| dag.find(id).unwrap().pdu)
            .chain(dag.events.first().map(|create| create.pdu.clone()))
            .collect();
        let own: Vec<Known> = pdu
            .auth_events()
            .iter()
            .map(|id| dag.find(id).unwrap())
            .collect();
        let own_pdus: Vec<Pdu> = own
            .iter()
            .map(|known| known.pdu.clone())
            .chain(dag.events.first().map(|create| create.pdu.clone()))
            .collect();
        let behind_is_sound = own.iter().all(|known| !known.rejected)
            && auth::judge(&pdu, &own_pdus, dag.rules) == Verdict::Allowed;
        let rejected =
            !(behind_is_sound && auth::judge(&pdu, &standing, dag.rules) == Verdict::Allowed);
        if rejected && !self.random.random_bool(0.15) {
            return;
        }
        let id = pdu.event_id().to_owned();
        self.dag.by_id.insert(id.clone(), self.dag.events.len());
        self.dag.events.push(Known { pdu, rejected });
        let branch = &mut self.branches[at];
        branch.tips = vec![id.clone()];
        branch.depth += 1;
        // A rejected event in a state: a server that joined through a lying one may have it there.
        if !rejected || self.random.random_bool(0.3) {
            branch
                .state
                .insert((event_type.to_owned(), state_key.to_owned()), id);
        }
    }

    fn write(
        &mut self,
        at: usize,
        sender: &UserId,
        event_type: &str,
        state_key: &str,
        content: &Value,
    ) -> Pdu {
        let rules = self.dag.rules;
        let state = if !self.stale.is_empty() && self.random.random_bool(0.1) {
            self.stale.choose(&mut self.random).unwrap()
        } else {
            &self.branches[at].state
        };
        let raw = serde_json::value::to_raw_value(content).unwrap();
        let types = auth::auth_types(rules, event_type, sender, Some(state_key), &raw);
        let auth: Vec<_> = types
            .iter()
            .filter_map(|(event_type, key)| {
                state.get(&((*event_type).to_owned(), key.clone().into_owned()))
            })
            .cloned()
            .collect();
        // Most events share a time with another one.
        self.clock += u64::from(self.random.random_bool(0.4));
        let clock = self.clock - self.random.random_range(0..4);
        let header = Header {
            rules,
            room_id: self.room_id.as_deref(),
            sender,
            event_type,
            state_key,
            prev: &self.branches[at].tips,
            auth: &auth,
            depth: self.branches[at].depth + 1,
            clock,
            nonce: self.dag.events.len() as u64 * 1_000 + self.random.random_range(0..1_000),
        };
        let pdu = write(&header, content).unwrap();
        self.room_id = Some(pdu.room_id().to_owned());
        pdu
    }

    fn content(&self, id: &EventId) -> Value {
        serde_json::from_str(self.dag.find(id).unwrap().pdu.content_str()).unwrap()
    }

    /// Chooses the states to resolve: the branches, some of them with what somebody remembers from earlier.
    fn finish(&mut self) {
        let mut states: Vec<StateMap> = self
            .branches
            .iter()
            .map(|branch| branch.state.clone())
            .collect();
        if self.random.random_bool(0.3) {
            states.extend(self.stale.choose(&mut self.random).cloned());
        }
        if self.random.random_bool(0.2)
            && let Some(stale) = self.stale.choose(&mut self.random)
        {
            let mixed = states[0].iter().map(|(pair, id)| {
                (
                    pair.clone(),
                    stale
                        .get(pair)
                        .filter(|_| self.random.random_bool(0.5))
                        .unwrap_or(id)
                        .clone(),
                )
            });
            states[0] = mixed.collect();
        }
        self.dag.states = states;
    }
}

/// The fields of an event to write.
pub struct Header<'a> {
    pub rules: &'static Rules,
    pub room_id: Option<&'a RoomId>,
    pub sender: &'a UserId,
    pub event_type: &'a str,
    pub state_key: &'a str,
    pub prev: &'a [OwnedEventId],
    pub auth: &'a [OwnedEventId],
    pub depth: u64,
    pub clock: u64,
    pub nonce: u64,
}

/// Writes an event: unsigned, with a number for its content hash, and with the id that its room version gives it.
pub fn write(header: &Header<'_>, content: &Value) -> Result<Pdu, event::Error> {
    let rules = header.rules;
    let links = |ids: &[OwnedEventId]| match rules.references {
        References::WithHashes => json!(
            ids.iter()
                .map(|id| json!([id, { "sha256": "" }]))
                .collect::<Vec<_>>()
        ),
        References::Plain => json!(ids),
    };
    let mut json = json!({
        "auth_events": links(header.auth), "prev_events": links(header.prev), "content": content, "depth": header.depth,
        "hashes": { "sha256": header.nonce.to_string() }, "origin_server_ts": header.clock, "sender": header.sender, "signatures": {},
        "state_key": header.state_key, "type": header.event_type,
    });
    if let Some(room_id) = header.room_id {
        json["room_id"] = json!(room_id);
    }
    if rules.event_ids == EventIds::Chosen {
        // As unordered as a hash.
        let opaque = header.nonce.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        json["event_id"] = json!(format!("${opaque:016x}:{}", header.sender.server_name()));
    }
    let text = event::canonical::to_string(&json)?;
    let unchecked = UncheckedPdu::parse(&text, rules)?;
    Pdu::from_stored(
        unchecked.event_id().to_owned(),
        unchecked.room_id().to_owned(),
        text,
    )
}
