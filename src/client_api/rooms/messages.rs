//! `GET /_matrix/client/v3/rooms/{roomId}/messages`

use std::sync::Arc;

use http::Uri;
use rooms::dag::gaps;
use rooms::state::At;
use rooms::{Order, Pos, Stored, timeline};
use ruma::api::Direction;
use ruma::api::client::filter::LazyLoadOptions;
use ruma::api::client::message::get_message_events::v3::Request;
use ruma::api::error::DeserializationError;
use ruma::api::{IncomingRequest, Metadata};
use serde::Serialize;
use serde_json::value::RawValue;
use sync::filter::{Events, Relations};
use sync::token::Place;
use web::{Guest, JsonBytes, Matrix, Reply};

use crate::reading::{Reading, Result};
use crate::{App, json};

/// How many events one answer has at most.
const MOST: usize = 1000;
/// How many events are looked at for one answer. What a filter leaves out costs as much as what it lets through.
const MOST_LOOKED_AT: usize = 5000;
/// How many events are read at a time, at least.
const STRIDE: usize = 16;

#[derive(Serialize)]
struct Answer {
    chunk: Vec<Box<RawValue>>,
    start: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    end: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    state: Vec<Box<RawValue>>,
}

/// A stretch of a room's history, in either direction.
pub(crate) async fn get(who: Guest, Matrix(ask): Matrix<Ask>, app: App) -> Reply<JsonBytes> {
    let reader = app.reader(&who)?;
    let sync = app.sync.clone();
    let rooms = app.house.rooms.clone();
    let (room_id, reader) = (ask.request.room_id.clone(), Arc::new(reader));
    let read = async |ask: Ask| {
        let (sync, reader) = (sync.clone(), Arc::clone(&reader));
        let answer = app.read(move |s| {
            let reading = Reading::enter(s, &sync, &reader, &ask.request.room_id)?;
            // Who may not look in is told that, whatever else is wrong with the question.
            if !ask.has_direction {
                return Err(web::Error::missing_param("dir: the direction is missing"));
            }
            page(&reading, ask)
        });
        answer.await
    };
    let (mut answer, hole) = read(ask.clone()).await?;
    if let Some((from, limit)) = hole
        && rooms.backfill(&room_id, from, limit).await?
    {
        (answer, _) = read(ask).await?;
    }
    json::answer(&answer)
}

/// Where somebody who read back from there, and so far, has met events that are still with other servers.
type Hole = Option<(Pos, usize)>;

/// The request, with what the typed one does not have: the relations that a filter chooses (MSC3874).
#[derive(Debug, Clone)]
pub(crate) struct Ask {
    request: Request,
    has_direction: bool,
    relations: Relations,
}

impl Metadata for Ask {
    const METHOD: http::Method = <Request as Metadata>::METHOD;
    const RATE_LIMITED: bool = <Request as Metadata>::RATE_LIMITED;
    type Authentication = <Request as Metadata>::Authentication;
    type PathBuilder = <Request as Metadata>::PathBuilder;
    const PATH_BUILDER: Self::PathBuilder = <Request as Metadata>::PATH_BUILDER;
}

impl IncomingRequest for Ask {
    type EndpointError = <Request as IncomingRequest>::EndpointError;
    type OutgoingResponse = <Request as IncomingRequest>::OutgoingResponse;

    fn try_from_http_request_inner(
        mut request: http::Request<&[u8]>,
        path_args: &[&str],
    ) -> std::result::Result<Self, DeserializationError> {
        let query = request.uri().query().unwrap_or_default().to_owned();
        let pairs: Vec<(String, String)> = serde_html_form::from_str(&query)?;
        let value = |name: &str| pairs.iter().find(|(key, _)| key == name);
        let relations = match value("filter") {
            Some((_, filter)) => Relations::of(filter)?,
            None => Relations::default(),
        };
        let has_direction = value("dir").is_some();
        if !has_direction {
            let whole = format!("{}?dir=b&{query}", request.uri().path());
            *request.uri_mut() = Uri::try_from(whole).unwrap_or_default();
        }
        Ok(Self {
            request: Request::try_from_http_request_inner(request, path_args)?,
            has_direction,
            relations,
        })
    }
}

fn page(reading: &Reading<'_>, ask: Ask) -> Result<(Answer, Hole)> {
    let Ask {
        request: ask,
        relations,
        ..
    } = ask;
    let order = if ask.dir == Direction::Forward {
        Order::Forward
    } else {
        Order::Backward
    };
    let from = match &ask.from {
        Some(token) => Reading::place(token)?,
        None if order == Order::Forward => Pos::ZERO,
        None => latest(reading)?,
    };
    let to = ask.to.as_deref().map(Reading::place).transpose()?;
    let lazy = !matches!(ask.filter.lazy_load_options, LazyLoadOptions::Disabled);
    let limit = usize::try_from(u64::from(ask.limit))
        .unwrap_or(MOST)
        .min(MOST);
    let filter = Events::from(ask.filter).related(relations);

    let stretch = if filter.has_room(&ask.room_id) {
        gather(
            reading,
            &filter,
            Stretch {
                from,
                to,
                order,
                limit,
            },
        )?
    } else {
        Gathered {
            events: Vec::new(),
            next: None,
        }
    };
    let state = match stretch.events.first() {
        Some(first) if lazy => reading.senders(&At::after(first), &stretch.events)?,
        _ => Vec::new(),
    };
    let numbers: Vec<_> = stretch.events.iter().map(Stored::no).collect();
    let oldest = stretch.next.unwrap_or(Pos::ZERO);
    let hole = match order {
        Order::Backward => gaps::last_within(reading.s, reading.room, oldest, from.next())?,
        Order::Forward => None,
    };
    // Before the beginning of what we have there may be more, another time; who reads from there on and finds nothing is done.
    let before = hole.filter(|_| !numbers.is_empty());
    let next = stretch.next.or(before.map(|(pos, _)| pos.previous()));
    let answer = Answer {
        chunk: reading.write(&numbers)?,
        start: ask.from.unwrap_or_else(|| Place(from).to_string()),
        end: next.map(|next| Place(next).to_string()),
        state: reading.write(&state)?,
    };
    Ok((answer, hole.map(|_| (from, limit))))
}

/// Where history ends for this reader.
pub(super) fn latest(reading: &Reading<'_>) -> Result<Pos> {
    let left = reading
        .eyes
        .standing()
        .filter(|standing| !standing.is_joined())
        .and_then(|standing| standing.left_at);
    match left {
        Some(left) if !reading.eyes.is_peekable()? => Ok(left),
        _ => Ok(reading.s.head()),
    }
}

/// Which part of a timeline to look through.
#[derive(Clone, Copy)]
pub(crate) struct Stretch {
    pub(crate) from: Pos,
    pub(crate) to: Option<Pos>,
    pub(crate) order: Order,
    pub(crate) limit: usize,
}

/// What was found in it.
pub(crate) struct Gathered {
    pub(crate) events: Vec<Stored>,
    /// Where to go on; none if the timeline ends there.
    pub(crate) next: Option<Pos>,
}

/// Looks through a stretch until there are enough events that may be told.
pub(crate) fn gather(reading: &Reading<'_>, filter: &Events, stretch: Stretch) -> Result<Gathered> {
    let Stretch {
        mut from,
        to,
        order,
        limit,
    } = stretch;
    let mut events = Vec::with_capacity(limit.min(128));
    let (mut looked_at, mut last_place) = (0, None);
    if limit == 0 {
        return Ok(Gathered {
            events,
            next: Some(from),
        });
    }
    loop {
        let page = timeline::page(
            reading.s,
            reading.room,
            from,
            to,
            order,
            (limit - events.len()).max(STRIDE),
        )?;
        looked_at += page.events.len();
        let last = page.events.len();
        for (number, event) in page.events.into_iter().enumerate() {
            let behind = event.pos().map(|pos| {
                if order == Order::Forward {
                    pos
                } else {
                    pos.previous()
                }
            });
            last_place = behind;
            if reading.tells(&event, filter)? {
                events.push(event);
            }
            if events.len() == limit {
                let next = if number + 1 == last {
                    page.next
                } else {
                    behind
                };
                return Ok(Gathered { events, next });
            }
        }
        match page.next {
            Some(next) if looked_at < MOST_LOOKED_AT => from = next,
            // Clients that choose events take a page with some for one that has another behind it, even at the end.
            None if !events.is_empty() && !filter.is_everything() => {
                let next = last_place.or(Some(from));
                return Ok(Gathered { events, next });
            }
            next => return Ok(Gathered { events, next }),
        }
    }
}
