//! GET /_matrix/media/v3/{download,thumbnail}/…
//!
//! The unauthenticated endpoints are frozen unless the operator says otherwise: they serve what was uploaded before the freeze, which on this
//! server is nothing (client-server API, "Content repository", since 1.11).

use std::time::Duration;

use media::{MediaRef, Method, ThumbnailRequest};
use ruma::ServerName;
use web::{Asked, Error, Plain, Reply};

use super::{LONGEST_WAIT, file};
use crate::App;

/// How long a client waits that does not say.
const USUAL_WAIT: Duration = Duration::from_secs(20);

pub(crate) async fn download(asked: Asked, app: App) -> Reply<Plain> {
    let media = wanted(&asked, &app)?;
    let download = app.house.media.download(&media, wait(&asked)).await?;
    let filename = asked.args.get(2).filter(|name| !name.is_empty());
    Ok(Plain(file(download, filename.map(String::as_str))))
}

pub(crate) async fn thumbnail(asked: Asked, app: App) -> Reply<Plain> {
    let media = wanted(&asked, &app)?;
    let ask_for = ThumbnailRequest {
        width: pixels(&asked, "width")?,
        height: pixels(&asked, "height")?,
        method: match asked.parameter("method").as_deref() {
            Some("crop") => Method::Crop,
            _ => Method::Scale,
        },
    };
    let small = app
        .house
        .media
        .thumbnail(&media, ask_for, wait(&asked))
        .await?;
    Ok(Plain(file(small, None)))
}

fn wanted(asked: &Asked, app: &App) -> Result<MediaRef, Error> {
    if !app.house.media.serves_anybody() {
        return Err(Error::not_found(
            "Files are served to people who are signed in, at /_matrix/client/v1/media",
        ));
    }
    let [server, id, ..] = asked.args.as_slice() else {
        return Err(Error::not_found("There is no such file"));
    };
    let server = <&ServerName>::try_from(server.as_str())
        .map_err(|_| Error::invalid_param("This is no server name"))?;
    Ok(MediaRef::new(server, id)?)
}

fn wait(asked: &Asked) -> Duration {
    let asked = asked.parameter("timeout_ms");
    asked
        .and_then(|text| text.parse().ok())
        .map_or(USUAL_WAIT, Duration::from_millis)
        .min(LONGEST_WAIT)
}

fn pixels(asked: &Asked, name: &'static str) -> Result<u32, Error> {
    let text = asked
        .parameter(name)
        .ok_or_else(|| Error::missing_param(format!("{name} is missing")))?;
    // Larger than anything we make is as good as the number itself.
    text.parse::<u64>()
        .map(|number| u32::try_from(number).unwrap_or(u32::MAX))
        .map_err(|_| Error::invalid_param(format!("{name} is not a number of pixels")))
}
