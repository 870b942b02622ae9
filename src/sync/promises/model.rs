//! Random schedules against a model that is slow and obviously right: a list of what happened, looked through from the beginning each
//! time somebody asks what they may see.

use std::collections::BTreeMap;

use proptest::prelude::*;
use rooms::Membership;
use rooms::receipts::Kind;
use ruma::{OwnedEventId, OwnedRoomId};
use serde_json::{Value, json};

use super::house::{Asks, Client, House, list, timeline, user};
use super::slides::{SLIDERS, SlideAsks, Slider, slide_asks};
use crate::Dialect;

pub(super) const NAMES: [&str; 3] = ["alice", "bob", "carol"];
pub(super) const VISIBILITIES: [&str; 3] = ["shared", "joined", "invited"];

/// Something that somebody tries to do. What is not allowed is refused by the rooms, and has then not happened.
#[derive(Debug, Clone)]
enum Step {
    Say {
        who: usize,
        room: usize,
        mention: usize,
        thread: bool,
    },
    Name {
        who: usize,
        room: usize,
    },
    Change {
        who: usize,
        target: usize,
        room: usize,
        to: Membership,
    },
    Redact {
        room: usize,
        back: usize,
    },
    Read {
        who: usize,
        room: usize,
        back: usize,
        kind: Kind,
        scope: u8,
    },
    Sync {
        client: usize,
    },
    Slide {
        slider: usize,
        asks: SlideAsks,
        lost: bool,
    },
    Restart,
}

fn step() -> impl Strategy<Value = Step> {
    let (who, room) = (0..NAMES.len(), 0..VISIBILITIES.len());
    let membership = prop_oneof![
        4 => Just(Membership::Join),
        2 => Just(Membership::Leave),
        2 => Just(Membership::Invite),
        1 => Just(Membership::Ban),
    ];
    let kind = prop_oneof![Just(Kind::Public), Just(Kind::Private)];
    prop_oneof![
        12 => (who.clone(), room.clone(), 0..6_usize, proptest::bool::weighted(0.25))
            .prop_map(|(who, room, mention, thread)| Step::Say { who, room, mention, thread }),
        2 => (who.clone(), room.clone()).prop_map(|(who, room)| Step::Name { who, room }),
        6 => (who.clone(), who.clone(), any::<bool>(), room.clone(), membership).prop_map(|(who, target, own, room, to)| {
            Step::Change { who, target: if own { who } else { target }, room, to }
        }),
        2 => (room.clone(), 0..12_usize).prop_map(|(room, back)| Step::Redact { room, back }),
        3 => (who, room, 0..6_usize, kind, 0..3_u8)
            .prop_map(|(who, room, back, kind, scope)| Step::Read { who, room, back, kind, scope }),
        10 => (0..CLIENTS).prop_map(|client| Step::Sync { client }),
        10 => (0..SLIDERS, slide_asks(), proptest::bool::weighted(0.2))
            .prop_map(|(slider, asks, lost)| Step::Slide { slider, asks, lost }),
        1 => Just(Step::Restart),
    ]
}

/// Something that happened.
#[derive(Debug, Clone)]
pub(super) struct Happened {
    pub(super) id: String,
    pub(super) sender: usize,
    pub(super) what: What,
    /// Its place among all that happened in any room.
    pub(super) tick: usize,
}

#[derive(Debug, Clone)]
pub(super) enum What {
    Said {
        mentions: Option<usize>,
        thread: Option<usize>,
        redacted: bool,
    },
    Set {
        key: (String, String),
        member: Option<(usize, Membership)>,
    },
    Redaction,
}

/// A room as the model knows it.
pub(super) struct Room {
    pub(super) id: OwnedRoomId,
    visibility: &'static str,
    /// Everything, oldest first.
    pub(super) log: Vec<Happened>,
    /// Who, of which thread (none for all), has read up to where.
    read: BTreeMap<(usize, Option<Option<usize>>), usize>,
}

impl Room {
    /// What somebody was to the room before the event at `at`.
    pub(super) fn membership(&self, who: usize, at: usize) -> Option<Membership> {
        self.log[..at]
            .iter()
            .rev()
            .find_map(|event| match &event.what {
                What::Set {
                    member: Some((member, membership)),
                    ..
                } if *member == who => Some(*membership),
                _ => None,
            })
    }

    pub(super) fn is_own(&self, who: usize, at: usize) -> bool {
        matches!(&self.log[at].what, What::Set { member: Some((member, _)), .. } if *member == who)
    }

    /// Whether somebody who asks when the room's log has `now` entries may see the event at `at`.
    pub(super) fn sees(&self, who: usize, at: usize, now: usize) -> bool {
        if self.is_own(who, at) {
            return true;
        }
        let was = self.membership(who, at);
        let joined_later =
            || (at + 1..=now).any(|then| self.membership(who, then) == Some(Membership::Join));
        // Until a room says otherwise, and as it does so, its history is shared.
        let says = |event: &Happened| matches!(&event.what, What::Set { key, .. } if key.0 == "m.room.history_visibility");
        let is_early = self
            .log
            .iter()
            .position(says)
            .is_some_and(|says| at <= says);
        match if is_early { "shared" } else { self.visibility } {
            "shared" => was == Some(Membership::Join) || joined_later(),
            "invited" => matches!(was, Some(Membership::Join | Membership::Invite)),
            _ => was == Some(Membership::Join),
        }
    }

    /// Type and key → event, after the first `upto` events.
    pub(super) fn state(&self, upto: usize) -> BTreeMap<(String, String), String> {
        let mut state = BTreeMap::new();
        for event in &self.log[..upto] {
            if let What::Set { key, .. } = &event.what {
                state.insert(key.clone(), event.id.clone());
            }
        }
        state
    }

    /// Where somebody's present stay began.
    pub(super) fn joined_at(&self, who: usize) -> Option<usize> {
        let mut began = None;
        for (at, event) in self.log.iter().enumerate() {
            if let What::Set {
                member: Some((member, membership)),
                ..
            } = &event.what
                && *member == who
            {
                began = match membership {
                    Membership::Join => began.or(Some(at)),
                    _ => None,
                };
            }
        }
        began
    }

    fn thread_of(&self, at: usize) -> Option<usize> {
        match &self.log[at].what {
            What::Said { thread, .. } => *thread,
            _ => None,
        }
    }

    /// Notifications and mentions, counted from the beginning.
    pub(super) fn unread(&self, who: usize) -> (u64, u64) {
        let Some(joined) = self.joined_at(who) else {
            return (0, 0);
        };
        let (mut notify, mut highlight) = (0, 0);
        for at in joined + 1..self.log.len() {
            let event = &self.log[at];
            let What::Said {
                mentions,
                thread,
                redacted,
            } = &event.what
            else {
                continue;
            };
            let read = [None, Some(*thread)]
                .iter()
                .filter_map(|scope| self.read.get(&(who, *scope)))
                .max();
            let is_read = read.is_some_and(|read| *read >= at);
            let has_spoken = (at + 1..self.log.len()).any(|later| {
                let is_speech = matches!(self.log[later].what, What::Said { .. });
                is_speech && self.log[later].sender == who && self.thread_of(later) == *thread
            });
            if event.sender != who && !redacted && !is_read && !has_spoken {
                notify += 1;
                highlight += u64::from(*mentions == Some(who));
            }
        }
        (notify, highlight)
    }
}

/// Six ways to ask, by two of the three people.
const CLIENTS: usize = 6;

fn asks(client: usize) -> (usize, Asks) {
    let limit = |limit: usize| json!({ "room": { "timeline": { "limit": limit } } });
    let lazily =
        json!({ "room": { "timeline": { "limit": 4 }, "state": { "lazy_load_members": true } } });
    let messages = json!({ "room": { "timeline": { "limit": 3, "types": ["m.room.message"] } } });
    let filter = match client {
        0 => limit(3),
        1 | 4 => limit(50),
        2 => lazily.clone(),
        3 => messages,
        _ => lazily,
    };
    let dialect = if client >= 4 {
        Dialect::UnstableStateAfter
    } else {
        Dialect::State
    };
    (1 + client % 2, Asks { filter, dialect })
}

fn is_lazy(client: &Client) -> bool {
    client.asks.filter["room"]["state"]["lazy_load_members"] == true
}

struct World {
    house: House,
    rooms: Vec<Room>,
    sliders: Vec<Slider>,
    clients: Vec<(usize, Client)>,
    /// How many events of each room each client's token covers.
    covered: Vec<Vec<usize>>,
}

impl World {
    async fn new() -> Self {
        let house = House::of(&NAMES).await;
        let mut rooms = Vec::new();
        for visibility in VISIBILITIES {
            let id = house.room("alice", "public", visibility).await;
            let mut room = Room {
                id,
                visibility,
                log: Vec::new(),
                read: BTreeMap::new(),
            };
            let tick = rooms.iter().map(|room: &Room| room.log.len()).sum();
            room.catch_up(&house, tick);
            rooms.push(room);
        }
        let mut clients = Vec::new();
        for client in 0..CLIENTS {
            let (who, asks) = asks(client);
            clients.push((
                who,
                house.client(NAMES[who], &format!("D{client}"), asks).await,
            ));
        }
        let covered = vec![vec![0; VISIBILITIES.len()]; CLIENTS];
        let mut sliders = Vec::new();
        for slider in 0..SLIDERS {
            sliders.push(Slider::new(&house, slider).await);
        }
        Self {
            house,
            rooms,
            sliders,
            clients,
            covered,
        }
    }

    async fn go(&mut self, step: Step) {
        let tick = self.rooms.iter().map(|room| room.log.len()).sum();
        match step {
            Step::Say {
                who,
                room,
                mention,
                thread,
            } => self.say(who, room, mention, thread).await,
            Step::Name { who, room } => {
                let name = json!({ "name": format!("{who} {}", self.rooms[room].log.len()) });
                let _ = self
                    .house
                    .set(&self.rooms[room].id, NAMES[who], "m.room.name", name)
                    .await;
                self.rooms[room].catch_up(&self.house, tick);
            }
            Step::Change {
                who,
                target,
                room,
                to,
            } => {
                // Alice stays: somebody has to be left to speak.
                if target != 0 {
                    let _ = self
                        .house
                        .change(&self.rooms[room].id, NAMES[who], NAMES[target], to)
                        .await;
                    self.rooms[room].catch_up(&self.house, tick);
                }
            }
            Step::Redact { room, back } => self.redact(room, back).await,
            Step::Read {
                who,
                room,
                back,
                kind,
                scope,
            } => self.read(who, room, back, kind, scope).await,
            Step::Sync { client } => self.sync(client).await,
            Step::Slide { slider, asks, lost } => {
                let slider = &mut self.sliders[slider];
                slider.ask(&self.house, &self.rooms, &asks, lost).await;
            }
            Step::Restart => self.house.restart_sync().await,
        }
    }

    async fn say(&mut self, who: usize, room: usize, mention: usize, thread: bool) {
        let tick = self.rooms.iter().map(|room| room.log.len()).sum();
        let mentions = Some(mention).filter(|mention| *mention < NAMES.len());
        let there = &mut self.rooms[room];
        // The first message of the room is the root of its only thread.
        let root = there.log.iter().position(|event| {
            matches!(
                event.what,
                What::Said {
                    redacted: false,
                    ..
                }
            )
        });
        let thread = root.filter(|_| thread);
        let mut content = json!({ "msgtype": "m.text", "body": "words", "m.mentions": {} });
        if let Some(mentioned) = mentions {
            content["m.mentions"] = json!({ "user_ids": [user(NAMES[mentioned])] });
        }
        if let Some(root) = thread {
            content["m.relates_to"] =
                json!({ "rel_type": "m.thread", "event_id": there.log[root].id });
        }
        if let Ok(sent) = self
            .house
            .send(&there.id, NAMES[who], "m.room.message", content)
            .await
        {
            let what = What::Said {
                mentions,
                thread,
                redacted: false,
            };
            there.log.push(Happened {
                id: sent.event_id.to_string(),
                sender: who,
                what,
                tick,
            });
        }
    }

    async fn redact(&mut self, room: usize, back: usize) {
        let tick = self.rooms.iter().map(|room| room.log.len()).sum();
        let there = &mut self.rooms[room];
        let Some(at) = there.log.len().checked_sub(back + 1) else {
            return;
        };
        // A thread whose root is gone is another story.
        let first = there
            .log
            .iter()
            .position(|event| matches!(event.what, What::Said { .. }));
        // A redacted event has forgotten its thread; that somebody spoke there is remembered or not.
        let spoke_in_thread = there.log[at].sender != 0 && there.thread_of(at).is_some();
        if first == Some(at)
            || spoke_in_thread
            || !matches!(
                there.log[at].what,
                What::Said {
                    redacted: false,
                    ..
                }
            )
        {
            return;
        }
        let event: OwnedEventId = there.log[at].id.as_str().try_into().unwrap();
        let sent = self.house.redact(&there.id, "alice", &event).await.unwrap();
        if let What::Said { redacted, .. } = &mut there.log[at].what {
            *redacted = true;
        }
        there.log.push(Happened {
            id: sent.event_id.to_string(),
            sender: 0,
            what: What::Redaction,
            tick,
        });
    }

    async fn read(&mut self, who: usize, room: usize, back: usize, kind: Kind, scope: u8) {
        let there = &mut self.rooms[room];
        let Some(at) = there.log.len().checked_sub(back + 1) else {
            return;
        };
        if there.joined_at(who).is_none() {
            return;
        }
        let root = there
            .log
            .iter()
            .position(|event| matches!(event.what, What::Said { .. }));
        let (thread, scope) = match (scope, root) {
            (0, _) | (2, None) => (None, None),
            (1, _) => (Some("main".to_owned()), Some(None)),
            (_, Some(root)) => (Some(there.log[root].id.clone()), Some(Some(root))),
            _ => unreachable!(),
        };
        let event: OwnedEventId = there.log[at].id.as_str().try_into().unwrap();
        let reader = user(NAMES[who]);
        let reads = self
            .house
            .rooms
            .receipt(&there.id, &reader, kind, thread.as_deref(), &event);
        if reads.await.is_ok() {
            let read = there.read.entry((who, scope)).or_insert(at);
            *read = at.max(*read);
        }
    }

    async fn sync(&mut self, at: usize) {
        let (who, client) = &mut self.clients[at];
        let is_first = client.since.is_none();
        let before: Vec<String> = client.joined.keys().cloned().collect();
        let answer = client.sync(&self.house).await;
        for (room, covered) in self.rooms.iter().zip(&mut self.covered[at]) {
            let was_in = before.contains(&room.id.to_string());
            let (who, covered_before) = (*who, *covered);
            let case = Case {
                room,
                who,
                client,
                is_first,
                was_in,
                covered: covered_before,
            };
            case.check(&answer);
            *covered = room.log.len();
        }
    }

    /// Everybody who asks anew believes what those believe who have listened all the time.
    async fn settle(&mut self) {
        for slider in &mut self.sliders {
            slider.settle(&self.house, &self.rooms).await;
        }
        for at in 0..CLIENTS {
            self.sync(at).await;
            let (who, client) = &mut self.clients[at];
            let quiet = client.sync(&self.house).await;
            assert!(
                quiet.get("rooms").is_none(),
                "nothing happened, and yet: {quiet}"
            );
            let mut fresh = self
                .house
                .client(NAMES[*who], &format!("F{at}"), client.asks.clone())
                .await;
            fresh.sync(&self.house).await;
            assert_eq!(
                fresh.joined.keys().collect::<Vec<_>>(),
                client.joined.keys().collect::<Vec<_>>()
            );
            for (room, belief) in &fresh.joined {
                let known = &client.joined[room];
                assert_eq!(
                    (belief.notifications, belief.highlights),
                    (known.notifications, known.highlights)
                );
                if !is_lazy(client) {
                    assert_eq!(belief.state, known.state);
                }
            }
        }
    }
}

impl Room {
    /// Takes over from the server what state events there are, which says nothing about who may see them.
    fn catch_up(&mut self, house: &House, tick: usize) {
        let s = house.store.snapshot();
        let no = rooms::members::room(&s, &self.id).unwrap();
        let events = rooms::timeline::page(
            &s,
            no,
            store::Pos::ZERO,
            None,
            store::Order::Forward,
            100_000,
        )
        .unwrap();
        let before = self.log.len();
        for event in events.events.iter().skip(before) {
            let key = (
                event.event_type().into_owned(),
                event.state_key().unwrap().into_owned(),
            );
            let number = |id: &str| {
                NAMES
                    .iter()
                    .position(|name| user(name).as_str() == id)
                    .unwrap()
            };
            let member = event
                .membership()
                .map(|membership| (number(&key.1), membership));
            let what = What::Set { key, member };
            self.log.push(Happened {
                id: event.event_id().to_owned(),
                sender: number(&event.sender()),
                what,
                tick: tick + self.log.len() - before,
            });
        }
    }
}

/// What is compared: a room, somebody who asks, and how much of the room they knew before.
struct Case<'a> {
    room: &'a Room,
    who: usize,
    client: &'a Client,
    is_first: bool,
    was_in: bool,
    covered: usize,
}

impl Case<'_> {
    fn is_in(&self) -> bool {
        self.room.membership(self.who, self.room.log.len()) == Some(Membership::Join)
    }

    /// Whether what was told of a room is exactly what may be told.
    fn check(&self, answer: &Value) {
        let Self {
            room, who, client, ..
        } = *self;
        let (id, now, is_in) = (room.id.as_str(), room.log.len(), self.is_in());
        let is_invited = room.membership(who, now) == Some(Membership::Invite);
        let (join, leave) = (&answer["rooms"]["join"][id], &answer["rooms"]["leave"][id]);
        assert!(
            join.is_null() || is_in,
            "a room is told as joined that the user is not in"
        );
        assert_eq!(
            client.joined.contains_key(id),
            is_in,
            "which rooms the client believes to be in"
        );
        assert_eq!(client.invited.contains(id), is_invited);
        if is_invited {
            // An invitation is all that is told of the room, even to those who were in it.
            assert!(join.is_null() && leave.is_null());
        } else if is_in {
            self.check_timeline(join, 0, now);
            self.check_belief(join, now);
        } else if !self.is_first {
            let own = |at: &usize| room.is_own(who, *at);
            let upto = (0..now).rev().find(own).map_or(0, |at| at + 1);
            let was_in = |at: &usize| room.membership(who, *at) == Some(Membership::Join);
            let end = (0..=upto).rev().find(was_in).map_or(0, |at| at + 1);
            self.check_timeline(leave, end, upto);
            if end > self.covered {
                self.check_belief(leave, end);
            }
        }
    }

    /// Whether the timeline holds the newest of what may be told up to `upto`; of a stay that ended at `end`, if it has.
    fn check_timeline(&self, told: &Value, end: usize, upto: usize) {
        let Self {
            room,
            who,
            client,
            covered,
            ..
        } = *self;
        let (now, is_in) = (room.log.len(), self.is_in());
        // Somebody who left and came back within one answer begins anew.
        let stays = self.was_in && room.joined_at(who).is_some_and(|at| at < covered);
        let from = if is_in && !stays { 0 } else { covered };
        let may = |at: &usize| {
            let is_within = is_in || *at < end || room.is_own(who, *at);
            is_within && room.sees(who, *at, now)
        };
        let only_messages = !client.asks.filter["room"]["timeline"]["types"].is_null();
        let is_message = |at: usize| matches!(room.log[at].what, What::Said { .. });
        let wanted = |at: &usize| !only_messages || is_message(*at);
        let all = (from..upto.max(from)).filter(may).filter(wanted);
        let expected: Vec<String> = all.map(|at| room.log[at].id.clone()).collect();
        let timeline = timeline(told);
        let limit = client.asks.filter["room"]["timeline"]["limit"]
            .as_u64()
            .unwrap() as usize;
        let is_limited = told["timeline"]["limited"] == true;
        if !is_in && end <= covered {
            // An invitation taken back, a ban of somebody outside: that alone.
            assert!(
                timeline.len() <= 1 && timeline.iter().all(|id| expected.contains(id)),
                "{told}"
            );
            return;
        }
        let mut newest = &expected[expected.len().saturating_sub(limit)..];
        // A timeline that would mislead about the state is cut short, and told as a gap.
        let hides = !(from..upto).all(|at| may(&at) && wanted(&at));
        if hides
            && is_limited
            && client.asks.dialect == Dialect::State
            && timeline.len() < newest.len()
        {
            newest = &newest[newest.len() - timeline.len()..];
        }
        assert_eq!(
            timeline, newest,
            "{} {is_in} {from}..{upto}",
            room.visibility
        );
        assert!(
            is_limited || newest.len() == expected.len(),
            "a gap that is not told"
        );
    }

    /// Whether the client now believes what is true of the room, up to an event.
    fn check_belief(&self, told: &Value, upto: usize) {
        if told.is_null() {
            return;
        }
        let Self {
            room, who, client, ..
        } = *self;
        check_state(room, who, client, told, upto);
        if let Some(belief) = client.joined.get(room.id.as_str()) {
            let counts = (belief.notifications, belief.highlights);
            assert_eq!(counts, room.unread(who), "unread in {told}");
        }
        for event in list(&told["timeline"]["events"]) {
            if event["type"] == "m.room.message" {
                let is_empty = event["content"].as_object().unwrap().is_empty();
                assert_eq!(
                    event["unsigned"].get("redacted_because").is_some(),
                    is_empty,
                    "{event}"
                );
            }
        }
    }
}

/// Whether the client believes the room's state, or as much of it as one needs who loads members lazily.
fn check_state(room: &Room, who: usize, client: &Client, told: &Value, upto: usize) {
    let belief = client
        .joined
        .get(room.id.as_str())
        .or_else(|| client.left.get(room.id.as_str()))
        .unwrap();
    let mut truth = room.state(upto);
    let own = ("m.room.member".to_owned(), user(NAMES[who]).to_string());
    if let Some(event) = room.state(room.log.len()).get(&own) {
        truth.insert(own.clone(), event.clone());
    }
    let mut believed = belief.state.clone();
    if is_lazy(client) {
        let needed: Vec<String> = told["timeline"]["events"]
            .as_array()
            .into_iter()
            .flatten()
            .map(|event| event["sender"].as_str().unwrap().to_owned())
            .collect();
        for sender in needed {
            let key = ("m.room.member".to_owned(), sender);
            assert_eq!(
                believed.contains_key(&key),
                truth.contains_key(&key),
                "the sender of an event is known"
            );
        }
        truth.retain(|key, event| key.0 != "m.room.member" || believed.get(key) == Some(event));
        believed.retain(|key, event| key.0 != "m.room.member" || truth.get(key) == Some(event));
    }
    assert_eq!(believed, truth, "state of {}", room.visibility);
}

fn schedules() -> impl Strategy<Value = Vec<Step>> {
    proptest::collection::vec(step(), 1..120)
}

fn play(steps: Vec<Step>) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let mut world = World::new().await;
        for step in steps {
            world.go(step).await;
        }
        world.settle().await;
    });
}

proptest! {
    #![proptest_config(ProptestConfig { max_shrink_iters: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn nothing_is_missed_repeated_or_reordered(steps in schedules()) {
        play(steps);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 10_000, max_shrink_iters: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    /// Not run by default: `cargo test --release -p sync -- --ignored ten_thousand`.
    #[test]
    #[ignore = "takes minutes"]
    fn ten_thousand_schedules(steps in schedules()) {
        play(steps);
    }
}
