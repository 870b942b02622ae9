use ruma::EventId;

use super::fixture::{ALL, before, event, room, rules, state_of};
use crate::auth::{Known, check_auth_events};
use crate::pdu::Pdu;

/// Asserts the verdict on an event's `auth_events` where these events are known; a line that ends in ` rejected` is of one that was
/// rejected. `auth` are the places in `known` of the events named.
#[track_caller]
fn check(
    versions: impl IntoIterator<Item = &'static str>,
    known: &str,
    auth: &[usize],
    line: &str,
    verdict: &str,
) {
    for version in versions {
        let lines: Vec<&str> = known
            .lines()
            .map(str::trim)
            .filter(|line| !line.is_empty())
            .collect();
        let known: Vec<(Pdu, bool)> = lines
            .iter()
            .map(|line| match line.strip_suffix(" rejected") {
                Some(line) => (event(line, version), true),
                None => (event(line, version), false),
            })
            .collect();
        let names = auth
            .iter()
            .map(|at| known[*at].0.event_id().as_str())
            .collect::<Vec<_>>();
        let pdu = event(line, version);
        let json = pdu
            .json()
            .replace("\"auth_events\":[]", &format!("\"auth_events\":{names:?}"));
        let pdu =
            Pdu::from_stored(pdu.event_id().to_owned(), pdu.room_id().to_owned(), json).unwrap();
        let find = |id: &EventId| {
            let (pdu, rejected) = known.iter().find(|(pdu, _)| pdu.event_id() == id)?;
            Some(Known {
                pdu,
                rejected: *rejected,
            })
        };
        let found = match check_auth_events(&pdu, rules(version), find).reason() {
            None => "allowed".to_owned(),
            Some(reason) => reason.to_string(),
        };
        assert_eq!(found, verdict, "version {version}: {line} with {auth:?}");
    }
}

const CREATE: usize = 0;
const BOB: usize = 2;
const CAROL: usize = 3;
const LEVELS: usize = 4;
const NAME: usize = 5;

fn known() -> String {
    room(
        "@alice:one .power_levels '' {} id=$levels:one
        @alice:one .name '' {} id=$name:one
        @bob:one .message - {} id=$message:one
        @alice:one .power_levels '' {} id=$levels2:one
        @bob:one .member @bob:one {\"membership\":\"join\"} id=$elsewhere:one room=!other:one",
    )
    .replace(
        "@carol:two {\"membership\":\"join\"}",
        "@carol:two {\"membership\":\"join\"} id=$carol:two",
    )
}

const SPEAK: &str = "@bob:one .message - {} id=$event:one";

#[test]
fn the_events_selected_are_right_even_if_some_are_missing() {
    check(
        before("12"),
        &known(),
        &[CREATE, BOB, LEVELS],
        SPEAK,
        "allowed",
    );
    check(before("12"), &known(), &[CREATE], SPEAK, "allowed");
    check(["12"], &known(), &[BOB, LEVELS], SPEAK, "allowed");
    check(["12"], &known(), &[], SPEAK, "allowed");
}

#[test]
fn the_create_event_is_among_them_or_never() {
    check(
        before("12"),
        &known(),
        &[BOB, LEVELS],
        SPEAK,
        "the create event is not among the auth events",
    );
    let reason = "the auth event $create:one does not belong among the auth events";
    check(["12"], &known(), &[CREATE, BOB], SPEAK, reason);
}

#[test]
fn nothing_stands_there_that_does_not_authorise() {
    let create: &[usize] = &[CREATE];
    for version in ALL {
        let create = if version == "12" { &[] } else { create };
        let reason = "the auth event $name:one does not belong among the auth events";
        check(
            [version],
            &known(),
            &[create, &[NAME]].concat(),
            SPEAK,
            reason,
        );
        let reason = "the auth event $carol:two does not belong among the auth events";
        check(
            [version],
            &known(),
            &[create, &[CAROL]].concat(),
            SPEAK,
            reason,
        );
        let reason = "the auth event $message:one does not belong among the auth events";
        check([version], &known(), &[create, &[6]].concat(), SPEAK, reason);
    }
}

#[test]
fn no_place_is_taken_twice() {
    check(
        ALL,
        &known(),
        &[LEVELS, LEVELS],
        SPEAK,
        "the auth event $levels:one takes the place of another one",
    );
    check(
        ALL,
        &known(),
        &[LEVELS, 7],
        SPEAK,
        "the auth event $levels2:one takes the place of another one",
    );
}

#[test]
fn t09_nothing_rejected_authorises() {
    let known = known().replace("id=$levels:one", "id=$levels:one rejected");
    check(
        ALL,
        &known,
        &[LEVELS],
        SPEAK,
        "the auth event $levels:one was rejected",
    );
}

#[test]
fn t08_nothing_of_another_room_authorises() {
    check(
        ALL,
        &known(),
        &[8],
        SPEAK,
        "the auth event $elsewhere:one belongs to another room",
    );
}

#[test]
fn what_is_unknown_is_said_so() {
    let line = r#"@bob:one .member @bob:one {"membership":"leave"} id=$e:one"#;
    let pdu = event(line, "11");
    let json = pdu
        .json()
        .replace("\"auth_events\":[]", "\"auth_events\":[\"$nowhere\"]");
    let pdu = Pdu::from_stored(pdu.event_id().to_owned(), pdu.room_id().to_owned(), json).unwrap();
    let verdict = check_auth_events(&pdu, rules("11"), |_| None);
    assert_eq!(
        verdict.reason().unwrap().to_string(),
        "the auth event $nowhere is not known"
    );
}

#[test]
fn a_room_that_is_its_create_event_must_have_been_made() {
    check(["12"], "", &[], SPEAK, "there is no create event");
    let rejected = known().replace("id=$create:one", "id=$create:one rejected");
    check(
        ["12"],
        &rejected,
        &[],
        SPEAK,
        "the auth event $create:one was rejected",
    );
    let no_create = "@alice:one .name '' {} id=$create:one";
    check(["12"], no_create, &[], SPEAK, "there is no create event");
}

#[test]
fn a_create_event_needs_nothing() {
    let create = r#"@alice:one .create '' {"creator":"@alice:one","room_version":"VERSION"}"#;
    check(ALL, &known(), &[], create, "allowed");
}

#[test]
fn a_state_is_looked_up_in_a_list_too() {
    let state = state_of(&room(""), "11");
    let found = crate::auth::AuthState::get(&state, "m.room.member", "@bob:one").unwrap();
    assert_eq!(found.sender(), "@bob:one");
}
