//! `POST /_matrix/client/v3/rooms/{roomId}/report` and `POST /_matrix/client/v3/rooms/{roomId}/report/{eventId}`

use ruma::api::client::room::{report_content, report_room};
use web::{Authed, Matrix, Reply};

use crate::App;

/// Tells the administrators about a room.
pub(crate) async fn room(
    who: Authed,
    Matrix(ask): Matrix<report_room::v3::Request>,
    app: App,
) -> Reply<report_room::v3::Response> {
    actions::report::room(&app.house, &who, &ask.room_id, &ask.reason).await?;
    Ok(report_room::v3::Response::new())
}

/// Tells the administrators about an event.
pub(crate) async fn event(
    who: Authed,
    Matrix(ask): Matrix<report_content::v3::Request>,
    app: App,
) -> Reply<report_content::v3::Response> {
    actions::report::event(
        &app.house,
        &who,
        &ask.room_id,
        &ask.event_id,
        ask.reason.as_deref().unwrap_or_default(),
    )
    .await?;
    Ok(report_content::v3::Response::new())
}
