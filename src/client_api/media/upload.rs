//! POST /_matrix/media/v3/upload and PUT /_matrix/media/v3/upload/{serverName}/{mediaId}
//!
//! Bodies are read while they arrive, so these are not ruma's request types, which hold a whole file in memory.

use media::MediaRef;
use ruma::ServerName;
use ruma::api::client::media::create_content;
use web::{Asked, Authed, Error, JsonBytes, Reply, Upload};

use crate::App;

pub(crate) async fn post(
    who: Authed,
    asked: Asked,
    body: Upload,
    app: App,
) -> Reply<create_content::v3::Response> {
    let about = about(&asked, &body);
    let media = app.house.media.upload(&who.user_id, about, body).await?;
    Ok(create_content::v3::Response::new(media.uri().into()))
}

pub(crate) async fn put(who: Authed, asked: Asked, body: Upload, app: App) -> Reply<JsonBytes> {
    let [server, id] = asked.args.as_slice() else {
        return Err(Error::not_found("There is no such upload"));
    };
    let server = <&ServerName>::try_from(server.as_str())
        .map_err(|_| Error::invalid_param("This is no server name"))?;
    let media = MediaRef::new(server, id)?;
    let about = about(&asked, &body);
    app.house
        .media
        .fill(&who.user_id, &media, about, body)
        .await?;
    Ok(JsonBytes::from("{}"))
}

fn about(asked: &Asked, body: &Upload) -> media::Upload {
    media::Upload {
        content_type: body.content_type.clone(),
        filename: asked.parameter("filename"),
        length: body.length,
    }
}
