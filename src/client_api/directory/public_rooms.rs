//! `GET /_matrix/client/v3/publicRooms` and `POST /_matrix/client/v3/publicRooms`

use rooms::directory::{self, Wanted};
use ruma::api::client::directory::{get_public_rooms, get_public_rooms_filtered};
use ruma::directory::RoomTypeFilter;
use ruma::{OwnedServerName, UInt};
use serde_json::json;
use web::{Asked, Authed, JsonBytes, Matrix, Reply};

use crate::{App, json};

/// The listed rooms, here or on another server.
pub(crate) async fn get(
    Matrix(ask): Matrix<get_public_rooms::v3::Request>,
    app: App,
) -> Reply<JsonBytes> {
    if let Some(server) = elsewhere(&app, ask.server) {
        let query = json!({ "since": ask.since, "limit": ask.limit });
        return their_page(&app, &server, query).await;
    }
    page(&app, ask.since, ask.limit, Wanted::default()).await
}

/// The listed rooms that fit, here or on another server.
pub(crate) async fn post(
    _who: Authed,
    asked: Asked,
    Matrix(ask): Matrix<get_public_rooms_filtered::v3::Request>,
    app: App,
) -> Reply<JsonBytes> {
    if let Some(server) = elsewhere(&app, ask.server) {
        return their_page(&app, &server, json::body(&asked.body)?.into()).await;
    }
    // No types at all means no choice among types.
    let room_types = Some(ask.filter.room_types).filter(|types| !types.is_empty());
    let wanted = Wanted {
        term: ask
            .filter
            .generic_search_term
            .filter(|term| !term.is_empty()),
        room_types: room_types.map(|types| types.into_iter().map(named).collect()),
        ..Wanted::default()
    };
    page(&app, ask.since, ask.limit, wanted).await
}

fn named(filter: RoomTypeFilter) -> Option<String> {
    match filter {
        RoomTypeFilter::Default => None,
        other => other.as_str().map(str::to_owned),
    }
}

fn elsewhere(app: &App, server: Option<OwnedServerName>) -> Option<OwnedServerName> {
    server.filter(|server| server != app.house.server_name())
}

async fn their_page(
    app: &App,
    server: &OwnedServerName,
    query: serde_json::Value,
) -> Reply<JsonBytes> {
    let page = actions::public_rooms_of(&app.house, server, query).await?;
    Ok(JsonBytes::from(page))
}

async fn page(
    app: &App,
    since: Option<String>,
    limit: Option<UInt>,
    mut wanted: Wanted,
) -> Reply<JsonBytes> {
    wanted.turn_to(since.as_deref(), limit.map(u64::from))?;
    let page = app.read(move |s| Ok(directory::shown(s, &wanted)?));
    json::answer(&page.await?)
}
