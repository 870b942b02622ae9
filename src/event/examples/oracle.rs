//! Asks this implementation what it makes of events and states: one JSON case per line on standard input, one JSON answer per line on standard
//! output. The protocol is in `docs/oracle.md`; nothing here decides anything, it only carries questions to the crate.
//!
//!     cargo run --release -p event --example oracle < cases.jsonl

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use event::auth::{self, Known as Listed};
use event::canonical::{self, Value};
use event::resolve::{self, Known, StateMap};
use event::rules::{EventIds, Json};
use event::sign::{PublicKey, VerifyKey};
use event::{Checked, Pdu, Rules, UncheckedPdu, id, redact};
use ruma::{EventId, OwnedEventId, RoomId, ServerName};
use serde::Deserialize;
use serde_json::json;
use serde_json::value::RawValue;
use sha2::{Digest as _, Sha256};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::io::{self, BufRead as _, Write as _};

fn main() -> io::Result<()> {
    let mut out = io::BufWriter::new(io::stdout().lock());
    for line in io::stdin().lock().lines() {
        let line = line?;
        if !line.trim().is_empty() {
            writeln!(out, "{}", answer(&line))?;
            out.flush()?;
        }
    }
    Ok(())
}

/// The answer to one case.
fn answer(line: &str) -> serde_json::Value {
    let answered = parse::<Case>(line).and_then(|case| match &*case.op {
        "resolve" => parse::<Resolve>(line)?.answer(),
        "auth" => parse::<Auth>(line)?.answer(),
        "event" => parse::<Event>(line)?.answer(),
        "verify" => parse::<Verify>(line)?.answer(),
        "canonical" => parse::<Canonical>(line)?.answer(),
        unknown => Err(format!("unknown op {unknown:?}")),
    });
    answered.unwrap_or_else(|error| json!({ "error": error }))
}

/// Twice for each line, because an event's exact text does not survive an enum that is told apart by a field.
fn parse<'a, T: Deserialize<'a>>(line: &'a str) -> Result<T, String> {
    serde_json::from_str(line).map_err(text)
}

type Answer = Result<serde_json::Value, String>;

#[derive(Deserialize)]
struct Case {
    op: String,
}

#[derive(Deserialize)]
struct Named {
    event_id: OwnedEventId,
    pdu: Box<RawValue>,
}

#[derive(Deserialize)]
struct Resolve {
    room_version: String,
    events: Vec<Named>,
    state_sets: Vec<Vec<OwnedEventId>>,
    #[serde(default)]
    rejected: HashSet<OwnedEventId>,
}

impl Resolve {
    fn answer(&self) -> Answer {
        let rules = rules(&self.room_version)?;
        let room = Room::read(&self.events, &self.rejected, rules)?;
        let states: Vec<StateMap> = self
            .state_sets
            .iter()
            .map(|ids| room.state(ids))
            .collect::<Result<_, _>>()?;
        let resolved = resolve::resolve_sets(rules, &states, |id| room.events.get(id).cloned());
        let mut ids: Vec<_> = resolved.into_values().collect();
        ids.sort();
        Ok(json!({ "state": ids }))
    }
}

#[derive(Deserialize)]
struct Auth {
    room_version: String,
    events: Vec<Named>,
    event: Named,
    against: Vec<OwnedEventId>,
    #[serde(default)]
    rejected: HashSet<OwnedEventId>,
}

impl Auth {
    fn answer(&self) -> Answer {
        let rules = rules(&self.room_version)?;
        let room = Room::read(&self.events, &self.rejected, rules)?;
        let event = read(&self.event, rules)?;
        let mut state: Vec<Pdu> = self
            .against
            .iter()
            .map(|id| room.get(id).map(|known| known.pdu.clone()))
            .collect::<Result<_, _>>()?;
        // Where the room is named after its create event, that event stands in every state, whether or not anybody names it.
        let create =
            id::create_of_room(event.room_id()).and_then(|create| room.events.get(&create));
        state.extend(create.map(|known| known.pdu.clone()));
        let listed = auth::check_auth_events(&event, rules, |id| {
            room.events.get(id).map(|known| Listed {
                pdu: &known.pdu,
                rejected: known.rejected,
            })
        });
        let judged = auth::judge(&event, &state, rules);
        let reason = listed.reason().or(judged.reason()).map(ToString::to_string);
        Ok(json!({ "allowed": reason.is_none(), "reason": reason }))
    }
}

#[derive(Deserialize)]
struct Event {
    room_version: String,
    pdu: Box<RawValue>,
}

impl Event {
    fn answer(&self) -> Answer {
        let rules = rules(&self.room_version)?;
        let whole = canonical::parse_object(self.pdu.get(), rules.json).map_err(text)?;
        let mut hashed = String::new();
        whole.write_some(&mut hashed, |field| {
            !matches!(field, "unsigned" | "signatures" | "hashes")
        });
        let redacted = redact::redact(self.pdu.get(), rules).map_err(text)?;
        let mut signed = String::new();
        canonical::parse_object(&redacted, rules.json)
            .map_err(text)?
            .write_some(&mut signed, |field| field != "signatures");
        let hash = id::reference_hash(&signed);
        let event_id = match rules.event_ids {
            EventIds::Chosen => whole
                .get("event_id")
                .and_then(Value::as_str)
                .ok_or("`event_id` is missing")?
                .to_owned(),
            EventIds::Hash | EventIds::UrlSafeHash => {
                id::of_hash(&hash, rules).map_err(text)?.into()
            }
        };
        let reference_hash = match rules.event_ids {
            EventIds::UrlSafeHash => URL_SAFE_NO_PAD.encode(hash),
            EventIds::Chosen | EventIds::Hash => STANDARD_NO_PAD.encode(hash),
        };
        Ok(json!({
            "event_id": event_id,
            "content_hash": STANDARD_NO_PAD.encode(Sha256::digest(hashed)),
            "reference_hash": reference_hash,
            "redacted": RawValue::from_string(redacted).map_err(text)?,
        }))
    }
}

#[derive(Deserialize)]
struct Verify {
    room_version: String,
    pdu: Box<RawValue>,
    keys: BTreeMap<String, BTreeMap<String, String>>,
    at_ts: Option<u64>,
}

impl Verify {
    fn answer(&self) -> Answer {
        let event = match UncheckedPdu::parse(self.pdu.get(), rules(&self.room_version)?) {
            Ok(event) => event,
            Err(error) => return Ok(json!({ "verdict": "reject", "reason": error.to_string() })),
        };
        let valid_until = self.at_ts.unwrap_or(u64::MAX);
        let checked = event.check(&|server: &ServerName, key_id: &str| {
            let key = PublicKey::from_base64(self.keys.get(server.as_str())?.get(key_id)?).ok()?;
            Some(VerifyKey::current(key, valid_until, valid_until))
        });
        Ok(match checked {
            Ok(Checked::Whole(_)) => json!({ "verdict": "ok" }),
            Ok(Checked::Redacted(_)) => json!({ "verdict": "redact" }),
            Err(error) => json!({ "verdict": "reject", "reason": error.to_string() }),
        })
    }
}

#[derive(Deserialize)]
struct Canonical {
    json: String,
    room_version: Option<String>,
}

impl Canonical {
    fn answer(&self) -> Answer {
        let json = self
            .room_version
            .as_deref()
            .map_or(Ok(Json::Strict), |version| {
                rules(version).map(|rules| rules.json)
            })?;
        Ok(json!({ "canonical": canonical::canonicalise(&self.json, json).map_err(text)? }))
    }
}

fn rules(version: &str) -> Result<&'static Rules, String> {
    Rules::named(version).ok_or_else(|| format!("unknown room version {version:?}"))
}

fn text<E: std::fmt::Display>(error: E) -> String {
    format!("{error}")
}

/// The events of a case.
struct Room {
    events: HashMap<OwnedEventId, Known>,
}

impl Room {
    fn read(
        events: &[Named],
        rejected: &HashSet<OwnedEventId>,
        rules: &Rules,
    ) -> Result<Self, String> {
        let known = |event: &Named| {
            let known = Known {
                pdu: read(event, rules)?,
                rejected: rejected.contains(&event.event_id),
            };
            Ok((event.event_id.clone(), known))
        };
        Ok(Self {
            events: events.iter().map(known).collect::<Result<_, String>>()?,
        })
    }

    fn get(&self, id: &EventId) -> Result<&Known, String> {
        self.events
            .get(id)
            .ok_or_else(|| format!("{id} is not among the events"))
    }

    fn state(&self, ids: &[OwnedEventId]) -> Result<StateMap, String> {
        let mut state = StateMap::new();
        for id in ids {
            let (event_type, state_key) = self
                .get(id)?
                .pdu
                .state_pair()
                .ok_or_else(|| format!("{id} is no state event"))?;
            if state
                .insert((event_type.to_owned(), state_key.to_owned()), id.clone())
                .is_some()
            {
                return Err(format!(
                    "one state has two events for {event_type:?} {state_key:?}"
                ));
            }
        }
        Ok(state)
    }
}

/// An event of a case. It is believed: its id is the one given, and what is left out of it is filled in with what says nothing.
fn read(event: &Named, rules: &Rules) -> Result<Pdu, String> {
    let named = |error: String| format!("{}: {error}", event.event_id);
    let mut object = canonical::parse_object(event.pdu.get(), rules.json)
        .map_err(|error| named(error.to_string()))?;
    for field in ["depth", "origin_server_ts"] {
        if object.get(field).is_none() {
            object.insert(field.into(), Value::Integer(0));
        }
    }
    for field in ["auth_events", "prev_events"] {
        if object.get(field).is_none() {
            object.insert(field.into(), Value::Array(Vec::new()));
        }
    }
    let room_id = match object.get("room_id").and_then(Value::as_str) {
        Some(room_id) => RoomId::parse(room_id).map_err(|error| named(error.to_string()))?,
        None => id::room_of_create(&event.event_id).map_err(|error| named(error.to_string()))?,
    };
    let mut json = String::new();
    object.write(&mut json);
    Pdu::from_stored(event.event_id.clone(), room_id, json)
        .map_err(|error| named(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::answer;
    use serde_json::{Value, json};

    fn check(case: &Value, expected: &Value) {
        assert_eq!(answer(&case.to_string()), *expected, "{case}");
    }

    #[test]
    fn canonical() {
        check(
            &json!({ "op": "canonical", "json": "{ \"b\": 1, \"a\": \"\\u00e9\" }" }),
            &json!({ "canonical": "{\"a\":\"é\",\"b\":1}" }),
        );
        for bad in ["1.5", "{", "9007199254740992", "{\"a\":1,\"a\":2}"] {
            assert!(
                answer(&json!({ "op": "canonical", "json": bad }).to_string())["error"].is_string(),
                "{bad}"
            );
        }
    }

    #[test]
    fn stored_cases() {
        for line in include_str!("../tests/cases/resolve.jsonl").lines() {
            let case: Value = serde_json::from_str(line).unwrap();
            check(&case, &json!({ "state": case["state"] }));
        }
    }

    /// The event of the specification's appendix "Signed event examples".
    #[test]
    fn signed_event() {
        let pdu = json!({
            "auth_events": [], "content": {}, "depth": 3, "hashes": { "sha256": "5jM4wQpv6lnBo7CLIghJuHdW+s2CMBJPUOGOC89ncos" },
            "origin": "domain", "origin_server_ts": 1_000_000, "prev_events": [], "room_id": "!x:domain", "sender": "@a:domain",
            "signatures": { "domain": { "ed25519:1": "KxwGjPSDEtvnFgU00fwFz+l6d2pJM6XBIaMEn81SXPTRl16AqLAYqfIReFGZlHi5KLjAWbOoMszkwsQma+lYAg" } },
            "type": "X", "unsigned": { "age_ts": 1_000_000 },
        });
        let case = json!({ "op": "event", "room_version": "3", "pdu": pdu });
        assert_eq!(
            answer(&case.to_string())["content_hash"],
            "5jM4wQpv6lnBo7CLIghJuHdW+s2CMBJPUOGOC89ncos"
        );
        let verify = |pdu: &Value, at: u64| {
            let keys =
                json!({ "domain": { "ed25519:1": "XGX0JRS2Af3be3knz2fBiRbApjm2Dh61gXDJA8kcJNI" } });
            answer(&json!({ "op": "verify", "room_version": "6", "pdu": pdu, "keys": keys, "at_ts": at }).to_string())["verdict"].clone()
        };
        assert_eq!(verify(&pdu, 1_000_000), "ok");
        assert_eq!(verify(&pdu, 999_999), "reject");
        let mut other = pdu.clone();
        other["content"] = json!({ "body": "another" });
        assert_eq!(verify(&other, 1_000_000), "redact");
        other["depth"] = json!(4);
        assert_eq!(verify(&other, 1_000_000), "reject");
    }

    #[test]
    fn verdicts() {
        let events = json!([
            { "event_id": "$c:s", "pdu": { "type": "m.room.create", "state_key": "", "sender": "@a:s", "room_id": "!r:s", "content": { "creator": "@a:s" } } },
            { "event_id": "$j:s", "pdu": { "type": "m.room.member", "state_key": "@a:s", "sender": "@a:s", "room_id": "!r:s", "content": { "membership": "join" }, "auth_events": [["$c:s", {}]] } },
        ]);
        let topic = |sender: &str| json!({ "event_id": "$t:s", "pdu": { "type": "m.room.topic", "state_key": "", "sender": sender, "room_id": "!r:s", "content": {}, "auth_events": [["$c:s", {}], ["$j:s", {}]] } });
        let ask = |sender: &str, rejected: &[&str]| {
            answer(&json!({ "op": "auth", "room_version": "1", "events": events, "event": topic(sender), "against": ["$c:s", "$j:s"], "rejected": rejected }).to_string())
        };
        assert_eq!(ask("@a:s", &[]), json!({ "allowed": true, "reason": null }));
        assert_eq!(ask("@b:s", &[])["allowed"], false);
        assert_eq!(ask("@a:s", &["$j:s"])["allowed"], false);
    }
}
