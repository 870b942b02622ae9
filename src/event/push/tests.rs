use super::*;
use crate::effort;
use rand::rngs::SmallRng;
use rand::seq::IndexedRandom as _;
use rand::{RngExt as _, SeedableRng as _};
use ruma::power_levels::NotificationPowerLevels;
use ruma::push::{PushConditionPowerLevelsCtx, PushConditionRoomCtx};
use ruma::room_version_rules::{AuthorizationRules, RoomPowerLevelsRules};
use ruma::serde::Raw;
use ruma::{event_id, int, room_id, user_id};
use serde_json::{Value, json};
use std::pin::pin;
use std::task::{Poll, Waker};

fn alice() -> &'static UserId {
    user_id!("@alice:example.org")
}

fn bob() -> &'static UserId {
    user_id!("@bob:example.org")
}

fn message(content: &Value) -> FlatEvent {
    event("m.room.message", None, content)
}

fn event(event_type: &str, state_key: Option<&str>, content: &Value) -> FlatEvent {
    let content = serde_json::value::to_raw_value(content).unwrap();
    FlatEvent::new(Parts {
        event_id: event_id!("$it"),
        room_id: room_id!("!room:example.org"),
        event_type,
        sender: bob(),
        state_key,
        origin_server_ts: 5,
        content: &content,
    })
}

fn cx<'a>() -> Context<'a> {
    Context {
        user_id: alice(),
        display_name: Some("Alice W"),
        member_count: 3,
        may_notify: &|key| key == "room",
        follows_thread: None,
    }
}

/// Whether a rule with this one condition matches.
#[expect(
    clippy::needless_pass_by_value,
    reason = "cases are written with `json!` in place"
)]
fn condition(condition: Value, event: &FlatEvent, cx: &Context<'_>) -> bool {
    let rules = serde_json::from_value(json!({ "override": [
        { "rule_id": "it", "default": false, "enabled": true, "actions": ["notify"], "conditions": [condition] } ] }));
    Outcome::of(evaluate(&rules.unwrap(), event, cx)).notify
}

fn check_body(body: &str, pattern: &str, expected: bool) {
    let found = condition(
        json!({ "kind": "event_match", "key": "content.body", "pattern": pattern }),
        &message(&json!({ "body": body })),
        &cx(),
    );
    assert_eq!(found, expected, "{pattern:?} in {body:?}");
}

#[test]
fn the_examples_of_the_specification() {
    let topic = |topic: Value| event("m.room.topic", Some(""), &json!({ "topic": topic }));
    let lunch = json!({ "kind": "event_match", "key": "content.topic", "pattern": "lunc?*" });
    for (value, expected) in [
        (json!("Lunch plans"), true),
        (json!("LUNCH"), true),
        (json!(" lunch"), false),
        (json!("lunc"), false),
        (Value::Null, false),
    ] {
        assert_eq!(
            condition(lunch.clone(), &topic(value.clone()), &cx()),
            expected,
            "{value}"
        );
    }
    check_body("An example event.", "ex*ple", true);
    check_body("exple", "ex*ple", true);
    check_body("An exciting triple-whammy", "ex*ple", true);

    let create = event(
        "m.room.create",
        Some(""),
        &json!({ "m.federate": true, "creator": "@a:b" }),
    );
    for (value, expected) in [
        (json!(true), true),
        (json!("true"), false),
        (json!(1), false),
    ] {
        assert_eq!(
            condition(
                json!({ "kind": "event_property_is", "key": "content.m\\.federate", "value": value }),
                &create,
                &cx()
            ),
            expected
        );
    }
    let aliases = event(
        "m.room.canonical_alias",
        Some(""),
        &json!({ "alt_aliases": ["#somewhere:example.org", "#myroom:example.com", {}] }),
    );
    for (value, expected) in [("#myroom:example.com", true), (":example.com", false)] {
        let wanted = json!({ "kind": "event_property_contains", "key": "content.alt_aliases", "value": value });
        assert_eq!(condition(wanted, &aliases, &cx()), expected);
    }
}

#[test]
fn words_of_a_body() {
    check_body("It's time for TEA", "tea", true);
    check_body("a steak", "tea", false);
    check_body("tea_time", "tea", false);
    check_body("tea-time", "tea", true);
    check_body("étea", "tea", true);
    check_body("Ärger", "ärger", true);
    check_body("xäx", "ä", true);
    check_body("foobar foo bar", "foo bar", true);
    check_body("xfoo bar", "foo bar", false);
    check_body("two\nlines", "two*lines", true);
    check_body("xab ab", "a?", true);
    check_body("xab abx", "a?", false);
    check_body("anything", "*", true);
    check_body("anything", "", false);
    check_body("c++ is", "c++", true);
    check_body("aéb", "a?b", true);
}

#[test]
fn display_names_are_not_patterns() {
    let named = |name, body: &str| {
        condition(
            json!({ "kind": "contains_display_name" }),
            &message(&json!({ "body": body })),
            &Context {
                display_name: name,
                ..cx()
            },
        )
    };
    assert!(named(Some("Alice W"), "hello alice w!"));
    assert!(!named(Some("Alice W"), "hello malice w!"));
    assert!(!named(Some("*"), "hello"));
    assert!(named(Some("*"), "a * b"));
    assert!(!named(Some(""), "hello"));
    assert!(!named(None, "hello"));
}

#[test]
fn room_size_permission_and_threads() {
    let plain = message(&json!({ "body": "x" }));
    for (is, expected) in [
        ("3", true),
        ("==3", true),
        ("<3", false),
        (">2", true),
        (">=4", false),
        ("<=3", true),
    ] {
        assert_eq!(
            condition(
                json!({ "kind": "room_member_count", "is": is }),
                &plain,
                &cx()
            ),
            expected,
            "{is}"
        );
    }
    assert!(condition(
        json!({ "kind": "sender_notification_permission", "key": "room" }),
        &plain,
        &cx()
    ));
    assert!(!condition(
        json!({ "kind": "sender_notification_permission", "key": "other" }),
        &plain,
        &cx()
    ));
    assert!(!condition(
        json!({ "kind": "org.example.unknown" }),
        &plain,
        &cx()
    ));

    let in_thread = message(
        &json!({ "body": "x", "m.relates_to": { "rel_type": "m.thread", "event_id": "$root" } }),
    );
    assert_eq!(in_thread.thread_root(), Some("$root"));
    let followed = json!({ "kind": "io.element.msc4306.thread_subscription", "subscribed": true });
    assert!(condition(
        followed.clone(),
        &in_thread,
        &Context {
            follows_thread: Some(true),
            ..cx()
        }
    ));
    assert!(!condition(
        followed.clone(),
        &in_thread,
        &Context {
            follows_thread: Some(false),
            ..cx()
        }
    ));
    assert!(!condition(followed.clone(), &in_thread, &cx()));
    assert!(!condition(
        followed,
        &plain,
        &Context {
            follows_thread: Some(true),
            ..cx()
        }
    ));
}

#[test]
fn escaped_paths() {
    let it = message(&json!({ "a.b": { "c\\d": "x", "": "y", "\\e": "z" } }));
    for (key, expected) in [
        ("content.a\\.b.c\\\\d", true),
        ("content.a\\.b.", true),
        ("content.a\\.b.\\e", true),
        ("content.a\\.b.\\\\e", true),
        ("content.a.b.c\\\\d", false),
        ("content.a\\.b", false),
        ("content.a\\.b.c\\d", true),
        ("", false),
        (".", false),
    ] {
        assert_eq!(
            condition(
                json!({ "kind": "event_match", "key": key, "pattern": "?" }),
                &it,
                &cx()
            ),
            expected,
            "{key}"
        );
    }
}

#[test]
fn kinds_are_asked_in_order_and_own_events_never_notify() {
    let rule = |id: &str, sound: &str| json!({ "rule_id": id, "default": false, "enabled": true, "actions": [{ "set_tweak": "sound", "value": sound }] });
    let with = |mut rule: Value, key: &str, value: Value| {
        rule[key] = value;
        rule
    };
    let mut rules = json!({
        "override": [with(rule("o", "override"), "conditions", json!([]))],
        "content": [with(rule("c", "content"), "pattern", json!("word"))],
        "room": [rule("!room:example.org", "room")],
        "sender": [rule(bob().as_str(), "sender")],
        "underride": [with(rule("u", "underride"), "conditions", json!([]))],
    });
    let it = message(&json!({ "body": "a word" }));
    for kind in ["override", "content", "room", "sender", "underride"] {
        let set: Ruleset = serde_json::from_value(rules.clone()).unwrap();
        assert_eq!(
            Outcome::of(evaluate(&set, &it, &cx())),
            Outcome {
                notify: false,
                highlight: false,
                sound: Some(kind)
            }
        );
        assert!(
            evaluate(
                &set,
                &it,
                &Context {
                    user_id: bob(),
                    ..cx()
                }
            )
            .is_empty()
        );
        rules[kind][0]["enabled"] = json!(false);
    }
    assert!(evaluate(&serde_json::from_value(rules).unwrap(), &it, &cx()).is_empty());
}

#[test]
fn many_names_under_a_long_one_cost_nothing() {
    let inner: serde_json::Map<_, _> = (0..5_000).map(|at| (at.to_string(), json!(1))).collect();
    let it = message(&json!({ "x".repeat(30_000): inner }));
    assert!(it.get("content.y").is_none());
}

/// `ruma` decides the same on events and rules put together at random.
#[test]
#[expect(
    clippy::disallowed_methods,
    reason = "how many rounds a long run takes is a choice of who starts it"
)]
fn agrees_with_ruma() {
    let rounds = std::env::var("MYELIN_PUSH_ROUNDS")
        .ok()
        .and_then(|it| it.parse().ok())
        .unwrap_or(30_000);
    let mut random = SmallRng::seed_from_u64(84);
    let mut matched = 0;
    for round in 0..rounds {
        let content = random_content(&mut random);
        let json = json!({ "event_id": "$it", "room_id": "!room:example.org", "type": "m.room.message", "sender": bob(), "origin_server_ts": 5, "content": content });
        let rules: Ruleset = serde_json::from_value(random_rules(&mut random)).unwrap();
        let (members, level) = (
            random.random_range(1..4_u32),
            *[0, 50].choose(&mut random).unwrap(),
        );
        let ours = evaluate(
            &rules,
            &message(&content),
            &Context {
                member_count: members.into(),
                may_notify: &|key| key == "room" && level >= 50,
                ..cx()
            },
        );
        let theirs = ruma_actions(&rules, &json, members, level);
        assert_eq!(
            format!("{ours:?}"),
            format!("{theirs:?}"),
            "round {round}: {json}\n{}",
            serde_json::to_string(&rules).unwrap()
        );
        matched += usize::from(!ours.is_empty());
    }
    assert!(
        matched > rounds / 10 && matched < rounds * 9 / 10,
        "the rounds say something: {matched} of {rounds} matched"
    );
}

fn ruma_actions<'r>(rules: &'r Ruleset, json: &Value, members: u32, level: i64) -> &'r [Action] {
    let levels = PushConditionPowerLevelsCtx::new(
        [(bob().to_owned(), level.try_into().unwrap())].into(),
        int!(0),
        NotificationPowerLevels::new(),
        RoomPowerLevelsRules::new(&AuthorizationRules::V11, None),
    );
    let cx = PushConditionRoomCtx::new(
        room_id!("!room:example.org").to_owned(),
        members.into(),
        alice().to_owned(),
        "Alice W".to_owned(),
    )
    .with_power_levels(levels);
    let raw: Raw<Value> = Raw::new(json).unwrap();
    match pin!(rules.get_actions(&raw, &cx))
        .poll(&mut std::task::Context::from_waker(Waker::noop()))
    {
        Poll::Ready(actions) => actions,
        Poll::Pending => panic!("ruma only waits for thread subscriptions"),
    }
}

fn random_text(random: &mut SmallRng, alphabet: &[&str], longest: usize) -> String {
    (0..random.random_range(0..=longest))
        .map(|_| *alphabet.choose(random).unwrap())
        .collect()
}

fn random_content(random: &mut SmallRng) -> Value {
    let scalar = |random: &mut SmallRng| {
        [
            json!("a"),
            json!("A"),
            json!(1),
            json!(1.5),
            json!(true),
            Value::Null,
        ]
        .choose(random)
        .unwrap()
        .clone()
    };
    let mut content = json!({ "body": random_text(random, &["a", "B", "b", " ", "-", "_", "é", "Alice W", "É"], 9), "list": [scalar(random), scalar(random)] });
    if random.random_bool(0.2) {
        content["m.mentions"] =
            json!({ "user_ids": [alice(), "@x:y"], "room": random.random_bool(0.5) });
    }
    if random.random_bool(0.1) {
        content["body"] = scalar(random);
    }
    content["m.n"] = json!({ "x\\y": scalar(random) });
    content
}

fn random_rules(random: &mut SmallRng) -> Value {
    let mut rules =
        json!({ "override": [], "content": [], "room": [], "sender": [], "underride": [] });
    for at in 0..random.random_range(1..5) {
        let kind = *["override", "content", "room", "sender", "underride"]
            .choose(random)
            .unwrap();
        let id = match kind {
            "room" => ["!room:example.org", "!other:example.org"]
                .choose(random)
                .unwrap()
                .to_string(),
            "sender" => [bob().as_str(), "@else:example.org"]
                .choose(random)
                .unwrap()
                .to_string(),
            "content" => [".m.rule.contains_user_name", "x", "y"]
                .choose(random)
                .unwrap()
                .to_string(),
            _ => [
                ".m.rule.contains_display_name",
                ".m.rule.roomnotif",
                "x",
                "y",
            ]
            .choose(random)
            .unwrap()
            .to_string(),
        };
        let conditions: Vec<_> = (0..random.random_range(1..3))
            .map(|_| random_condition(random))
            .collect();
        rules[kind].as_array_mut().unwrap().push(json!({
            "rule_id": id, "default": false, "enabled": random.random_bool(0.8), "pattern": random_pattern(random), "conditions": conditions,
            "actions": ["notify", { "set_tweak": "sound", "value": format!("{kind}{at}") }],
        }));
    }
    rules
}

/// Never two wildcards in a row: `ruma` then takes the second one for the bare character.
fn random_pattern(random: &mut SmallRng) -> String {
    let pattern = random_text(random, &["a", "b", "B", "*", "?", " ", "-", "é"], 5);
    if ["**", "*?", "?*", "??"]
        .iter()
        .any(|pair| pattern.contains(pair))
    {
        random_pattern(random)
    } else {
        pattern
    }
}

fn random_condition(random: &mut SmallRng) -> Value {
    let key = *[
        "content.body",
        "content.list",
        "content.m\\.n.x\\\\y",
        "type",
        "sender",
        "room_id",
        "content",
        "content.m\\.mentions.room",
    ]
    .choose(random)
    .unwrap();
    let value = [json!("a"), json!(1), json!(true), Value::Null]
        .choose(random)
        .unwrap()
        .clone();
    match random.random_range(0..9) {
        0..4 => json!({ "kind": "event_match", "key": key, "pattern": random_pattern(random) }),
        4 => json!({ "kind": "contains_display_name" }),
        5 => {
            json!({ "kind": "room_member_count", "is": format!("{}{}", ["", "<", ">="].choose(random).unwrap(), random.random_range(1..4)) })
        }
        6 => {
            json!({ "kind": "sender_notification_permission", "key": (["room", "tea"].choose(random).unwrap()) })
        }
        7 => json!({ "kind": "event_property_is", "key": key, "value": value }),
        _ => json!({ "kind": "event_property_contains", "key": key, "value": value }),
    }
}

/// Threat 84: whatever 2,000 rules ask of a body of 64 KiB, each reads it a few times at most.
#[test]
fn t84_pattern_bombs_are_harmless() {
    let bombs = [
        "*a*a*a*a*a*a*b",
        "a*a*a*a*b",
        "?a?a?a*b",
        "a?*?*?*?b",
        "*?*?*?*?*b*",
        "aaaaaaaaab",
        "word",
        "two words",
        "*x*y*z*",
        "a*",
    ];
    for body in [
        "a".repeat(65_000),
        "ab ".repeat(21_000),
        "word two wordsx ".repeat(4_000),
        "é".repeat(32_000),
    ] {
        let content: Vec<_> = (0..2_000)
            .map(|at| json!({ "rule_id": at.to_string(), "default": false, "enabled": true, "actions": [], "pattern": format!("{}{}", bombs[at % bombs.len()], ["", "q", "zz"][at % 3]) }))
            .collect();
        let rules: Ruleset = serde_json::from_value(json!({ "content": content })).unwrap();
        let it = message(&json!({ "body": body }));
        // What is done once for all rules is not counted with the first of them.
        assert!(!it.body_matches("no such word"));
        for rule in &rules.content {
            let (_, steps) = effort::of(|| pattern_matches(rule, &it));
            assert!(
                steps <= 4 * body.len() + 1_000,
                "{steps} steps for {:?} in a body of {:?}…",
                rule.pattern,
                body.chars().take(8).collect::<String>()
            );
        }
    }
}

/// Where `?` stands in a long pattern, reading costs the text times a 64th of the pattern; stars cost nothing.
#[test]
fn t84_patterns_of_any_length_cost_what_they_promise() {
    let (body, length) = ("a".repeat(60_000), 60_000);
    let long = message(&json!({ "body": body }));
    assert!(!long.body_matches("no such word"));
    for (pattern, expected) in [("?a".repeat(30_001), false), ("*a".repeat(30_000), true)] {
        let (matches, steps) = effort::of(|| long.body_matches(&pattern));
        assert_eq!(matches, expected);
        let words = pattern
            .split('*')
            .map(|piece| piece.len().div_ceil(64))
            .max();
        let limit = 4 * (length * words.unwrap_or(0) + pattern.len()) + 130 * 30_000;
        assert!(steps <= limit, "{steps} steps, more than {limit}");
    }
}
