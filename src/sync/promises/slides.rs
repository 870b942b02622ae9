//! Sliding sync against the model: clients whose windows, limits, wishes and subscriptions change at random, who lose answers, and who
//! believe the others. After each answer, what a client believes of the rooms that it shows is what the model says.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;
use rooms::Membership;
use serde_json::{Value, json};
use users::Identity;

use super::house::{House, list, user};
use super::model::{NAMES, Room, VISIBILITIES, What};

/// Two of one device, one of somebody else.
pub(super) const SLIDERS: usize = 3;

/// How a client asks this time.
#[derive(Debug, Clone)]
pub(super) struct SlideAsks {
    range: Option<(usize, usize)>,
    filter: Option<bool>,
    limit: usize,
    want: usize,
    subscription: Option<usize>,
    subscription_limit: usize,
}

/// The sets of state that clients want.
fn wants(want: usize) -> Vec<(&'static str, &'static str)> {
    match want {
        0 => vec![],
        1 => vec![
            ("m.room.name", ""),
            ("m.room.member", "$LAZY"),
            ("m.room.member", "$ME"),
        ],
        2 => vec![("m.room.create", ""), ("m.room.name", "*")],
        _ => vec![("*", "*")],
    }
}

pub(super) fn slide_asks() -> impl Strategy<Value = SlideAsks> {
    let range = prop_oneof![
        1 => Just(None),
        2 => Just(Some((0, 0))),
        1 => Just(Some((1, 1))),
        2 => Just(Some((0, 1))),
        3 => Just(Some((0, 9))),
    ];
    let filter = prop_oneof![4 => Just(None), 1 => Just(Some(true)), 1 => Just(Some(false))];
    let limit = prop_oneof![Just(0_usize), Just(1), Just(3), Just(50)];
    let subscription = proptest::option::weighted(0.4, 0..VISIBILITIES.len());
    (
        range,
        filter,
        limit.clone(),
        0..4_usize,
        subscription,
        limit,
    )
        .prop_map(
            |(range, filter, limit, want, subscription, subscription_limit)| SlideAsks {
                range,
                filter,
                limit,
                want,
                subscription,
                subscription_limit,
            },
        )
}

impl SlideAsks {
    fn body(&self, conn: usize, rooms: &[Room]) -> Value {
        let mut body = json!({ "conn_id": conn.to_string() });
        if let Some(range) = self.range {
            let mut filters = json!({});
            if let Some(invited) = self.filter {
                filters["is_invite"] = json!(invited);
            }
            body["lists"] = json!({ "all": {
                "ranges": [range], "timeline_limit": self.limit, "required_state": wants(self.want), "filters": filters,
            } });
        }
        if let Some(room) = self.subscription {
            let details =
                json!({ "timeline_limit": self.subscription_limit, "required_state": wants(1) });
            body["room_subscriptions"] = json!({ rooms[room].id.as_str(): details });
        }
        body
    }
}

/// What a client believes of a room.
#[derive(Debug, Clone, Default)]
struct Belief {
    joined: bool,
    /// How many events of the room had happened when it was last told.
    covered: usize,
    /// The newest events without a gap.
    tail: Vec<String>,
    state: BTreeMap<(String, String), String>,
    counts: (u64, u64),
    /// Whether it was not told of members for a while: those it knows may have changed.
    stale: bool,
}

/// A client that believes what it is told.
pub(super) struct Slider {
    who: usize,
    conn: usize,
    identity: Arc<Identity>,
    pos: Option<String>,
    beliefs: BTreeMap<usize, Belief>,
}

/// What is wanted of a room, by the model.
struct Wish {
    limit: usize,
    state: Vec<(&'static str, &'static str)>,
}

impl Slider {
    pub(super) async fn new(house: &House, slider: usize) -> Self {
        let who = 1 + slider % 2;
        Self {
            who,
            conn: slider,
            identity: house.identity(NAMES[who], "S").await,
            pos: None,
            beliefs: BTreeMap::new(),
        }
    }

    pub(super) async fn ask(
        &mut self,
        house: &House,
        rooms: &[Room],
        asks: &SlideAsks,
        lost: bool,
    ) {
        let body = asks.body(self.conn, rooms);
        let answer = house
            .slide(&self.identity, self.pos.as_deref(), Duration::ZERO, &body)
            .await
            .unwrap();
        let beliefs = self.check(rooms, asks, &answer);
        if !lost {
            self.beliefs = beliefs;
            self.pos = Some(answer["pos"].as_str().unwrap().to_owned());
        }
    }

    /// Whoever listened all the time has heard everything, and nothing is said twice.
    pub(super) async fn settle(&mut self, house: &House, rooms: &[Room]) {
        let asks = SlideAsks {
            range: Some((0, 9)),
            filter: None,
            limit: 5,
            want: 3,
            subscription: None,
            subscription_limit: 0,
        };
        self.ask(house, rooms, &asks, false).await;
        let body = asks.body(self.conn, rooms);
        let quiet = house.slide(&self.identity, self.pos.as_deref(), Duration::ZERO, &body);
        let quiet = quiet.await.unwrap();
        assert_eq!(
            quiet["rooms"],
            json!({}),
            "nothing happened, and yet: {quiet}"
        );
    }

    /// The rooms that are shown, with what is wanted of them, and how many the list has.
    fn shown(&self, rooms: &[Room], asks: &SlideAsks) -> (BTreeMap<usize, Wish>, usize) {
        let mut mine: Vec<(usize, usize)> = Vec::new();
        for (at, room) in rooms.iter().enumerate() {
            let fits = |invited: bool| asks.filter.is_none_or(|asked| asked == invited);
            match room.membership(self.who, room.log.len()) {
                Some(Membership::Join) if fits(false) => mine.push((self.stamp(room), at)),
                Some(Membership::Invite) if fits(true) => mine.push((self.own_tick(room), at)),
                _ => {}
            }
        }
        mine.sort_unstable_by(|a, b| b.cmp(a));
        let mut shown = BTreeMap::new();
        for (place, (_, at)) in mine.iter().enumerate() {
            if asks
                .range
                .is_some_and(|(from, to)| from <= place && place <= to)
            {
                let state = wants(asks.want);
                shown.insert(
                    *at,
                    Wish {
                        limit: asks.limit,
                        state,
                    },
                );
            }
        }
        if let Some(at) = asks.subscription {
            let room = &rooms[at];
            let membership = room.membership(self.who, room.log.len());
            if matches!(membership, Some(Membership::Join | Membership::Invite)) {
                let wish = shown.entry(at).or_insert(Wish {
                    limit: 0,
                    state: Vec::new(),
                });
                wish.limit = wish.limit.max(asks.subscription_limit);
                wish.state.extend(wants(1));
            }
        }
        (shown, mine.len())
    }

    /// When something last happened in a room that moves it up, or the client's user came.
    fn stamp(&self, room: &Room) -> usize {
        let joined = room.joined_at(self.who).map(|at| room.log[at].tick);
        let active = room.log.iter().rev().find(|event| match &event.what {
            What::Said { .. } => true,
            What::Set { key, .. } => key.0 == "m.room.create",
            What::Redaction => false,
        });
        active.map(|event| event.tick).max(joined).unwrap()
    }

    fn own_tick(&self, room: &Room) -> usize {
        let own = (0..room.log.len())
            .rev()
            .find(|at| room.is_own(self.who, *at));
        room.log[own.unwrap()].tick
    }

    /// What the client believes after an answer, which has been found to be true.
    fn check(&self, rooms: &[Room], asks: &SlideAsks, answer: &Value) -> BTreeMap<usize, Belief> {
        let (shown, count) = self.shown(rooms, asks);
        if asks.range.is_some() {
            assert_eq!(answer["lists"]["all"]["count"], count, "{answer}");
        }
        let mut beliefs = self.beliefs.clone();
        if self.pos.is_none() {
            beliefs.clear();
        }
        for (at, room) in rooms.iter().enumerate() {
            let told = &answer["rooms"][room.id.as_str()];
            let now = room.log.len();
            let before = beliefs.remove(&at);
            let after = match (room.membership(self.who, now), shown.get(&at)) {
                (Some(Membership::Join), Some(wish)) => Some(self.joined(room, before, wish, told)),
                (Some(Membership::Invite), Some(_)) => Some(self.invited(room, before, told)),
                (Some(Membership::Join | Membership::Invite), None) => {
                    assert!(told.is_null(), "a room that is not shown: {told}");
                    before
                }
                _ => {
                    self.gone(room, before, told);
                    None
                }
            };
            beliefs.extend(after.map(|after| (at, after)));
        }
        beliefs
    }

    fn joined(&self, room: &Room, before: Option<Belief>, wish: &Wish, told: &Value) -> Belief {
        let (who, now) = (self.who, room.log.len());
        let stays = |belief: &Belief| {
            belief.joined && room.joined_at(who).is_some_and(|at| at < belief.covered)
        };
        let known = before.filter(stays);
        let visible: Vec<(usize, String)> = (0..now)
            .filter(|at| room.sees(who, *at, now))
            .map(|at| (at, room.log[at].id.clone()))
            .collect();
        let mut belief = known.clone().unwrap_or_default();
        assert_eq!(told["initial"] == true, known.is_none(), "{told}");
        if !told.is_null() {
            let is_wide = known.is_none() || told["expanded_timeline"] == true;
            let from = if is_wide { 0 } else { belief.covered };
            let all: Vec<&String> = visible
                .iter()
                .filter(|(at, _)| *at >= from)
                .map(|(_, id)| id)
                .collect();
            let newest = &all[all.len().saturating_sub(wish.limit)..];
            let timeline: Vec<&str> = list(&told["timeline"])
                .iter()
                .map(|event| event["event_id"].as_str().unwrap())
                .collect();
            assert_eq!(timeline, newest, "{from}..{now} of {told}");
            let limited = told["limited"] == true;
            assert!(
                limited || newest.len() == all.len(),
                "a gap that is not told"
            );
            if is_wide || limited {
                belief.tail.clear();
            }
            belief
                .tail
                .extend(timeline.iter().map(|id| (*id).to_owned()));
            for event in list(&told["required_state"]) {
                let name = |field: &str| event[field].as_str().unwrap().to_owned();
                belief
                    .state
                    .insert((name("type"), name("state_key")), name("event_id"));
            }
            let count = |name: &str| told[name].as_u64().unwrap();
            belief.counts = (count("notification_count"), count("highlight_count"));
            assert!(told.get("invite_state").is_none());
            self.check_senders(wish, &belief, told);
        }
        belief.joined = true;
        belief.covered = now;
        let members = [("m.room.member", "$LAZY"), ("*", "*")];
        belief.stale |= !members.iter().any(|entry| wish.state.contains(entry));
        let all: Vec<&String> = visible.iter().map(|(_, id)| id).collect();
        assert!(all.len() >= belief.tail.len());
        assert_eq!(
            belief.tail.iter().collect::<Vec<_>>(),
            all[all.len() - belief.tail.len()..],
            "{told}"
        );
        let wanted = wish.limit.min(all.len());
        assert!(
            belief.tail.len() >= wanted,
            "{} of {wanted} events",
            belief.tail.len()
        );
        self.check_state(room, wish, &belief);
        assert_eq!(belief.counts, room.unread(who), "unread in {told}");
        belief
    }

    /// Everything that is wanted is believed as it is. Of members who are told as they are seen, nothing false is believed.
    fn check_state(&self, room: &Room, wish: &Wish, belief: &Belief) {
        let me = user(NAMES[self.who]);
        for (key, event) in room.state(room.log.len()) {
            let is_wanted = wish.state.iter().any(|(kind, name)| {
                let is_name =
                    *name == "*" || *name == key.1 || (*name == "$ME" && me.as_str() == key.1);
                is_name && (*kind == "*" || *kind == key.0)
            });
            let is_lazy =
                key.0 == "m.room.member" && wish.state.contains(&("m.room.member", "$LAZY"));
            let believed = belief.state.get(&key);
            if is_wanted {
                assert_eq!(believed, Some(&event), "{key:?}");
            } else if is_lazy
                && !belief.stale
                && let Some(believed) = believed
            {
                assert_eq!(*believed, event, "{key:?}");
            }
        }
    }

    fn check_senders(&self, wish: &Wish, belief: &Belief, told: &Value) {
        if !wish.state.contains(&("m.room.member", "$LAZY")) {
            return;
        }
        for event in list(&told["timeline"]) {
            let sender = event["sender"].as_str().unwrap().to_owned();
            let key = ("m.room.member".to_owned(), sender);
            assert!(
                belief.state.contains_key(&key),
                "the sender of an event is known: {told}"
            );
        }
    }

    fn invited(&self, room: &Room, before: Option<Belief>, told: &Value) -> Belief {
        let own = (0..room.log.len())
            .rev()
            .find(|at| room.is_own(self.who, *at));
        let is_known =
            before.is_some_and(|it| !it.joined && own.is_some_and(|own| own < it.covered));
        assert_eq!(told.is_null(), is_known, "{told}");
        if !is_known {
            assert!(told["invite_state"].is_array());
            assert!(told.get("timeline").is_none() && told.get("required_state").is_none());
        }
        Belief {
            covered: room.log.len(),
            ..Belief::default()
        }
    }

    /// A room that the user is not in is told once, and nothing of it that they may not see.
    fn gone(&self, room: &Room, before: Option<Belief>, told: &Value) {
        let (who, now) = (self.who, room.log.len());
        let Some(before) = before else {
            assert!(told.is_null(), "a room that is none of theirs: {told}");
            return;
        };
        assert!(!told.is_null(), "they are not in the room any more");
        let was_in = |at: &usize| room.membership(who, *at) == Some(Membership::Join);
        let end = (0..=now).rev().find(was_in).map_or(0, |at| at + 1);
        let own = (0..now).rev().find(|at| room.is_own(who, *at)).unwrap();
        let last = list(&told["required_state"]);
        let last = last
            .iter()
            .find(|event| event["state_key"] == user(NAMES[who]).as_str());
        assert_eq!(last.unwrap()["event_id"], room.log[own].id);
        for event in list(&told["timeline"])
            .into_iter()
            .chain(list(&told["required_state"]))
        {
            let at = room
                .log
                .iter()
                .position(|it| event["event_id"] == it.id)
                .unwrap();
            assert!(
                at < end || room.is_own(who, at),
                "{event} came after they left"
            );
        }
        for event in list(&told["timeline"]) {
            let at = room
                .log
                .iter()
                .position(|it| event["event_id"] == it.id)
                .unwrap();
            assert!(room.sees(who, at, now), "{event} is not for them");
            assert!(at >= before.covered, "{event} is told twice");
        }
    }
}
