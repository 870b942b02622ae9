//! Files of ours for other servers: `multipart/mixed`, metadata first, then the file (SS "Content Repository").

pub(crate) mod download;
pub(crate) mod thumbnail;

use std::time::Duration;

use axum::body::Body;
use axum::response::Response;
use http::HeaderValue;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use media::{Download, MediaRef};
use web::Error;

use crate::App;

/// The longest that anybody waits for a file that has an address but has not arrived.
const LONGEST_WAIT: Duration = Duration::from_secs(60);
/// How long one waits who does not say.
const USUAL_WAIT: Duration = Duration::from_secs(20);

/// The address of a file of ours.
fn own(app: &App, id: &str) -> Result<MediaRef, Error> {
    Ok(MediaRef::new(app.house.server_name(), id)?)
}

fn wait(timeout_ms: Option<u64>) -> Duration {
    timeout_ms.map_or(USUAL_WAIT, |millis| {
        Duration::from_millis(millis).min(LONGEST_WAIT)
    })
}

/// The file in its envelope, streamed from disk.
fn enveloped(app: &App, download: Download) -> Result<Response, Error> {
    let envelope = app.house.media.envelope(download);
    let (content_type, length) = (envelope.content_type.clone(), envelope.length);
    let mut response = Response::new(Body::from_stream(envelope.into_stream()));
    let to = response.headers_mut();
    to.insert(
        CONTENT_TYPE,
        HeaderValue::try_from(content_type).map_err(Error::internal)?,
    );
    to.insert(CONTENT_LENGTH, HeaderValue::from(length));
    Ok(response)
}
