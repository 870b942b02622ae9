use proptest::prelude::*;
use ruma::ServerName;
use serde_json::json;

use super::Acl;
use crate::effort;

fn allows(acl: &serde_json::Value, server: &str) -> bool {
    Acl::parse(&acl.to_string()).allows(<&ServerName>::try_from(server).expect("a server name"))
}

#[test]
fn without_an_event_everyone_is_let_in() {
    assert!(Acl::of(None).allows(ruma::server_name!("1.2.3.4:80")));
}

#[test]
fn an_empty_content_lets_nobody_in() {
    assert!(!allows(&json!({}), "example.org"));
    assert!(!Acl::parse("[]").allows(ruma::server_name!("example.org")));
}

#[test]
fn deny_goes_before_allow() {
    let acl = json!({"allow": ["*"], "deny": ["*.evil.org", "evil.org"]});
    assert!(allows(&acl, "good.org"));
    assert!(!allows(&acl, "evil.org"));
    assert!(!allows(&acl, "very.evil.org"));
    assert!(allows(&acl, "notevil.org"));
}

#[test]
fn t31_neither_port_nor_case_matter() {
    let acl = json!({"allow": ["*"], "deny": ["Evil.ORG", "*.Bad.org", "w?rse.*"]});
    for server in [
        "evil.org",
        "EVIL.org:8448",
        "a.bad.ORG:1",
        "WORSE.example",
        "wÃrse.org",
    ] {
        if let Ok(name) = <&ServerName>::try_from(server) {
            assert!(!Acl::parse(&acl.to_string()).allows(name), "{server}");
        }
    }
    // A pattern with a port is one that matches no host.
    assert!(allows(
        &json!({"allow": ["*"], "deny": ["a.org:8448"]}),
        "a.org:8448"
    ));
}

#[test]
fn ip_literals_are_let_in_unless_forbidden() {
    for literal in ["1.2.3.4", "1.2.3.4:8448", "[::1]", "[2001:db8::1]:8448"] {
        assert!(allows(&json!({"allow": ["*"]}), literal), "{literal}");
        assert!(
            allows(
                &json!({"allow": ["*"], "allow_ip_literals": "false"}),
                literal
            ),
            "{literal}"
        );
        assert!(
            !allows(
                &json!({"allow": ["*"], "allow_ip_literals": false}),
                literal
            ),
            "{literal}"
        );
    }
    assert!(allows(
        &json!({"allow": ["*"], "allow_ip_literals": false}),
        "1.2.3.example.org"
    ));
}

#[test]
fn a_question_mark_is_one_character() {
    let acl = json!({"allow": ["?.org"]});
    assert!(allows(&acl, "a.org"));
    assert!(!allows(&acl, "ab.org"));
    assert!(!allows(&acl, ".org"));
}

#[test]
fn what_is_no_pattern_is_passed_over() {
    let acl = json!({"allow": [1, null, "*"], "deny": {"evil.org": true}});
    assert!(allows(&acl, "evil.org"));
}

#[test]
fn t32_hostile_patterns_take_no_longer_than_their_length() {
    let giant = json!({"allow": ["*a".repeat(32_000)], "deny": ["*"]}).to_string();
    let many: Vec<String> = (0..250)
        .map(|n| format!("{}b{n}", "*a".repeat(110)))
        .collect();
    let many = json!({"deny": many, "allow": ["*"]}).to_string();
    let name = format!("{}.org", "a".repeat(240));
    let name = <&ServerName>::try_from(name.as_str()).expect("a server name");
    for (text, patterns, expected) in [(giant, 1, false), (many, 250, true)] {
        let acl = Acl::parse(&text);
        let (allows, steps) = effort::of(|| acl.allows(name));
        assert_eq!(allows, expected);
        let limit = 4 * (text.len() + patterns * name.as_str().len());
        assert!(steps <= limit, "{steps} steps, more than {limit}");
    }
}

/// The plain way: every split of the text for every star.
fn naive(pattern: &[char], text: &[char]) -> bool {
    match (pattern, text) {
        ([], []) => true,
        (['*', rest @ ..], _) => (0..=text.len()).any(|skip| naive(rest, &text[skip..])),
        (['?', rest @ ..], [_, tail @ ..]) => naive(rest, tail),
        ([wanted, rest @ ..], [found, tail @ ..]) => wanted == found && naive(rest, tail),
        _ => false,
    }
}

proptest! {
    #![proptest_config(crate::testing::unrecorded())]

    #[test]
    fn an_acl_matches_as_the_plain_way_does(
        allow in proptest::collection::vec("[ab.*?A]{0,8}", 0..4),
        deny in proptest::collection::vec("[ab.*?B]{0,8}", 0..4),
        host in "[abAB.]{1,8}",
    ) {
        let Ok(server) = <&ServerName>::try_from(host.as_str()) else { return Ok(()) };
        let chars = |text: &str| text.to_lowercase().chars().collect::<Vec<_>>();
        let any = |list: &[String]| list.iter().any(|pattern| naive(&chars(pattern), &chars(&host)));
        let expected = !any(&deny) && any(&allow);
        let acl = Acl::parse(&json!({"allow": allow, "deny": deny}).to_string());
        prop_assert_eq!(acl.allows(server), expected);
    }

    #[test]
    fn any_content_is_an_acl(content in ".{0,64}") {
        let _ = Acl::parse(&content).allows(ruma::server_name!("example.org"));
    }
}
