use super::fixture::{ALL, before, event, rules, since};
use crate::auth::{auth_types, auth_types_of};

/// Asserts which events authorise an event, as `type key` words, besides those that authorise anything.
#[track_caller]
fn check(versions: impl IntoIterator<Item = &'static str>, line: &str, expected: &[(&str, &str)]) {
    for version in versions {
        let (rules, event) = (rules(version), event(line, version));
        let mut wanted = vec![
            ("m.room.power_levels", ""),
            ("m.room.member", event.sender().as_str()),
        ];
        if version != "12" {
            wanted.insert(0, ("m.room.create", ""));
        }
        wanted.extend(expected);
        let found = auth_types_of(rules, &event);
        let pairs: Vec<_> = found
            .iter()
            .map(|(event_type, key)| (*event_type, &**key))
            .collect();
        assert_eq!(pairs, wanted, "version {version}: {line}");
        let from_parts = auth_types(
            rules,
            event.event_type(),
            event.sender(),
            event.state_key(),
            event.content(),
        );
        assert_eq!(from_parts, found);
    }
}

#[test]
fn a_create_event_is_authorised_by_nothing() {
    for version in ALL {
        assert!(auth_types_of(rules(version), &event("@a:one .create '' {}", version)).is_empty());
    }
}

#[test]
fn a_message_is_authorised_by_levels_and_its_sender() {
    check(ALL, "@a:one .message - {}", &[]);
    check(ALL, "@a:one .name '' {}", &[]);
}

#[test]
fn a_membership_asks_for_the_join_rule_where_it_counts() {
    let rule = ("m.room.join_rules", "");
    let target = ("m.room.member", "@b:two");
    for membership in ["join", "invite", "knock"] {
        let own = format!(r#"@a:one .member @a:one {{"membership":"{membership}"}}"#);
        check(ALL, &own, &[rule]);
        let other = format!(r#"@a:one .member @b:two {{"membership":"{membership}"}}"#);
        check(ALL, &other, &[target, rule]);
    }
    for membership in ["leave", "ban", "mystery"] {
        let other = format!(r#"@a:one .member @b:two {{"membership":"{membership}"}}"#);
        check(ALL, &other, &[target]);
    }
}

#[test]
fn an_invite_by_a_third_party_asks_for_its_token() {
    let line = r#"@a:one .member @b:two {"membership":"invite","third_party_invite":{"signed":{"token":"secret"}}}"#;
    let (target, rule) = (("m.room.member", "@b:two"), ("m.room.join_rules", ""));
    check(
        ALL,
        line,
        &[target, rule, ("m.room.third_party_invite", "secret")],
    );
    check(ALL, &line.replace("\"invite\"", "\"ban\""), &[target]);
    check(ALL, &line.replace("\"secret\"", "5"), &[target, rule]);
}

#[test]
fn a_restricted_join_asks_for_who_lets_in() {
    let line = r#"@a:one .member @a:one {"membership":"join","join_authorised_via_users_server":"@c:two"}"#;
    let rule = ("m.room.join_rules", "");
    check(since("8"), line, &[rule, ("m.room.member", "@c:two")]);
    check(before("8"), line, &[rule]);
    check(ALL, &line.replace("\"join\"", "\"invite\""), &[rule]);
    check(ALL, &line.replace("@c:two", "@a:one"), &[rule]);
}
