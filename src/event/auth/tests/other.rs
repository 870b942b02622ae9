use super::fixture::{ALL, before, check, event, room, rules, since};
use crate::auth::judge;

#[test]
fn nothing_happens_in_a_room_that_was_not_made() {
    check(
        ALL,
        "",
        "@alice:one .message - {}",
        "there is no create event",
    );
}

#[test]
fn an_event_of_another_room_is_refused_where_the_room_is_its_create_event() {
    check(
        ["12"],
        &room(""),
        "@alice:one .message - {} room=!other:one",
        "the event belongs to another room",
    );
}

#[test]
fn a_create_event_that_could_not_be_accepted_makes_no_room() {
    let create =
        r#"@alice:one .create '' {"room_version":"12","additional_creators":5} id=$create:one"#;
    check(
        ["12"],
        &room(create),
        "@alice:one .message - {}",
        "additional_creators is not a list of user ids",
    );
}

#[test]
fn members_speak() {
    check(ALL, &room(""), "@bob:one .message - {}", "allowed");
    check(
        ALL,
        &room(""),
        "@dave:two .message - {}",
        "the sender is not in the room",
    );
    for membership in ["leave", "ban", "invite", "knock", "mystery"] {
        let state = room(&format!(
            "@alice:one .member @dave:two {{\"membership\":\"{membership}\"}}"
        ));
        check(
            ALL,
            &state,
            "@dave:two .message - {}",
            "the sender is not in the room",
        );
    }
    check(
        ALL,
        &room("@dave:two .member @dave:two {}"),
        "@dave:two .message - {}",
        "a member event has no membership",
    );
}

#[test]
fn a_room_can_be_closed_to_other_servers() {
    let create = |federate: &str| {
        room(&format!(
            r#"@alice:one .create '' {{"creator":"@alice:one","room_version":"VERSION","m.federate":{federate}}} id=$create:one"#
        ))
    };
    let reason = "the room is not federated, and the sender is on another server";
    check(ALL, &create("false"), "@carol:two .message - {}", reason);
    check(
        ALL,
        &create("false"),
        "@carol:two .member @carol:two {\"membership\":\"leave\"}",
        reason,
    );
    check(ALL, &create("false"), "@bob:one .message - {}", "allowed");
    check(ALL, &create("true"), "@carol:two .message - {}", "allowed");
    // Only `false` closes it.
    for odd in ["null", "0", "\"false\"", "[]"] {
        check(ALL, &create(odd), "@carol:two .message - {}", "allowed");
    }
}

#[test]
fn aliases_belonged_to_servers() {
    let reason = "aliases can only be set under the name of the sender's server";
    // Whoever the sender is, member or not.
    check(
        before("6"),
        &room(""),
        "@zoe:three .aliases three {}",
        "allowed",
    );
    check(before("6"), &room(""), "@zoe:three .aliases two {}", reason);
    check(before("6"), &room(""), "@alice:one .aliases - {}", reason);
    check(
        since("6"),
        &room(""),
        "@zoe:three .aliases three {}",
        "the sender is not in the room",
    );
    let weak = "sending this event needs power level 50, and the sender has 0";
    check(since("6"), &room(""), "@bob:one .aliases one {}", weak);
    check(
        since("6"),
        &room(""),
        "@alice:one .aliases two {}",
        "allowed",
    );
}

#[test]
fn t11_state_needs_power_even_without_levels() {
    let weak = "sending this event needs power level 50, and the sender has 0";
    check(ALL, &room(""), "@bob:one .name '' {}", weak);
    check(ALL, &room(""), "@alice:one .name '' {}", "allowed");
}

#[test]
fn event_types_can_need_their_own_level() {
    let state = room(
        r#"@alice:one .power_levels '' {"users":{"@bob:one":20},"events":{"m.room.name":20,"m.room.message":30},"state_default":60,"events_default":10}"#,
    );
    check(ALL, &state, "@bob:one .name '' {}", "allowed");
    check(ALL, &state, "@bob:one .name - {}", "allowed");
    check(
        ALL,
        &state,
        "@bob:one .message - {}",
        "sending this event needs power level 30, and the sender has 20",
    );
    check(
        ALL,
        &state,
        "@bob:one .topic '' {}",
        "sending this event needs power level 60, and the sender has 20",
    );
    check(ALL, &state, "@bob:one .sticker - {}", "allowed");
    check(
        ALL,
        &state,
        "@carol:two .sticker - {}",
        "sending this event needs power level 10, and the sender has 0",
    );
}

#[test]
fn state_under_a_users_id_is_that_users() {
    let state = room(r#"@alice:one .power_levels '' {"users":{"@bob:one":60}}"#);
    check(ALL, &state, "@bob:one x @bob:one {}", "allowed");
    check(
        ALL,
        &state,
        "@bob:one x @carol:two {}",
        "the state belongs to another user",
    );
    check(
        ALL,
        &state,
        "@bob:one x @ {}",
        "the state belongs to another user",
    );
    check(ALL, &state, "@bob:one x bob@one {}", "allowed");
}

#[test]
fn third_party_invites_need_the_invite_level() {
    let levels =
        r#"@alice:one .power_levels '' {"users":{"@bob:one":20},"invite":20,"state_default":90}"#;
    check(
        ALL,
        &room(levels),
        "@bob:one .third_party_invite t {}",
        "allowed",
    );
    let weak = "inviting needs power level 20, and the sender has 0";
    check(
        ALL,
        &room(levels),
        "@carol:two .third_party_invite t {}",
        weak,
    );
    check(
        ALL,
        &room(levels),
        "@dave:two .third_party_invite t {}",
        "the sender is not in the room",
    );
    // It stands before the rule on state under users' ids.
    check(
        ALL,
        &room(levels),
        "@bob:one .third_party_invite @carol:two {}",
        "allowed",
    );
}

#[test]
fn redactions_needed_the_level_or_the_same_server() {
    let levels = room(r#"@alice:one .power_levels '' {"users":{"@bob:one":50}}"#);
    let line = |sender: &str, id: &str, redacts: &str| {
        format!("{sender} .redaction - {{}} id={id} redacts={redacts}")
    };
    check(
        ALL,
        &levels,
        &line("@bob:one", "$r:one", "$e:two"),
        "allowed",
    );
    check(
        ALL,
        &levels,
        &line("@carol:two", "$r:two", "$e:two"),
        "allowed",
    );
    let reason = "the sender may not redact the event";
    check(
        ["1", "2"],
        &levels,
        &line("@carol:two", "$r:two", "$e:one"),
        reason,
    );
    check(
        ["1", "2"],
        &levels,
        "@carol:two .redaction - {} id=$r:two",
        reason,
    );
    // Two events without a server are not of one server.
    check(
        ["1", "2"],
        &levels,
        "@carol:two .redaction - {} id=$r",
        reason,
    );
    check(
        since("3"),
        &levels,
        &line("@carol:two", "$r:two", "$e:one"),
        "allowed",
    );
}

#[test]
fn malformed_levels_in_the_state_allow_nothing_that_asks_for_them() {
    let state = room(r#"@alice:one .power_levels '' {"users":5,"kick":true,"invite":0}"#);
    let users = "the power levels under users are malformed";
    check(before("12"), &state, "@alice:one .message - {}", users);
    let state = room(r#"@alice:one .power_levels '' {"users":{"@alice:one":100},"kick":true}"#);
    check(ALL, &state, "@bob:one .message - {}", "allowed");
    let kick = r#"@alice:one .member @bob:one {"membership":"leave"}"#;
    check(
        ALL,
        &state,
        kick,
        "the power levels under kick are malformed",
    );
}

#[test]
fn a_verdict_says_why() {
    let verdict = judge(&event("@a:b x - {}", "11"), &Vec::new(), rules("11"));
    assert!(!verdict.is_allowed());
    assert_eq!(
        verdict.reason().map(ToString::to_string).as_deref(),
        Some("there is no create event")
    );
}
