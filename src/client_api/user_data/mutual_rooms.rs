//! `GET /_matrix/client/v1/mutual_rooms`

use rooms::members;
use ruma::api::client::membership::get_mutual_rooms::{unstable, v1};
use ruma::{OwnedRoomId, UInt, UserId};
use web::{Authed, Matrix, Reply};

use crate::App;

/// The rooms that the user shares with another one.
pub(crate) async fn get(
    who: Authed,
    Matrix(ask): Matrix<v1::Request>,
    app: App,
) -> Reply<v1::Response> {
    let joined = shared(&who, &ask.user_id, &app).await?;
    Ok(v1::Response::new(
        UInt::try_from(joined.len()).unwrap_or(UInt::MAX),
        joined,
    ))
}

/// The same under the path that clients ask today, whose answer has no count.
pub(crate) async fn get_unstable(
    who: Authed,
    Matrix(ask): Matrix<unstable::Request>,
    app: App,
) -> Reply<unstable::Response> {
    Ok(unstable::Response::new(
        shared(&who, &ask.user_id, &app).await?,
    ))
}

async fn shared(
    who: &users::Identity,
    other: &UserId,
    app: &App,
) -> Result<Vec<OwnedRoomId>, web::Error> {
    if who.user_id == other {
        return Err(web::Error::invalid_param(
            "everybody shares all rooms with themselves",
        ));
    }
    let (user, other) = (who.user_no(), other.to_owned());
    app.read(move |s| {
        let Some(other) = s.user_no(&other)? else {
            return Ok(Vec::new());
        };
        let shared = members::shared(s, user, other)?;
        shared
            .into_iter()
            .map(|room| Ok(s.room_id(room)?))
            .collect()
    })
    .await
}
