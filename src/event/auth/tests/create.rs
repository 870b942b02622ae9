use super::fixture::{ALL, before, check, since};

const CREATE: &str = r#"@alice:one .create '' {"creator":"@alice:one","room_version":"VERSION"}"#;

#[test]
fn a_room_can_be_made() {
    check(ALL, "", CREATE, "allowed");
}

#[test]
fn a_create_event_follows_nothing() {
    check(
        ALL,
        "",
        &format!("{CREATE} prev=$x:one"),
        "a create event must be the first of its room",
    );
}

#[test]
fn a_chosen_room_id_belongs_to_the_creators_server() {
    let foreign = format!("{CREATE} room=!create:two");
    check(
        before("12"),
        "",
        &foreign,
        "the room id belongs to another server than the creator",
    );
    let nobodys = format!("{CREATE} room=!create");
    check(
        before("12"),
        "",
        &nobodys,
        "the room id belongs to another server than the creator",
    );
}

#[test]
fn a_create_event_whose_id_is_the_rooms_names_no_room() {
    let named = format!("{CREATE} room=!create:one");
    check(
        ["12"],
        "",
        &named,
        "the create event of this room version must not have a room_id",
    );
}

#[test]
fn an_unknown_room_version_is_refused() {
    let reason = "the room version is not known, or not the room's";
    for version in [r#""nineteen""#, r#""13""#, "6", "null", "[]"] {
        let line =
            format!(r#"@alice:one .create '' {{"creator":"@alice:one","room_version":{version}}}"#);
        check(ALL, "", &line, reason);
    }
}

#[test]
fn a_create_event_without_a_version_is_one_of_the_first() {
    let line = r#"@alice:one .create '' {"creator":"@alice:one"}"#;
    check(["1"], "", line, "allowed");
    check(
        since("2"),
        "",
        line,
        "the room version is not known, or not the room's",
    );
}

#[test]
fn older_rooms_name_their_creator() {
    let line = r#"@alice:one .create '' {"room_version":"VERSION"}"#;
    check(before("11"), "", line, "the create event names no creator");
    check(since("11"), "", line, "allowed");
}

#[test]
fn a_creator_of_null_is_a_creator_named() {
    check(
        ALL,
        "",
        r#"@alice:one .create '' {"room_version":"VERSION","creator":null}"#,
        "allowed",
    );
}

#[test]
fn additional_creators_are_user_ids() {
    let with = |creators: &str| {
        format!(
            r#"@alice:one .create '' {{"creator":"@alice:one","room_version":"VERSION","additional_creators":{creators}}}"#
        )
    };
    for good in ["[]", r#"["@bob:one"]"#, r#"["@bob:one","@bob:one"]"#] {
        check(ALL, "", &with(good), "allowed");
    }
    for bad in [
        "null",
        "{}",
        r#""@bob:one""#,
        "[1]",
        r#"["bob"]"#,
        r#"["@bob:one",null]"#,
    ] {
        check(
            ["12"],
            "",
            &with(bad),
            "additional_creators is not a list of user ids",
        );
        check(before("12"), "", &with(bad), "allowed");
    }
}
