//! `GET /_matrix/client/v3/pushers` and `POST /_matrix/client/v3/pushers/set`

use ruma::api::client::push::set_pusher::v3::PusherAction;
use ruma::api::client::push::{get_pushers, set_pusher};
use serde::Serialize;
use serde_json::value::RawValue;
use users::pushers::NewPusher;
use web::{Asked, Authed, JsonBytes, Matrix, Reply};

use crate::{App, json};

#[derive(Serialize)]
struct Answer {
    pushers: Vec<Box<RawValue>>,
}

/// The user's pushers, as their clients set them.
pub(crate) async fn get(
    who: Authed,
    Matrix(_): Matrix<get_pushers::v3::Request>,
    app: App,
) -> Reply<JsonBytes> {
    let pushers = app.house.users.pushers(&who.user_id).await?;
    json::answer(&Answer {
        pushers: pushers.into_iter().map(|pusher| pusher.json).collect(),
    })
}

/// Sets a pusher, or removes it when its kind is null.
pub(crate) async fn set(
    who: Authed,
    asked: Asked,
    Matrix(ask): Matrix<set_pusher::v3::Request>,
    app: App,
) -> Reply<set_pusher::v3::Response> {
    match ask.action {
        PusherAction::Post(post) => {
            let ids = post.pusher.ids;
            let mut whole = json::body(&asked.body)?;
            whole.remove("append");
            let json = serde_json::value::to_raw_value(&whole).map_err(web::Error::internal)?;
            let new = NewPusher {
                app_id: ids.app_id,
                pushkey: ids.pushkey,
                json,
                append: post.append,
                enabled: true,
            };
            app.house
                .users
                .set_pusher(&who.user_id, &who.device_id, new)
                .await?;
        }
        PusherAction::Delete(ids) => {
            app.house
                .users
                .delete_pusher(&who.user_id, &ids.pushkey, &ids.app_id)
                .await?;
        }
        _ => {
            return Err(web::Error::invalid_param(
                "this cannot be done with a pusher",
            ));
        }
    }
    Ok(set_pusher::v3::Response::new())
}
