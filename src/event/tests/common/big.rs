//! Rooms of a chosen size, and a source over them that stands for a store: events by number, ranks by arrival, the states' common part as a lookup.

use super::dag::{self, Dag, Header};
use event::resolve::{self, Conflicts, Known, Pair, Place, Rank, Source, StateMap};
use event::{Pdu, Rules, auth};
use ruma::{OwnedEventId, RoomId, UserId};
use serde_json::{Value, json};
use std::cell::Cell;
use std::collections::HashMap;
use std::convert::Infallible;

/// A room while it is written: who says what on which branch. Nothing is judged.
pub struct Writer {
    pub dag: Dag,
    pub branches: Vec<StateMap>,
}

pub const ADMIN: &str = "@admin:example.org";

impl Writer {
    /// A public room with power levels, its creator and this many members.
    pub fn room(rules: &'static Rules, members: usize) -> Self {
        let dag = Dag {
            rules,
            events: Vec::new(),
            by_id: HashMap::new(),
            states: Vec::new(),
        };
        let mut room = Self {
            dag,
            branches: vec![StateMap::new()],
        };
        room.say(
            0,
            ADMIN,
            "m.room.create",
            "",
            &json!({ "creator": ADMIN, "room_version": rules.version }),
        );
        room.say(
            0,
            ADMIN,
            "m.room.member",
            ADMIN,
            &json!({ "membership": "join" }),
        );
        room.say(0, ADMIN, "m.room.power_levels", "", &levels(0));
        room.say(
            0,
            ADMIN,
            "m.room.join_rules",
            "",
            &json!({ "join_rule": "public" }),
        );
        for at in 0..members {
            let user = member(at);
            room.say(
                0,
                &user,
                "m.room.member",
                &user,
                &json!({ "membership": "join" }),
            );
        }
        room
    }

    /// A second branch, like the first.
    pub fn fork(&mut self) {
        self.branches.push(self.branches[0].clone());
    }

    pub fn say(
        &mut self,
        branch: usize,
        sender: &str,
        event_type: &str,
        state_key: &str,
        content: &Value,
    ) {
        let rules = self.dag.rules;
        let sender = UserId::parse(sender).unwrap();
        let raw = serde_json::value::to_raw_value(content).unwrap();
        let types = auth::auth_types(rules, event_type, &sender, Some(state_key), &raw);
        let state = &self.branches[branch];
        let auth: Vec<OwnedEventId> = types
            .iter()
            .filter_map(|(event_type, key)| {
                state.get(&((*event_type).to_owned(), key.clone().into_owned()))
            })
            .cloned()
            .collect();
        let at = self.dag.events.len() as u64;
        let pdu = dag::write(
            &Header {
                rules,
                room_id: Some(&RoomId::parse("!big:example.org").unwrap()),
                sender: &sender,
                event_type,
                state_key,
                prev: &[],
                auth: &auth,
                depth: at,
                clock: 1_000 + at,
                nonce: at,
            },
            content,
        )
        .unwrap();
        self.dag
            .by_id
            .insert(pdu.event_id().to_owned(), self.dag.events.len());
        self.branches[branch].insert(
            (event_type.to_owned(), state_key.to_owned()),
            pdu.event_id().to_owned(),
        );
        self.dag.events.push(Known {
            pdu,
            rejected: false,
        });
    }

    /// The room, with its branches as the states to resolve.
    pub fn finish(mut self) -> Dag {
        self.dag.states = self.branches;
        self.dag
    }
}

pub fn member(at: usize) -> String {
    format!("@m{at}:example.org")
}

pub fn levels(turn: usize) -> Value {
    json!({ "users": { ADMIN: 100, "@m0:example.org": 100 }, "events": { "org.example.turn": turn } })
}

/// Two branches of a large room that differ in twenty events: names, a topic, power levels, a kick and a ban.
pub fn twenty_apart(rules: &'static Rules, members: usize) -> Dag {
    let mut room = Writer::room(rules, members);
    room.fork();
    for branch in 0..2 {
        for at in 0..6 {
            let user = member(10 + branch * 3 + at);
            room.say(
                branch,
                &user,
                "m.room.member",
                &user,
                &json!({ "membership": "join", "displayname": branch }),
            );
        }
        room.say(
            branch,
            ADMIN,
            "m.room.power_levels",
            "",
            &levels(1 + branch),
        );
        room.say(
            branch,
            ADMIN,
            "m.room.topic",
            "",
            &json!({ "topic": branch }),
        );
        room.say(
            branch,
            ADMIN,
            "m.room.member",
            &member(30 + branch),
            &json!({ "membership": "leave" }),
        );
        room.say(
            branch,
            ADMIN,
            "m.room.member",
            &member(40),
            &json!({ "membership": (["ban", "leave"][branch]) }),
        );
    }
    room.finish()
}

/// Two branches on which each of these members changed the name.
pub fn members_apart(rules: &'static Rules, members: usize) -> Dag {
    let mut room = Writer::room(rules, members);
    room.fork();
    for branch in 0..2 {
        for at in 0..members {
            let user = member(at);
            room.say(
                branch,
                &user,
                "m.room.member",
                &user,
                &json!({ "membership": "join", "displayname": branch }),
            );
        }
    }
    room.finish()
}

/// Two branches on which the power levels changed and people were banned and let back, over and over.
pub fn power_bomb(rules: &'static Rules, events: usize) -> Dag {
    let mut room = Writer::room(rules, 10);
    room.fork();
    for turn in 0..events / 2 {
        for (branch, sender) in [ADMIN.to_owned(), member(0)].iter().enumerate() {
            match turn % 4 {
                0 => room.say(
                    branch,
                    sender,
                    "m.room.member",
                    &member(5),
                    &json!({ "membership": "ban" }),
                ),
                1 => room.say(
                    branch,
                    sender,
                    "m.room.member",
                    &member(5),
                    &json!({ "membership": "leave" }),
                ),
                _ => room.say(
                    branch,
                    sender,
                    "m.room.power_levels",
                    "",
                    &levels(turn * 2 + branch),
                ),
            }
        }
    }
    room.finish()
}

/// One branch on which the power levels changed over and over, with the members' names in between, against one on which nothing did.
pub fn lone_power_bomb(rules: &'static Rules, events: usize) -> Dag {
    let mut room = Writer::room(rules, 1_000);
    room.fork();
    for turn in 0..events / 2 {
        let user = member(turn % 1_000);
        room.say(1, ADMIN, "m.room.power_levels", "", &levels(turn));
        room.say(
            1,
            &user,
            "m.room.member",
            &user,
            &json!({ "membership": "join", "displayname": turn }),
        );
    }
    room.finish()
}

/// A stored room, as a server would have it at hand when two branches meet.
pub struct Stored {
    events: Vec<Known>,
    places: Vec<Place<usize>>,
    agreed: HashMap<String, HashMap<String, usize>>,
    /// The agreed events by rank.
    by_rank: Vec<usize>,
    pub conflicts: Conflicts<usize>,
    /// How often it was asked for anything.
    pub asked: Cell<usize>,
}

impl Stored {
    pub fn of(dag: &Dag) -> Self {
        let number = |id: &OwnedEventId| dag.by_id[id];
        let place = |(at, known): (usize, &Known)| Place {
            rank: at as Rank + 1,
            auth: known.pdu.auth_events().iter().map(number).collect(),
        };
        let mut stored = Self {
            events: dag.events.clone(),
            places: dag.events.iter().enumerate().map(place).collect(),
            agreed: HashMap::new(),
            by_rank: Vec::new(),
            conflicts: Conflicts::between(dag.states.len()),
            asked: Cell::new(0),
        };
        let mut pairs: Vec<&Pair> = dag.states.iter().flat_map(HashMap::keys).collect();
        pairs.sort_unstable();
        pairs.dedup();
        for pair in pairs {
            let events: Vec<Option<usize>> = dag
                .states
                .iter()
                .map(|state| state.get(pair).map(number))
                .collect();
            match events[0] {
                Some(event) if events.iter().all(|other| *other == Some(event)) => {
                    stored
                        .agreed
                        .entry(pair.0.clone())
                        .or_default()
                        .insert(pair.1.clone(), event);
                    stored.by_rank.push(event);
                }
                _ => stored.conflicts.note(&pair.0, &pair.1, events),
            }
        }
        stored.by_rank.sort_unstable();
        stored
    }

    pub fn resolve(&self, rules: &Rules) -> HashMap<Pair, usize> {
        let Ok(resolved) = resolve::resolve(rules, &self.conflicts, self);
        resolved
    }

    fn note(&self) {
        self.asked.set(self.asked.get() + 1);
    }

    pub fn pdu(&self, at: usize) -> &Pdu {
        &self.events[at].pdu
    }
}

impl Source for Stored {
    type Id = usize;
    type Error = Infallible;

    fn event(&self, id: usize) -> Result<Option<Known>, Infallible> {
        self.note();
        Ok(self.events.get(id).cloned())
    }

    fn place(&self, id: usize) -> Result<Option<Place<usize>>, Infallible> {
        self.note();
        Ok(self.places.get(id).cloned())
    }

    fn create(&self) -> Result<Option<usize>, Infallible> {
        Ok(Some(0))
    }

    fn agreed(&self, event_type: &str, state_key: &str) -> Result<Option<usize>, Infallible> {
        self.note();
        Ok(self
            .agreed
            .get(event_type)
            .and_then(|keys| keys.get(state_key))
            .copied())
    }

    fn agreed_after(&self, rank: Rank) -> Result<Vec<usize>, Infallible> {
        self.note();
        let from = self
            .by_rank
            .partition_point(|at| self.places[*at].rank <= rank);
        Ok(self.by_rank[from..].to_vec())
    }
}
