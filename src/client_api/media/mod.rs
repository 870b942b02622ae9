//! Content repository: uploads, downloads, thumbnails. What a file may do in a browser is decided in the crate `media`; here its
//! decisions become headers.

pub(crate) mod config;
pub(crate) mod create;
pub(crate) mod download;
pub(crate) mod legacy;
pub(crate) mod thumbnail;
pub(crate) mod upload;

use std::time::Duration;

use axum::body::Body;
use axum::response::Response;
use http::HeaderValue;
use http::header::{
    CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_LENGTH, CONTENT_SECURITY_POLICY, CONTENT_TYPE,
    X_CONTENT_TYPE_OPTIONS,
};
use media::Download;
use media::headers;

/// The longest that anybody waits for a file that has an address but has not arrived.
const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// A file as an answer, streamed from disk, with headers under which a browser does nothing but show it.
fn file(download: Download, filename: Option<&str>) -> Response {
    let content_type = headers::content_type(download.content_type.as_deref()).to_owned();
    let disposition = headers::content_disposition(
        Some(&content_type),
        filename.or(download.filename.as_deref()),
    );
    let mut response = Response::new(Body::from_stream(download.body.into_stream()));
    let to = response.headers_mut();
    let text = |text: String| {
        HeaderValue::try_from(text).unwrap_or_else(|_| HeaderValue::from_static("attachment"))
    };
    to.insert(CONTENT_TYPE, text(content_type));
    to.insert(CONTENT_DISPOSITION, text(disposition));
    to.insert(CONTENT_LENGTH, HeaderValue::from(download.size));
    to.insert(
        CONTENT_SECURITY_POLICY,
        HeaderValue::from_static(headers::CONTENT_SECURITY_POLICY),
    );
    to.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    to.insert(
        "cross-origin-resource-policy",
        HeaderValue::from_static("cross-origin"),
    );
    // An address never changes its file.
    to.insert(
        CACHE_CONTROL,
        HeaderValue::from_static("private, max-age=31536000, immutable"),
    );
    response
}
