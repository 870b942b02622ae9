use proptest::prelude::*;
use serde_json::{Value as Json_, json};

use super::{canonicalise, parse, parse_object, to_string};
use crate::error::Error;
use crate::rules::Json::{Lax, Strict};
use crate::testing::any_json;

#[track_caller]
fn check(text: &str, expected: &str) {
    for mode in [Strict, Lax] {
        assert_eq!(canonicalise(text, mode).as_deref(), Ok(expected));
    }
}

#[test]
fn the_examples_of_the_specification() {
    check("{}", "{}");
    check(r#"{"one": 1, "two": "Two"}"#, r#"{"one":1,"two":"Two"}"#);
    check(r#"{"b": "2", "a": "1"}"#, r#"{"a":"1","b":"2"}"#);
    check(r#"{"b":"2","a":"1"}"#, r#"{"a":"1","b":"2"}"#);
    check(
        r#"{"auth": {"success": true, "mxid": "@john.doe:example.com", "profile": {"display_name": "John Doe",
            "three_pids": [{"medium": "email", "address": "john.doe@example.org"}, {"medium": "msisdn", "address": "123456789"}]}}}"#,
        r#"{"auth":{"mxid":"@john.doe:example.com","profile":{"display_name":"John Doe","three_pids":[{"address":"john.doe@example.org","medium":"email"},{"address":"123456789","medium":"msisdn"}]},"success":true}}"#,
    );
    check(r#"{"a": "日本語"}"#, r#"{"a":"日本語"}"#);
    check(r#"{"本": 2, "日": 1}"#, r#"{"日":1,"本":2}"#);
    check(r#"{"a": "\u65E5"}"#, r#"{"a":"日"}"#);
    check(r#"{"a": null}"#, r#"{"a":null}"#);
    assert_eq!(
        canonicalise(r#"{"a": -0, "b": 1e10}"#, Lax).as_deref(),
        Ok(r#"{"a":0,"b":10000000000}"#)
    );
}

#[test]
fn strings_escape_what_they_must_and_no_more() {
    check(
        r#""\u0000\u0008\u0009\u000a\u000B\u000c\u000d\u001f\u0020\u007f\/\"\\é""#,
        "\"\\u0000\\b\\t\\n\\u000b\\f\\r\\u001f \u{7f}/\\\"\\\\é\"",
    );
    check(r#""\ud83d\ude00""#, "\"😀\"");
    check(r#"{"\u0061":1,"A":2}"#, r#"{"A":2,"a":1}"#);
}

#[test]
fn keys_are_sorted_by_code_point() {
    check(
        r#"{"\ud83d\ude00":1,"\uffff":2,"a":3,"":4,"aa":5}"#,
        "{\"\":4,\"a\":3,\"aa\":5,\"\u{ffff}\":2,\"😀\":1}",
    );
}

#[test]
fn strict_numbers_are_integers_of_53_bits() {
    check(
        "[9007199254740991,-9007199254740991,0]",
        "[9007199254740991,-9007199254740991,0]",
    );
    for bad in [
        "9007199254740992",
        "-9007199254740992",
        "99999999999999999999",
        "1.0",
        "1.5",
        "1e3",
        "1E-3",
        "-0",
        "-0.0",
        "0e0",
    ] {
        assert!(
            matches!(parse(bad, Strict), Err(Error::NotCanonical { at: 0, .. })),
            "{bad}"
        );
        assert!(parse(bad, Lax).is_ok(), "{bad}");
    }
}

#[test]
fn lax_numbers_are_written_as_python_does() {
    for (text, expected) in [
        ("1.0", "1.0"),
        ("50.570", "50.57"),
        ("-0.0", "-0.0"),
        ("0.1e1", "1.0"),
        ("5.114698E4", "51146.98"),
        ("1e15", "1000000000000000"),
        ("9007199254740993", "9007199254740993"),
        ("9223372036854775808", "9223372036854775808"),
        (
            "-123456789012345678901234567890",
            "-123456789012345678901234567890",
        ),
        ("1e16", "1e+16"),
        ("123456789012345680.0", "1.2345678901234568e+17"),
        ("9999999999999998.0", "9999999999999998.0"),
        ("1e300", "1e+300"),
        ("0.0001", "0.0001"),
        ("0.00001", "1e-05"),
        ("-1.5e-7", "-1.5e-07"),
        ("1e-320", "1e-320"),
        ("0.30000000000000004", "0.30000000000000004"),
    ] {
        assert_eq!(canonicalise(text, Lax).as_deref(), Ok(expected), "{text}");
    }
    assert!(matches!(
        parse("1e999", Lax),
        Err(Error::NotCanonical { .. })
    ));
}

#[test]
fn what_is_not_json_is_refused() {
    for bad in [
        "",
        " ",
        "nul",
        "truex",
        "True",
        "NaN",
        "Infinity",
        "-Infinity",
        "-",
        "+1",
        "01",
        "-01",
        "1.",
        ".5",
        "1e",
        "1e+",
        "0x10",
        "1_0",
        "1 2",
        "[",
        "[1",
        "[1,",
        "[1,]",
        "[,1]",
        "]",
        "{",
        "{\"a\"",
        "{\"a\":",
        "{\"a\":1",
        "{\"a\":1,",
        "{\"a\":1,}",
        "{a:1}",
        "{1:1}",
        "{\"a\" 1}",
        "\"",
        "\"\\\"",
        "\"\\x\"",
        "\"\\u12\"",
        "\"\\u12g4\"",
        "\"\\ud800\"",
        "\"\\ud800x\"",
        "\"\\ud800\\u0041\"",
        "\"\\udc00\"",
        "\"\\ud800\\ud800\"",
        "\"a\nb\"",
        "\"\u{1}\"",
        "'a'",
        "[1]]",
        "{}{}",
        "/**/1",
        "\u{feff}1",
    ] {
        for mode in [Strict, Lax] {
            assert!(
                matches!(parse(bad, mode), Err(Error::Json { .. })),
                "{bad:?}"
            );
        }
    }
}

#[test]
fn no_key_stands_twice() {
    for bad in [
        r#"{"a":1,"a":1}"#,
        r#"{"a":1,"b":2,"a":3}"#,
        r#"{"x":{"a":1,"\u0061":2}}"#,
        r#"[{"":1,"":2}]"#,
    ] {
        for mode in [Strict, Lax] {
            assert!(
                matches!(parse(bad, mode), Err(Error::NotCanonical { .. })),
                "{bad}"
            );
        }
    }
}

#[test]
fn nesting_is_limited() {
    let nested = |depth: usize| format!("{}1{}", "[".repeat(depth), "]".repeat(depth));
    assert!(parse(&nested(128), Strict).is_ok());
    assert!(parse(&nested(129), Strict).is_err());
    assert!(parse(&nested(128_000), Strict).is_err());
    assert!(parse(&"{\"a\":".repeat(128_000), Lax).is_err());
}

#[test]
fn an_object_can_be_changed() {
    let mut object = parse_object(r#"{"c":3,"a":1}"#, Strict).unwrap();
    assert_eq!(object.insert("b".into(), super::Value::Integer(2)), None);
    assert_eq!(
        object.insert("a".into(), super::Value::Null),
        Some(super::Value::Integer(1))
    );
    assert_eq!(object.remove("c"), Some(super::Value::Integer(3)));
    assert_eq!(object.remove("c"), None);
    let mut out = String::new();
    object.write(&mut out);
    assert_eq!(out, r#"{"a":null,"b":2}"#);
    assert_eq!((object.len(), object.is_empty()), (2, false));
    assert!(parse_object("[]", Strict).is_err());
}

#[test]
fn anything_serialisable_has_a_canonical_form() {
    assert_eq!(
        to_string(&json!({"b": [1, "x"], "a": {}})).as_deref(),
        Ok(r#"{"a":{},"b":[1,"x"]}"#)
    );
    assert!(to_string(&1.5).is_err());
}

/// Writes JSON as loosely as it may be written: members turned round, spaces, escapes.
fn loosely(value: &Json_, out: &mut String) {
    match value {
        Json_::Object(object) => {
            out.push_str("{ ");
            for (at, (key, value)) in object.iter().rev().enumerate() {
                out.push_str(if at > 0 { "\n,\t" } else { "" });
                loosely(&Json_::from(key.as_str()), out);
                out.push_str(" : ");
                loosely(value, out);
            }
            out.push('}');
        }
        Json_::Array(items) => {
            out.push_str("[\r");
            for (at, item) in items.iter().enumerate() {
                out.push_str(if at > 0 { " , " } else { "" });
                loosely(item, out);
            }
            out.push(']');
        }
        Json_::String(string) => {
            out.push('"');
            for unit in string.encode_utf16() {
                out.push_str(&format!("\\u{unit:04X}"));
            }
            out.push('"');
        }
        other => out.push_str(&other.to_string()),
    }
}

proptest! {
    #![proptest_config(crate::testing::unrecorded())]

    #[test]
    fn canonical_json_is_its_own_canonical_form_whatever_it_came_from(value in any_json()) {
        let canonical = canonicalise(&value.to_string(), Strict).unwrap();
        prop_assert_eq!(canonicalise(&canonical, Strict).unwrap(), canonical.clone());
        prop_assert_eq!(canonicalise(&canonical, Lax).unwrap(), canonical.clone());
        let mut loose = String::new();
        loosely(&value, &mut loose);
        prop_assert_eq!(canonicalise(&loose, Strict).unwrap(), canonical.clone());
        prop_assert_eq!(serde_json::from_str::<Json_>(&canonical).unwrap(), value);
    }

    #[test]
    fn canonical_json_is_that_of_ruma(value in any_json()) {
        let theirs = ruma::canonical_json::to_canonical_value(&value).unwrap().to_string();
        prop_assert_eq!(canonicalise(&value.to_string(), Strict).unwrap(), theirs);
    }

    #[test]
    fn json_is_what_serde_takes_for_json(text in r#"[\[\]{}",:0-9a-eE.+\\u \-]{0,12}"#) {
        let theirs = serde_json::from_str::<Json_>(&text).is_ok();
        match parse(&text, Lax) {
            Ok(_) => prop_assert!(theirs, "{text}"),
            // serde takes a key twice, and loses what it cannot hold.
            Err(Error::NotCanonical { .. }) => {}
            Err(_) => prop_assert!(!theirs, "{text}"),
        }
    }

    #[test]
    fn any_text_is_parsed_or_refused(text in any::<String>()) {
        let _ = parse(&text, Strict);
        let _ = parse(&text, Lax);
    }
}
