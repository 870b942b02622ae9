//! What survives a redaction (room versions, *Redactions*). Signatures and reference hashes cover the redacted event.

use crate::canonical::{self, Object, Value};
use crate::error::Error;
use crate::rules::{Json, RedactionRules, Rules};

/// The canonical JSON that remains of an event.
pub fn redact(json: &str, rules: &Rules) -> Result<String, Error> {
    // What we hold was accepted before; a strict room holds nothing that the lax parser reads differently.
    let event = canonical::parse_object(json, Json::Lax)?;
    let mut out = String::with_capacity(json.len());
    write_redacted(&event, rules, |_| true, &mut out)?;
    Ok(out)
}

/// Writes what remains of an event, leaving out the fields that are not wanted.
pub(crate) fn write_redacted(
    event: &Object<'_>,
    rules: &Rules,
    wanted: impl Fn(&str) -> bool,
    out: &mut String,
) -> Result<(), Error> {
    let event_type = event
        .get("type")
        .and_then(Value::as_str)
        .ok_or(Error::field("type", "is not a string"))?;
    let mut separator = '{';
    for (key, value) in event
        .iter()
        .filter(|(key, _)| keeps_field(key, &rules.redaction) && wanted(key))
    {
        out.push(separator);
        separator = ',';
        canonical::write_string(key, out);
        out.push(':');
        match value {
            Value::Object(content) if key == "content" => {
                write_content(event_type, content, &rules.redaction, out);
            }
            value => value.write(out),
        }
    }
    out.push_str(if separator == '{' { "{}" } else { "}" });
    Ok(())
}

/// Whether a field of the event itself survives.
pub(crate) fn keeps_field(field: &str, rules: &RedactionRules) -> bool {
    match field {
        "event_id" | "type" | "room_id" | "sender" | "state_key" | "content" | "hashes"
        | "signatures" | "depth" | "prev_events" | "auth_events" | "origin_server_ts" => true,
        "origin" | "membership" | "prev_state" => rules.keeps_origin,
        _ => false,
    }
}

/// Writes what remains of a content.
pub(crate) fn write_content(
    event_type: &str,
    content: &Object<'_>,
    rules: &RedactionRules,
    out: &mut String,
) {
    if event_type == "m.room.member" && rules.keeps_signed_invite {
        write_member(content, rules, out);
    } else {
        content.write_some(out, |key| keeps_content(event_type, key, rules));
    }
}

fn keeps_content(event_type: &str, key: &str, rules: &RedactionRules) -> bool {
    match (event_type, key) {
        ("m.room.member", "membership")
        | ("m.room.join_rules", "join_rule")
        | ("m.room.history_visibility", "history_visibility")
        | (
            "m.room.power_levels",
            "ban" | "events" | "events_default" | "kick" | "redact" | "state_default" | "users"
            | "users_default",
        ) => true,
        ("m.room.create", key) => rules.keeps_create || key == "creator",
        ("m.room.member", "join_authorised_via_users_server") => rules.keeps_authorising_user,
        ("m.room.join_rules", "allow") => rules.keeps_allow,
        ("m.room.power_levels", "invite") => rules.keeps_invite_level,
        ("m.room.aliases", "aliases") => rules.keeps_aliases,
        ("m.room.redaction", "redacts") => rules.keeps_redacts,
        _ => false,
    }
}

/// A member event also keeps `signed` of an object under `third_party_invite`, and nothing of anything else there.
fn write_member(content: &Object<'_>, rules: &RedactionRules, out: &mut String) {
    let Some(Value::Object(invite)) = content.get("third_party_invite") else {
        content.write_some(out, |key| keeps_content("m.room.member", key, rules));
        return;
    };
    // `third_party_invite` sorts behind all that is kept.
    let start = out.len();
    content.write_some(out, |key| keeps_content("m.room.member", key, rules));
    out.pop();
    if out.len() > start + 1 {
        out.push(',');
    }
    out.push_str("\"third_party_invite\":");
    invite.write_some(out, |key| key == "signed");
    out.push('}');
}

#[cfg(test)]
mod tests;
