//! `POST /_matrix/client/v3/user/{userId}/filter`

use ruma::api::client::filter::create_filter::v3::{Request, Response};
use serde_json::value::RawValue;
use web::{Asked, Guest, Matrix, Reply};

use crate::App;
use crate::own::own;

/// Keeps a filter. It was read as one before, and is kept as it came.
pub(crate) async fn post(
    who: Guest,
    asked: Asked,
    Matrix(ask): Matrix<Request>,
    app: App,
) -> Reply<Response> {
    own(&who, &ask.user_id)?;
    let filter: &RawValue = serde_json::from_slice(&asked.body)
        .map_err(|error| web::Error::bad_json(error.to_string()))?;
    Ok(Response::new(
        app.house.users.create_filter(&who.user_id, filter).await?,
    ))
}
