use super::fixture::{ALL, before, check, event, room, rules, since};
use crate::auth::{Level, PowerLevels};

fn levels(content: &str) -> String {
    format!("@alice:one .power_levels '' {content}")
}

fn by_bob(content: &str) -> String {
    format!("@bob:one .power_levels '' {content}")
}

#[test]
fn levels_are_set_by_who_may_set_state() {
    check(ALL, &room(""), &levels("{}"), "allowed");
    let reason = "sending this event needs power level 50, and the sender has 0";
    check(ALL, &room(""), &by_bob("{}"), reason);
}

#[test]
fn levels_are_integers_or_once_strings_that_hold_one() {
    for good in ["5", "-5", "0"] {
        check(
            ALL,
            &room(""),
            &levels(&format!(
                r#"{{"ban":{good},"users":{{"@bob:one":{good}}}}}"#
            )),
            "allowed",
        );
    }
    for string in [r#""5""#, r#"" +0005 ""#, r#""-5""#, r#""\n12\t""#] {
        let line = levels(&format!(r#"{{"ban":{string}}}"#));
        check(before("10"), &room(""), &line, "allowed");
        check(
            since("10"),
            &room(""),
            &line,
            "the power levels under ban are malformed",
        );
    }
    for bad in [
        "null",
        "true",
        "[]",
        "{}",
        r#""""#,
        r#""5.5""#,
        r#""+ 5""#,
        r#""+-5""#,
        r#""five""#,
        r#""1_000""#,
    ] {
        check(
            ALL,
            &room(""),
            &levels(&format!(r#"{{"kick":{bad}}}"#)),
            "the power levels under kick are malformed",
        );
        let line = levels(&format!(r#"{{"users":{{"@bob:one":{bad}}}}}"#));
        check(
            ALL,
            &room(""),
            &line,
            "the power levels under users are malformed",
        );
        let line = levels(&format!(r#"{{"events":{{"m.room.name":{bad}}}}}"#));
        check(
            ALL,
            &room(""),
            &line,
            "the power levels under events are malformed",
        );
        let line = levels(&format!(r#"{{"notifications":{{"room":{bad}}}}}"#));
        check(
            ALL,
            &room(""),
            &line,
            "the power levels under notifications are malformed",
        );
    }
    for bad in ["null", "[]", "5", r#""x""#] {
        for map in ["users", "events", "notifications"] {
            let reason = format!("the power levels under {map} are malformed");
            check(
                ALL,
                &room(""),
                &levels(&format!(r#"{{"{map}":{bad}}}"#)),
                &reason,
            );
        }
    }
}

#[test]
fn floats_count_without_their_fraction_where_they_occur() {
    // They occur in lax JSON only, so they never reach the rules of later versions.
    let floats = r#"{"users":{"@bob:one":50.57,"@carol:two":-1.9},"ban":5.114698E4}"#;
    for version in before("6") {
        let (rules, create) = (
            rules(version),
            event(room("").lines().next().unwrap(), version),
        );
        let pdu = event(&levels(floats), version);
        let levels = PowerLevels::of(Some(&pdu), &create, rules);
        assert_eq!(levels.user(ruma::user_id!("@bob:one")), Level::Int(50));
        assert_eq!(levels.user(ruma::user_id!("@carol:two")), Level::Int(-1));
        assert_eq!(levels.ban(), 51146);
    }
    check(before("6"), &room(""), &levels(floats), "allowed");
}

#[test]
fn users_are_user_ids() {
    for key in ["bob", "@bob", "", "@bob:", "#bob:one"] {
        let line = levels(&format!(r#"{{"users":{{"{key}":5}}}}"#));
        check(
            ALL,
            &room(""),
            &line,
            "the power levels under users are malformed",
        );
    }
    check(
        ALL,
        &room(""),
        &levels(r#"{"users":{"@Ünusual Näme:one":5,"@:one":1}}"#),
        "allowed",
    );
}

#[test]
fn supreme_creators_have_no_level() {
    let create = r#"@alice:one .create '' {"creator":"@alice:one","room_version":"VERSION","additional_creators":["@bob:one"]} id=$create:one"#;
    for creator in ["@alice:one", "@bob:one"] {
        let line = levels(&format!(r#"{{"users":{{"{creator}":100}}}}"#));
        check(
            ["12"],
            &room(create),
            &line,
            "a creator cannot have a power level",
        );
        check(before("12"), &room(create), &line, "allowed");
    }
}

#[test]
fn nobody_grants_more_than_they_have() {
    let state = room(&levels(r#"{"users":{"@bob:one":50,"@zoe:one":100}}"#));
    let grant = |level: i64| {
        by_bob(&format!(
            r#"{{"users":{{"@bob:one":50,"@zoe:one":100,"@carol:two":{level}}}}}"#
        ))
    };
    check(ALL, &state, &grant(50), "allowed");
    check(
        ALL,
        &state,
        &grant(51),
        "the power level of @carol:two is above the sender's",
    );
}

#[test]
fn nobody_lowers_or_removes_their_equals() {
    let state = room(&levels(
        r#"{"users":{"@bob:one":50,"@carol:two":50,"@dave:two":40}}"#,
    ));
    check(
        ALL,
        &state,
        &by_bob(r#"{"users":{"@bob:one":50,"@carol:two":50,"@dave:two":0}}"#),
        "allowed",
    );
    check(
        ALL,
        &state,
        &by_bob(r#"{"users":{"@bob:one":50,"@carol:two":50}}"#),
        "allowed",
    );
    let reason = "the power level of @carol:two is above the sender's";
    check(
        ALL,
        &state,
        &by_bob(r#"{"users":{"@bob:one":50,"@carol:two":49,"@dave:two":40}}"#),
        reason,
    );
    check(ALL, &state, &by_bob(r#"{"users":{"@bob:one":50}}"#), reason);
    // One's own level may go down, and away.
    check(
        ALL,
        &state,
        &by_bob(r#"{"users":{"@bob:one":5,"@carol:two":50}}"#),
        "allowed",
    );
    check(
        ALL,
        &state,
        &by_bob(r#"{"users":{"@carol:two":50}}"#),
        "allowed",
    );
    let reason = "the power level of @bob:one is above the sender's";
    check(
        ALL,
        &state,
        &by_bob(r#"{"users":{"@bob:one":51,"@carol:two":50}}"#),
        reason,
    );
}

#[test]
fn nobody_touches_named_levels_above_their_own() {
    for field in [
        "users_default",
        "events_default",
        "state_default",
        "ban",
        "redact",
        "kick",
        "invite",
    ] {
        let state = room(&levels(&format!(
            r#"{{"users":{{"@bob:one":60}},"{field}":60}}"#
        )));
        let set = |level: i64| {
            by_bob(&format!(
                r#"{{"users":{{"@bob:one":60}},"{field}":{level}}}"#
            ))
        };
        check(ALL, &state, &set(60), "allowed");
        check(ALL, &state, &set(10), "allowed");
        let reason = format!("the power level of {field} is above the sender's");
        check(ALL, &state, &set(61), &reason);
        let above = levels(&format!(
            r#"{{"users":{{"@bob:one":60}},"events":{{"m.room.power_levels":0}},"{field}":70}}"#
        ));
        let lower = by_bob(&format!(
            r#"{{"users":{{"@bob:one":60}},"events":{{"m.room.power_levels":0}},"{field}":60}}"#
        ));
        check(ALL, &room(&above), &lower, &reason);
        let gone = by_bob(r#"{"users":{"@bob:one":60},"events":{"m.room.power_levels":0}}"#);
        check(ALL, &room(&above), &gone, &reason);
    }
}

#[test]
fn an_absent_level_counts_as_its_default() {
    // Bob, with 20, may set levels; `ban` is not named, so it is 50, which is above him.
    let state = room(&levels(
        r#"{"users":{"@bob:one":20},"events":{"m.room.power_levels":0}}"#,
    ));
    let reason = "the power level of ban is above the sender's";
    let add = |level: i64| {
        by_bob(&format!(
            r#"{{"users":{{"@bob:one":20}},"events":{{"m.room.power_levels":0}},"ban":{level}}}"#
        ))
    };
    check(ALL, &state, &add(0), reason);
    check(ALL, &state, &add(50), reason);
    let invite =
        by_bob(r#"{"users":{"@bob:one":20},"events":{"m.room.power_levels":0},"invite":20}"#);
    check(ALL, &state, &invite, "allowed");
}

#[test]
fn nobody_touches_event_levels_above_their_own() {
    let state = room(&levels(
        r#"{"users":{"@bob:one":50},"events":{"a":50,"b":60}}"#,
    ));
    let set = |events: &str| {
        by_bob(&format!(
            r#"{{"users":{{"@bob:one":50}},"events":{events}}}"#
        ))
    };
    check(ALL, &state, &set(r#"{"a":1,"b":60,"c":50}"#), "allowed");
    check(ALL, &state, &set(r#"{"b":60}"#), "allowed");
    check(
        ALL,
        &state,
        &set(r#"{"a":50,"b":50}"#),
        "the power level of b is above the sender's",
    );
    check(
        ALL,
        &state,
        &set(r#"{"a":50}"#),
        "the power level of b is above the sender's",
    );
    check(
        ALL,
        &state,
        &set(r#"{"a":51,"b":60}"#),
        "the power level of a is above the sender's",
    );
    check(
        ALL,
        &state,
        &set(r#"{"a":50,"b":60,"c":51}"#),
        "the power level of c is above the sender's",
    );
}

#[test]
fn notification_levels_came_to_be_guarded() {
    let state = room(&levels(
        r#"{"users":{"@bob:one":50},"notifications":{"room":60}}"#,
    ));
    let set = by_bob(r#"{"users":{"@bob:one":50},"notifications":{"room":50}}"#);
    check(before("6"), &state, &set, "allowed");
    check(
        since("6"),
        &state,
        &set,
        "the power level of room is above the sender's",
    );
    let raise = by_bob(r#"{"users":{"@bob:one":50},"notifications":{"room":60,"x":51}}"#);
    check(
        since("6"),
        &state,
        &raise,
        "the power level of x is above the sender's",
    );
}

#[test]
fn supreme_creators_set_any_level() {
    let state = room(&levels(
        r#"{"users":{"@bob:one":9000},"state_default":9001}"#,
    ));
    check(
        ["12"],
        &state,
        &levels(r#"{"users":{"@bob:one":1},"state_default":9999999}"#),
        "allowed",
    );
}

#[test]
fn without_levels_the_creator_has_all_and_the_others_none() {
    for version in ALL {
        let (rules, create) = (
            rules(version),
            event(room("").lines().next().unwrap(), version),
        );
        let levels = PowerLevels::of(None, &create, rules);
        let creator = if version == "12" {
            Level::Infinite
        } else {
            Level::Int(100)
        };
        assert_eq!(levels.user(ruma::user_id!("@alice:one")), creator);
        assert_eq!(levels.user(ruma::user_id!("@bob:one")), Level::Int(0));
        assert_eq!(
            (
                levels.state("m.room.name"),
                levels.message("m.room.message")
            ),
            (50, 0)
        );
        assert_eq!(
            (
                levels.ban(),
                levels.kick(),
                levels.redact(),
                levels.invite()
            ),
            (50, 50, 50, 0)
        );
        assert_eq!(levels.notification("room"), 50);
    }
}

#[test]
fn levels_are_read_from_the_most_particular_place() {
    for version in ALL {
        let (rules, create) = (
            rules(version),
            event(room("").lines().next().unwrap(), version),
        );
        let pdu = event(
            &levels(
                r#"{"users":{"@bob:one":7},"users_default":3,"events":{"m.room.name":9},"events_default":1,"state_default":2,"notifications":{"room":4}}"#,
            ),
            version,
        );
        let levels = PowerLevels::of(Some(&pdu), &create, rules);
        assert_eq!(levels.user(ruma::user_id!("@bob:one")), Level::Int(7));
        assert_eq!(levels.user(ruma::user_id!("@carol:two")), Level::Int(3));
        assert_eq!(
            (levels.state("m.room.name"), levels.message("m.room.name")),
            (9, 9)
        );
        assert_eq!((levels.state("x"), levels.message("x")), (2, 1));
        assert_eq!(
            (levels.notification("room"), levels.notification("x")),
            (4, 50)
        );
        assert_eq!(levels.users().collect::<Vec<_>>(), [("@bob:one", 7)]);
        let creator = if version == "12" {
            Level::Infinite
        } else {
            Level::Int(3)
        };
        assert_eq!(levels.user(ruma::user_id!("@alice:one")), creator);
    }
}
