//! What a push gateway is told (push gateway API, `POST /_matrix/push/v1/notify`): as much of an event as the pusher's format says.

use rooms::{Stored, members, summary};
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};
use store::rows::users::Push;
use store::{Snapshot, UserNo};
use users::pushers::Pusher;

use crate::error::{Error, Result};

/// What to send, and where.
pub(super) struct Notification {
    /// The pusher's URL.
    pub(super) url: String,
    /// The request's body.
    pub(super) body: String,
}

/// Whether there is anything to tell.
pub(super) enum Told {
    /// This.
    This(Notification),
    /// Nothing any more.
    Nothing,
    /// Nothing ever: the pusher is none for a gateway.
    Never,
}

/// What of a pusher matters here.
#[derive(Deserialize)]
struct Kept {
    kind: Option<String>,
    #[serde(default)]
    data: Map<String, Value>,
}

/// What a pusher's gateway is told.
pub(super) fn of(s: &Snapshot, user: UserNo, pusher: &Pusher, push: &Push) -> Result<Told> {
    let Ok(Kept { kind, mut data }) = serde_json::from_str::<Kept>(pusher.json.get()) else {
        return Ok(Told::Never);
    };
    let url = data.remove("url");
    let (Some("http"), Some(Value::String(url))) = (kind.as_deref(), url) else {
        return Ok(Told::Never);
    };
    let is_brief = data.get("format").and_then(Value::as_str) == Some("event_id_only");
    let mut device = Map::new();
    put(&mut device, "app_id", pusher.app_id.as_str());
    put(&mut device, "pushkey", pusher.pushkey.as_str());
    put(&mut device, "pushkey_ts", pusher.created / 1000);
    put(&mut device, "data", Value::Object(data));
    let mut notification = Map::new();
    // A number of zero is said all the same: a gateway that is not told one leaves the badge as it is.
    put(
        &mut notification,
        "counts",
        json!({ "unread": push.unread }),
    );
    put(&mut notification, "prio", "low");
    if let Some(event) = push.event {
        let event = match Stored::get(s, event) {
            Ok(event) if event.redacted_by().is_none() => event,
            // Taken back meanwhile.
            Ok(_) | Err(rooms::Error::Bug(_)) => return Ok(Told::Nothing),
            Err(error) => return Err(error.into()),
        };
        let mut tweaks = Map::new();
        if let Some(sound) = &push.sound {
            put(&mut tweaks, "sound", sound.as_str());
        }
        if push.highlight {
            put(&mut tweaks, "highlight", true);
        }
        // What is encrypted may be anything; only the client can find out.
        if !tweaks.is_empty() || event.event_type() == "m.room.encrypted" {
            put(&mut notification, "prio", "high");
        }
        put(&mut device, "tweaks", Value::Object(tweaks));
        put(&mut notification, "event_id", event.event_id());
        let room_id = s.room_id(event.room())?;
        put(&mut notification, "room_id", room_id.as_str());
        if !is_brief {
            describe(s, user, &event, &mut notification)?;
        }
    }
    let devices = vec![Value::Object(device)];
    put(&mut notification, "devices", devices);
    let body = json!({ "notification": notification }).to_string();
    Ok(Told::This(Notification { url, body }))
}

fn put(object: &mut Map<String, Value>, name: &str, value: impl Into<Value>) {
    object.insert(name.to_owned(), value.into());
}

/// Adds what the event says, and where it was said.
fn describe(
    s: &Snapshot,
    user: UserNo,
    event: &Stored,
    into: &mut Map<String, Value>,
) -> Result<()> {
    let content: &RawValue = serde_json::from_str(event.content_str())
        .map_err(|_| Error::Bug("a stored event whose content is no JSON"))?;
    put(into, "content", json!(content));
    put(into, "type", event.event_type().into_owned());
    put(into, "sender", event.sender().into_owned());
    let sender = members::standing(s, event.room(), event.sender_no())?;
    if let Some(name) = sender.and_then(|sender| sender.display_name) {
        put(into, "sender_display_name", name);
    }
    let summary = summary::of(s, event.room())?;
    if let Some(name) = summary.name {
        put(into, "room_name", name);
    }
    if let Some(alias) = summary.canonical_alias {
        put(into, "room_alias", alias);
    }
    if event.membership().is_some() {
        let is_target = event.state_key().as_deref() == Some(s.user_id(user)?.as_str());
        put(into, "user_is_target", is_target);
    }
    Ok(())
}
