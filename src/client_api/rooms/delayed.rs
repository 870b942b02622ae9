//! Events that are sent later (MSC4140): `PUT …/send/…` and `PUT …/state/…` with a delay, and `/delayed_events`.

use std::time::Duration;

use actions::Identity;
use http::Request;
use rooms::delayed::{Later, Waiting};
use ruma::api::error::DeserializationError;
use ruma::api::{IncomingRequest, Metadata};
use serde::Serialize;
use serde_json::value::RawValue;
use web::{Asked, Authed, Error, JsonBytes, Reply};

use crate::{App, json};

/// The parameter by which an event is put off.
const DELAY: &str = "org.matrix.msc4140.delay";

/// A typed request that may ask for a delay. Asked once more by its transaction, it may come without its body.
#[derive(Debug, Clone)]
pub(crate) struct Delayable<R>(pub(crate) R);

impl<R: Metadata> Metadata for Delayable<R> {
    const METHOD: http::Method = R::METHOD;
    const RATE_LIMITED: bool = R::RATE_LIMITED;
    type Authentication = R::Authentication;
    type PathBuilder = R::PathBuilder;
    const PATH_BUILDER: R::PathBuilder = R::PATH_BUILDER;
}

impl<R: IncomingRequest> IncomingRequest for Delayable<R> {
    type EndpointError = R::EndpointError;
    type OutgoingResponse = R::OutgoingResponse;

    fn try_from_http_request_inner(
        request: Request<&[u8]>,
        path_args: &[&str],
    ) -> Result<Self, DeserializationError> {
        let (parts, mut body) = request.into_parts();
        let asks = parts.uri.query().is_some_and(|query| query.contains(DELAY));
        if body.is_empty() && asks {
            body = b"{}";
        }
        R::try_from_http_request_inner(Request::from_parts(parts, body), path_args).map(Self)
    }
}

#[derive(Serialize)]
struct Delayed {
    delay_id: String,
}

/// The delay that a request asks for.
pub(crate) fn asked_for(asked: &Asked) -> Result<Option<Duration>, Error> {
    let Some(text) = asked.parameter(DELAY) else {
        return Ok(None);
    };
    let millis = text
        .parse()
        .map_err(|_| Error::invalid_param("the delay is not a number of milliseconds"))?;
    Ok(Some(Duration::from_millis(millis)))
}

/// Puts an event off, as a request to send it asks.
pub(crate) async fn put_off(who: &Identity, later: Later, app: &App) -> Reply<JsonBytes> {
    let delay_id = actions::delay(&app.house, who, later).await?;
    json::answer(&Delayed { delay_id })
}

#[derive(Serialize)]
struct Answer {
    delayed_events: Vec<Told>,
}

#[derive(Serialize)]
struct Told {
    delay_id: String,
    room_id: String,
    #[serde(rename = "type")]
    event_type: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    state_key: Option<String>,
    delay: u64,
    running_since: u64,
    content: Box<RawValue>,
}

impl Told {
    fn of(waiting: Waiting) -> Result<Self, Error> {
        Ok(Self {
            delay_id: waiting.id,
            room_id: waiting.room_id,
            event_type: waiting.event_type,
            state_key: waiting.state_key,
            delay: waiting.delay,
            running_since: waiting.since,
            content: RawValue::from_string(waiting.content).map_err(Error::internal)?,
        })
    }
}

/// The user's events that wait.
pub(crate) async fn all(who: Authed, app: App) -> Reply<JsonBytes> {
    let waiting = app.house.rooms.delayed(&who.user_id).await?;
    let delayed_events: Result<_, Error> = waiting.into_iter().map(Told::of).collect();
    json::answer(&Answer {
        delayed_events: delayed_events?,
    })
}

/// Sends, restarts or cancels one, as the path says. Whoever knows the ID may: the client that put the event off may be gone.
pub(crate) async fn update(asked: Asked, app: App) -> Reply<JsonBytes> {
    let [id, action] = asked.args.as_slice() else {
        return Err(Error::not_found("There is no such delayed event"));
    };
    act(&app, id, action).await
}

/// The same, with the action in the body, as clients of before say it.
pub(crate) async fn update_old(asked: Asked, app: App) -> Reply<JsonBytes> {
    let [id] = asked.args.as_slice() else {
        return Err(Error::not_found("There is no such delayed event"));
    };
    let body = json::body(&asked.body)?;
    let action = body.get("action").and_then(serde_json::Value::as_str);
    let action = action.ok_or_else(|| Error::missing_param("the action is missing"))?;
    act(&app, id, action).await
}

async fn act(app: &App, id: &str, action: &str) -> Reply<JsonBytes> {
    let rooms = &app.house.rooms;
    match action {
        "send" => rooms.send_delayed(id).await?,
        "restart" => rooms.restart_delayed(id).await?,
        "cancel" => rooms.cancel_delayed(id).await?,
        _ => return Err(Error::not_found("There is no such action")),
    }
    Ok(JsonBytes::from("{}"))
}
