use super::fixture::{ALL, before, check, room, since};

const JOIN: &str = r#"{"membership":"join"}"#;
const INVITE: &str = r#"{"membership":"invite"}"#;
const LEAVE: &str = r#"{"membership":"leave"}"#;
const BAN: &str = r#"{"membership":"ban"}"#;
const KNOCK: &str = r#"{"membership":"knock"}"#;

const JOIN_RULE: &str = "the join rule does not let the user in";

fn rule(rule: &str) -> String {
    format!(r#"@alice:one .join_rules '' {{"join_rule":"{rule}"}}"#)
}

fn dave(content: &str) -> String {
    format!("@dave:two .member @dave:two {content}")
}

#[test]
fn a_member_event_is_about_a_user() {
    let state = room("");
    let reason = "a member event needs a user id as its state_key";
    check(ALL, &state, &format!("@alice:one .member - {JOIN}"), reason);
    check(
        ALL,
        &state,
        &format!("@alice:one .member alice {JOIN}"),
        reason,
    );
    check(
        ALL,
        &state,
        &format!("@alice:one .member '' {JOIN}"),
        reason,
    );
}

#[test]
fn a_member_event_has_a_membership() {
    let state = room(&rule("public"));
    for content in [
        "{}",
        r#"{"membership":null}"#,
        r#"{"membership":1}"#,
        r#"{"membership":["join"]}"#,
    ] {
        check(
            ALL,
            &state,
            &dave(content),
            "a member event has no membership",
        );
    }
    for content in [r#"{"membership":"JOIN"}"#, r#"{"membership":""}"#] {
        check(
            ALL,
            &state,
            &dave(content),
            "the membership is not known in this room version",
        );
    }
    check(
        before("7"),
        &state,
        &dave(KNOCK),
        "the membership is not known in this room version",
    );
}

#[test]
fn the_creator_joins_right_after_creating() {
    let create =
        r#"@alice:one .create '' {"creator":"@carol:two","room_version":"VERSION"} id=$create:one"#;
    let alice = format!("@alice:one .member @alice:one {JOIN} prev=$create:one");
    let carol = format!("@carol:two .member @carol:two {JOIN} prev=$create:one");
    // Who the creator is has changed from the one in the content to the sender.
    check(before("11"), create, &carol, "allowed");
    check(before("11"), create, &alice, JOIN_RULE);
    check(since("11"), create, &alice, "allowed");
    check(since("11"), create, &carol, JOIN_RULE);
    let late = format!("@alice:one .member @alice:one {JOIN} prev=$create:one,$x:one");
    check(since("11"), create, &late, JOIN_RULE);
    let elsewhere = format!("@alice:one .member @alice:one {JOIN} prev=$x:one");
    check(since("11"), create, &elsewhere, JOIN_RULE);
}

#[test]
fn additional_creators_do_not_join_uninvited() {
    let create = r#"@alice:one .create '' {"room_version":"12","additional_creators":["@bob:one"]} id=$create:one"#;
    check(
        ["12"],
        create,
        &format!("@bob:one .member @bob:one {JOIN} prev=$create:one"),
        JOIN_RULE,
    );
}

#[test]
fn nobody_joins_for_another() {
    let state = room(&rule("public"));
    check(
        ALL,
        &state,
        &format!("@alice:one .member @dave:two {JOIN}"),
        "only the user can do that, nobody else for them",
    );
}

#[test]
fn a_public_room_lets_everyone_in_but_the_banned() {
    check(ALL, &room(&rule("public")), &dave(JOIN), "allowed");
    let banned = format!("{}\n@alice:one .member @dave:two {BAN}", rule("public"));
    check(ALL, &room(&banned), &dave(JOIN), "the user is banned");
    let gone = format!("{}\n@dave:two .member @dave:two {LEAVE}", rule("public"));
    check(ALL, &room(&gone), &dave(JOIN), "allowed");
}

#[test]
fn a_closed_room_lets_the_invited_in() {
    let invited = format!("{}\n@alice:one .member @dave:two {INVITE}", rule("invite"));
    check(ALL, &room(&invited), &dave(JOIN), "allowed");
    check(ALL, &room(&rule("invite")), &dave(JOIN), JOIN_RULE);
    let left = format!("{}\n@dave:two .member @dave:two {LEAVE}", rule("invite"));
    check(ALL, &room(&left), &dave(JOIN), JOIN_RULE);
}

#[test]
fn a_room_without_a_join_rule_is_closed_to_all_but_the_invited() {
    let profile = r#"@bob:one .member @bob:one {"membership":"join","displayname":"Bob"}"#;
    check(ALL, &room(""), profile, "allowed");
    check(ALL, &room(""), &dave(JOIN), JOIN_RULE);
    check(
        ALL,
        &room("@alice:one .join_rules '' {}"),
        profile,
        "allowed",
    );
    check(
        ALL,
        &room("@alice:one .join_rules '' {}"),
        &dave(JOIN),
        JOIN_RULE,
    );
}

#[test]
fn a_join_rule_nobody_knows_lets_nobody_in() {
    let invited = format!("@alice:one .member @dave:two {INVITE}");
    for content in [
        r#""private""#,
        r#""PUBLIC""#,
        r#""""#,
        "null",
        "{}",
        r#"["public"]"#,
    ] {
        let state = room(&format!(
            "{invited}\n@alice:one .join_rules '' {{\"join_rule\":{content}}}"
        ));
        check(ALL, &state, &dave(JOIN), JOIN_RULE);
    }
}

#[test]
fn join_rules_begin_to_count_with_their_version() {
    let invited = format!("@alice:one .member @dave:two {INVITE}");
    for (name, first) in [
        ("knock", "7"),
        ("restricted", "8"),
        ("knock_restricted", "10"),
    ] {
        let state = room(&format!("{invited}\n{}", rule(name)));
        check(since(first), &state, &dave(JOIN), "allowed");
        check(before(first), &state, &dave(JOIN), JOIN_RULE);
    }
}

#[test]
fn a_knock_does_not_open_the_door() {
    let state = room(&format!(
        "{}\n@dave:two .member @dave:two {KNOCK}",
        rule("knock")
    ));
    check(ALL, &state, &dave(JOIN), JOIN_RULE);
}

#[test]
fn a_restricted_room_opens_through_a_member_who_may_invite() {
    let via = |user: &str| {
        dave(&format!(
            r#"{{"membership":"join","join_authorised_via_users_server":"{user}"}}"#
        ))
    };
    for (name, first) in [("restricted", "8"), ("knock_restricted", "10")] {
        let state = room(&rule(name));
        check(since(first), &state, &via("@bob:one"), "allowed");
        check(since(first), &state, &via("@carol:two"), "allowed");
        check(
            since(first),
            &state,
            &via("@zoe:one"),
            "the user who lets them in is not in the room",
        );
        check(
            since(first),
            &state,
            &via("bob"),
            "the user who lets them in is not in the room",
        );
        check(since(first), &state, &dave(JOIN), JOIN_RULE);
        let not_text = dave(r#"{"membership":"join","join_authorised_via_users_server":1}"#);
        check(since(first), &state, &not_text, JOIN_RULE);
        let guarded = r#"@alice:one .power_levels '' {"users":{"@carol:two":10},"invite":10}"#;
        let state = room(&format!("{}\n{guarded}", rule(name)));
        check(since(first), &state, &via("@carol:two"), "allowed");
        let reason = "letting somebody in needs power level 10, and the sender has 0";
        check(since(first), &state, &via("@bob:one"), reason);
        check(["12"], &state, &via("@alice:one"), "allowed");
        let banned = format!("{}\n@alice:one .member @dave:two {BAN}", rule(name));
        check(
            since(first),
            &room(&banned),
            &via("@bob:one"),
            "the user is banned",
        );
    }
}

#[test]
fn members_invite_who_is_neither_in_nor_banned() {
    let invite = |sender: &str, target: &str| format!("{sender} .member {target} {INVITE}");
    let state = room(&format!(
        "@alice:one .member @eve:two {BAN}\n@fred:two .member @fred:two {KNOCK}"
    ));
    check(ALL, &state, &invite("@bob:one", "@dave:two"), "allowed");
    check(ALL, &state, &invite("@bob:one", "@fred:two"), "allowed");
    check(
        ALL,
        &state,
        &invite("@dave:two", "@fred:two"),
        "the sender is not in the room",
    );
    let reason = "the user is in the room already, or banned";
    check(ALL, &state, &invite("@bob:one", "@carol:two"), reason);
    check(ALL, &state, &invite("@bob:one", "@eve:two"), reason);
    check(ALL, &state, &invite("@bob:one", "@bob:one"), reason);
}

#[test]
fn inviting_can_need_power() {
    let state = room(
        r#"@alice:one .power_levels '' {"users":{"@carol:two":30},"users_default":10,"invite":20}"#,
    );
    let invite = |sender: &str| format!("{sender} .member @dave:two {INVITE}");
    check(ALL, &state, &invite("@carol:two"), "allowed");
    check(
        ALL,
        &state,
        &invite("@bob:one"),
        "inviting needs power level 20, and the sender has 10",
    );
    check(["12"], &state, &invite("@alice:one"), "allowed");
    check(
        before("12"),
        &state,
        &invite("@alice:one"),
        "inviting needs power level 20, and the sender has 10",
    );
}

#[test]
fn one_leaves_what_one_is_in() {
    let leave = |user: &str| format!("{user} .member {user} {LEAVE}");
    let state = room(&format!(
        "@alice:one .member @dave:two {INVITE}\n@alice:one .member @eve:two {BAN}\n@fred:two .member @fred:two {KNOCK}"
    ));
    check(ALL, &state, &leave("@bob:one"), "allowed");
    check(ALL, &state, &leave("@dave:two"), "allowed");
    check(since("7"), &state, &leave("@fred:two"), "allowed");
    let reason = "the user is neither in the room nor invited nor knocking";
    check(before("7"), &state, &leave("@fred:two"), reason);
    check(ALL, &state, &leave("@eve:two"), reason);
    check(ALL, &state, &leave("@zoe:two"), reason);
}

#[test]
fn kicking_needs_the_level_and_more_than_the_target_has() {
    let kick = |sender: &str, target: &str| format!("{sender} .member {target} {LEAVE}");
    let levels = r#"@alice:one .power_levels '' {"users":{"@bob:one":50,"@carol:two":50,"@dave:two":40},"kick":45}"#;
    let state = room(&format!(
        "{levels}\n@dave:two .member @dave:two {JOIN}\n@zoe:two .member @zoe:two {JOIN}"
    ));
    check(ALL, &state, &kick("@bob:one", "@dave:two"), "allowed");
    check(ALL, &state, &kick("@bob:one", "@zoe:two"), "allowed");
    check(ALL, &state, &kick("@bob:one", "@nobody:two"), "allowed");
    check(
        ALL,
        &state,
        &kick("@bob:one", "@carol:two"),
        "the user has as much power as the sender",
    );
    check(
        ALL,
        &state,
        &kick("@dave:two", "@zoe:two"),
        "kicking needs power level 45, and the sender has 40",
    );
    check(
        ALL,
        &state,
        &kick("@eve:two", "@zoe:two"),
        "the sender is not in the room",
    );
    check(["12"], &state, &kick("@alice:one", "@bob:one"), "allowed");
    check(
        ["12"],
        &state,
        &kick("@bob:one", "@alice:one"),
        "the user has as much power as the sender",
    );
}

#[test]
fn lifting_a_ban_needs_the_ban_level_too() {
    let levels = r#"@alice:one .power_levels '' {"users":{"@bob:one":50,"@carol:two":60},"kick":45,"ban":55}"#;
    let state = room(&format!("{levels}\n@alice:one .member @dave:two {BAN}"));
    let lift = |sender: &str| format!("{sender} .member @dave:two {LEAVE}");
    check(ALL, &state, &lift("@carol:two"), "allowed");
    check(
        ALL,
        &state,
        &lift("@bob:one"),
        "lifting a ban needs power level 55, and the sender has 50",
    );
}

#[test]
fn banning_needs_the_level_and_more_than_the_target_has() {
    let ban = |sender: &str, target: &str| format!("{sender} .member {target} {BAN}");
    let state = room(r#"@alice:one .power_levels '' {"users":{"@bob:one":50,"@carol:two":50}}"#);
    check(ALL, &state, &ban("@bob:one", "@dave:two"), "allowed");
    check(
        ALL,
        &state,
        &ban("@bob:one", "@carol:two"),
        "the user has as much power as the sender",
    );
    check(
        ALL,
        &state,
        &ban("@bob:one", "@bob:one"),
        "the user has as much power as the sender",
    );
    check(
        ALL,
        &state,
        &ban("@dave:two", "@zoe:two"),
        "the sender is not in the room",
    );
    let state = room(r#"@alice:one .power_levels '' {"users":{"@bob:one":50},"ban":51}"#);
    check(
        ALL,
        &state,
        &ban("@bob:one", "@dave:two"),
        "banning needs power level 51, and the sender has 50",
    );
}

#[test]
fn creators_are_beyond_each_other() {
    let create = r#"@alice:one .create '' {"room_version":"12","additional_creators":["@bob:one"]} id=$create:one"#;
    let ban = |sender: &str, target: &str| format!("{sender} .member {target} {BAN}");
    let reason = "the user has as much power as the sender";
    check(
        ["12"],
        &room(create),
        &ban("@alice:one", "@bob:one"),
        reason,
    );
    check(
        ["12"],
        &room(create),
        &ban("@bob:one", "@alice:one"),
        reason,
    );
    check(
        ["12"],
        &room(create),
        &ban("@bob:one", "@carol:two"),
        "allowed",
    );
}

#[test]
fn one_knocks_where_that_is_wanted() {
    for (name, first) in [("knock", "7"), ("knock_restricted", "10")] {
        check(since(first), &room(&rule(name)), &dave(KNOCK), "allowed");
        for (membership, verdict) in [
            (LEAVE, "allowed"),
            (KNOCK, "allowed"),
            (
                INVITE,
                "the user is in the room, invited or banned, and cannot knock",
            ),
            (
                BAN,
                "the user is in the room, invited or banned, and cannot knock",
            ),
            (
                JOIN,
                "the user is in the room, invited or banned, and cannot knock",
            ),
        ] {
            let state = room(&format!(
                "{}\n@alice:one .member @dave:two {membership}",
                rule(name)
            ));
            check(since(first), &state, &dave(KNOCK), verdict);
        }
        let for_another = format!("@alice:one .member @dave:two {KNOCK}");
        check(
            since(first),
            &room(&rule(name)),
            &for_another,
            "only the user can do that, nobody else for them",
        );
    }
    check(
        ["7", "8", "9"],
        &room(&rule("knock_restricted")),
        &dave(KNOCK),
        JOIN_RULE,
    );
    for name in ["public", "invite", "restricted"] {
        check(since("7"), &room(&rule(name)), &dave(KNOCK), JOIN_RULE);
    }
    check(since("7"), &room(""), &dave(KNOCK), JOIN_RULE);
}

mod third_party {
    use super::{ALL, BAN, check, room};
    use crate::canonical;
    use crate::sign::KeyPair;

    fn key() -> KeyPair {
        KeyPair::from_seed(&[7; 32], "0").expect("a key")
    }

    /// An invite for dave by alice, with this `signed`; its signature is right.
    fn redeem(mxid: &str, token: &str) -> String {
        let unsigned = serde_json::json!({"mxid": mxid, "token": token});
        let signature = key().sign(canonical::to_string(&unsigned).expect("JSON").as_bytes());
        let signed = serde_json::json!({
            "mxid": mxid, "token": token,
            "signatures": {"other": 5, "id.server": {"rsa:1": "x", "ed25519:0": signature}}
        });
        invite(&format!(r#"{{"display_name":"d","signed":{signed}}}"#))
    }

    fn invite(third_party: &str) -> String {
        format!(
            r#"@alice:one .member @dave:two {{"membership":"invite","third_party_invite":{third_party}}}"#
        )
    }

    fn made(sender: &str, keys: &str) -> String {
        room(&format!("{sender} .third_party_invite secret {keys}"))
    }

    fn one_key() -> String {
        format!(r#"{{"public_key":"{}"}}"#, key().public().to_base64())
    }

    #[test]
    fn a_signed_invite_is_redeemed() {
        check(
            ALL,
            &made("@alice:one", &one_key()),
            &redeem("@dave:two", "secret"),
            "allowed",
        );
        let listed = format!(
            r#"{{"public_key":"bad","public_keys":[{{}},5,{{"public_key":"{}"}}]}}"#,
            key().public().to_base64()
        );
        check(
            ALL,
            &made("@alice:one", &listed),
            &redeem("@dave:two", "secret"),
            "allowed",
        );
    }

    #[test]
    fn the_sender_need_not_be_in_the_room() {
        let state = format!(
            "{}\n@alice:one .member @alice:one {{\"membership\":\"leave\"}}",
            made("@alice:one", &one_key())
        );
        check(ALL, &state, &redeem("@dave:two", "secret"), "allowed");
    }

    #[test]
    fn an_invite_that_lacks_something_is_refused() {
        let state = made("@alice:one", &one_key());
        for broken in [
            "null",
            "{}",
            "5",
            r#"{"signed":null}"#,
            r#"{"signed":{}}"#,
            r#"{"signed":{"mxid":"@dave:two"}}"#,
        ] {
            check(
                ALL,
                &state,
                &invite(broken),
                "the third-party invite lacks signed, mxid or token",
            );
        }
    }

    #[test]
    fn an_invite_is_for_one_user_by_one_token_of_one_sender() {
        let state = made("@alice:one", &one_key());
        check(
            ALL,
            &state,
            &redeem("@eve:two", "secret"),
            "the third-party invite is for another user",
        );
        check(
            ALL,
            &state,
            &redeem("@dave:two", "other"),
            "there is no third-party invite with this token",
        );
        let by_bob = made("@bob:one", &one_key());
        check(
            ALL,
            &by_bob,
            &redeem("@dave:two", "secret"),
            "the third-party invite was made by somebody else",
        );
    }

    #[test]
    fn the_banned_are_not_let_in_by_it() {
        let state = format!(
            "{}\n@alice:one .member @dave:two {BAN}",
            made("@alice:one", &one_key())
        );
        check(
            ALL,
            &state,
            &redeem("@dave:two", "secret"),
            "the user is banned",
        );
    }

    #[test]
    fn an_invite_must_be_signed_by_a_key_of_the_room() {
        let reason = "no signature of the third-party invite matches its keys";
        check(
            ALL,
            &made("@alice:one", "{}"),
            &redeem("@dave:two", "secret"),
            reason,
        );
        let other = KeyPair::from_seed(&[8; 32], "0")
            .expect("a key")
            .public()
            .to_base64();
        let state = made("@alice:one", &format!(r#"{{"public_key":"{other}"}}"#));
        check(ALL, &state, &redeem("@dave:two", "secret"), reason);
        let unsigned = invite(r#"{"signed":{"mxid":"@dave:two","token":"secret"}}"#);
        check(ALL, &made("@alice:one", &one_key()), &unsigned, reason);
    }
}
