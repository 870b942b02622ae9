//! `GET /_matrix/client/v3/rooms/{roomId}/members`

use rooms::state::At;
use rooms::{EventNo, Membership, Order, Pos, Stored, timeline};
use ruma::api::client::membership::get_member_events::v3::Request;
use ruma::events::room::member::MembershipState;
use serde::Serialize;
use serde_json::value::RawValue;
use web::{Guest, JsonBytes, Matrix, Reply};

use crate::reading::{Reading, Result};
use crate::{App, json};

/// How many events of a room's beginning are looked at for a membership. It is the first or the second.
const FIRST: usize = 10;

#[derive(Serialize)]
struct Answer {
    chunk: Vec<Box<RawValue>>,
}

/// The memberships of a room, now or at a place in its past.
pub(crate) async fn get(who: Guest, Matrix(ask): Matrix<Request>, app: App) -> Reply<JsonBytes> {
    let reader = app.reader(&who)?;
    let sync = app.sync.clone();
    let chunk = app.read(move |s| {
        let reading = Reading::open(s, &sync, &reader, &ask.room_id)?;
        let at = match &ask.at {
            Some(token) => earlier(&reading, token)?,
            None => reading.state()?,
        };
        let wanted = Wanted {
            is: named(ask.membership.as_ref())?,
            is_not: named(ask.not_membership.as_ref())?,
        };
        reading.write(&memberships(&reading, &at, &wanted)?)
    });
    json::answer(&Answer {
        chunk: chunk.await?,
    })
}

/// The state at a place, which those who left can only ask for while they were there.
fn earlier(reading: &Reading<'_>, token: &str) -> Result<At> {
    reading.eyes.enter()?;
    let asked = Reading::place(token)?;
    let left = reading
        .eyes
        .standing()
        .filter(|standing| !standing.is_joined())
        .and_then(|standing| standing.left_at);
    let at = match left {
        Some(left) if !reading.eyes.is_peekable()? => asked.min(left),
        _ => asked,
    };
    if timeline::last_upto(reading.s, reading.room, at)?.is_some() {
        return Ok(At::position(reading.s, reading.room, at)?);
    }
    beginning(reading)
}

/// The state with the first membership of our timeline: what is meant by a place before it, such as the one that a sync gives which tells a
/// room from its beginning.
fn beginning(reading: &Reading<'_>) -> Result<At> {
    let first = timeline::page(
        reading.s,
        reading.room,
        Pos::ZERO,
        None,
        Order::Forward,
        FIRST,
    )?;
    let member = first
        .events
        .iter()
        .find(|event| event.membership().is_some());
    Ok(member.map_or(At::EMPTY, At::after))
}

/// Which memberships are asked for. Given both, either is enough.
struct Wanted {
    is: Option<Membership>,
    is_not: Option<Membership>,
}

impl Wanted {
    fn has(&self, membership: Option<Membership>) -> bool {
        match (self.is, self.is_not) {
            (None, None) => true,
            (Some(is), None) => membership == Some(is),
            (None, Some(is_not)) => membership != Some(is_not),
            (Some(is), Some(is_not)) => membership == Some(is) || membership != Some(is_not),
        }
    }

    fn is_everything(&self) -> bool {
        self.is.is_none() && self.is_not.is_none()
    }
}

fn named(word: Option<&MembershipState>) -> Result<Option<Membership>> {
    word.map(|word| {
        Membership::named(word.as_str())
            .ok_or_else(|| web::Error::invalid_param(format!("there is no membership {word}")))
    })
    .transpose()
}

fn memberships(reading: &Reading<'_>, at: &At, wanted: &Wanted) -> Result<Vec<EventNo>> {
    let mut found = Vec::new();
    for (key, event) in at.all(reading.s)? {
        if reading.s.state_key(key)?.0 != "m.room.member" {
            continue;
        }
        if wanted.is_everything() || wanted.has(Stored::get(reading.s, event)?.membership()) {
            found.push(event);
        }
    }
    Ok(found)
}
