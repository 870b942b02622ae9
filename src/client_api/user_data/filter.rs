//! `GET /_matrix/client/v3/user/{userId}/filter/{filterId}`

use ruma::api::client::filter::get_filter::v3::Request;
use web::{Guest, JsonBytes, Matrix, Reply};

use crate::own::own;
use crate::{App, json};

/// A filter that was kept.
pub(crate) async fn get(who: Guest, Matrix(ask): Matrix<Request>, app: App) -> Reply<JsonBytes> {
    own(&who, &ask.user_id)?;
    json::answer(&app.house.users.filter(&who.user_id, &ask.filter_id).await?)
}
