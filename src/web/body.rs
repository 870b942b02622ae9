//! Bodies: read within limits of size, time and depth, then turned into types.

use std::any::TypeId;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, HttpBody};
use bytes::{Bytes, BytesMut};
use futures_util::Stream;
use http::Method;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use ruma::api::auth_scheme::{
    AccessToken, AccessTokenOptional, AppserviceToken, AppserviceTokenOptional,
};
use ruma::api::path_builder::PathBuilder;
use ruma::api::{IncomingRequest, IncomingRequestExt};
use serde::de::DeserializeOwned;
use tokio::time::{Instant, Sleep};

use crate::auth::Need;
use crate::errors::Error;
use crate::handler::Endpoint;
use crate::part::{Incoming, Part};

/// How deep JSON may be nested. Events come nowhere near it.
const DEPTH: usize = 128;
/// How long a streamed body may pause.
const PAUSE: Duration = Duration::from_secs(30);

/// A request as ruma types it. Names the endpoint.
#[derive(Clone, Debug)]
pub struct Matrix<R>(pub R);

impl<A, R> Part<A> for Matrix<R>
where
    R: IncomingRequest + Send,
    R::Authentication: 'static,
{
    const NAMES: bool = true;

    fn endpoint() -> Option<Endpoint> {
        Some(Endpoint {
            method: R::METHOD,
            paths: R::PATH_BUILDER.all_paths().collect(),
            need: need::<R::Authentication>(),
        })
    }

    fn take(incoming: &mut Incoming, _: &A) -> Result<Self, Error> {
        let args = incoming.args();
        // Some clients send nothing where there is nothing to say. Most of ruma's requests take that for an object; all are to.
        let body: &[u8] = if incoming.body.is_empty() {
            b"{}"
        } else {
            &incoming.body
        };
        let mut request = http::Request::new(body);
        *request.method_mut() = incoming.parts.method.clone();
        *request.uri_mut() = incoming.parts.uri.clone();
        *request.headers_mut() = incoming.parts.headers.clone();
        R::try_from_http_request(request, &args)
            .map(Self)
            .map_err(|error| Error::unreadable(error, &incoming.body))
    }
}

/// What a scheme of ruma's asks of the token.
fn need<S: 'static>() -> Need {
    let scheme = TypeId::of::<S>();
    if scheme == TypeId::of::<AccessToken>() || scheme == TypeId::of::<AppserviceToken>() {
        Need::Token
    } else if scheme == TypeId::of::<AccessTokenOptional>()
        || scheme == TypeId::of::<AppserviceTokenOptional>()
    {
        Need::Optional
    } else {
        Need::Nothing
    }
}

/// A JSON body of our own type, for endpoints that ruma does not know. An empty body counts as an empty object.
#[derive(Clone, Debug)]
pub struct Json<T>(pub T);

impl<A, T: DeserializeOwned + Send> Part<A> for Json<T> {
    fn take(incoming: &mut Incoming, _: &A) -> Result<Self, Error> {
        let body: &[u8] = if incoming.body.is_empty() {
            b"{}"
        } else {
            &incoming.body
        };
        serde_json::from_slice(body)
            .map(Self)
            .map_err(|error| match error.is_data() {
                true => Error::misshapen(&error),
                false => Error::not_json(error.to_string()),
            })
    }
}

/// A body that is read while it arrives, for files. Fails if it grows beyond what was allowed, or stops coming.
pub struct Upload {
    body: Body,
    pause: Pin<Box<Sleep>>,
    left: Option<u64>,
    /// The `Content-Type` the client gave.
    pub content_type: Option<String>,
    /// The `Content-Length` the client gave.
    pub length: Option<u64>,
}

impl Upload {
    /// Fails once more than `most` bytes have come.
    #[must_use]
    pub fn limited(mut self, most: u64) -> Self {
        self.left = Some(most);
        self
    }
}

impl<A> Part<A> for Upload {
    const STREAMS: bool = true;

    fn take(incoming: &mut Incoming, _: &A) -> Result<Self, Error> {
        let header = |name| {
            incoming
                .parts
                .headers
                .get(name)
                .and_then(|value| value.to_str().ok())
        };
        let content_type = header(CONTENT_TYPE).map(str::to_owned);
        let length = header(CONTENT_LENGTH).and_then(|length| length.parse().ok());
        let body = incoming.stream.take().unwrap_or_default();
        Ok(Self {
            body,
            pause: Box::pin(tokio::time::sleep(PAUSE)),
            left: None,
            content_type,
            length,
        })
    }
}

impl Stream for Upload {
    type Item = Result<Bytes, Error>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        loop {
            let Poll::Ready(frame) = Pin::new(&mut this.body).poll_frame(cx) else {
                return this
                    .pause
                    .as_mut()
                    .poll(cx)
                    .map(|()| Some(Err(Error::too_slow())));
            };
            let deadline = Instant::now() + PAUSE;
            this.pause.as_mut().reset(deadline);
            let Some(frame) = frame else {
                return Poll::Ready(None);
            };
            let data = match frame {
                Ok(frame) => frame.into_data(),
                Err(_) => return Poll::Ready(Some(Err(Error::broken_off()))),
            };
            // Trailers are of no interest.
            let Ok(data) = data else { continue };
            if let Some(left) = &mut this.left {
                match left.checked_sub(data.len() as u64) {
                    Some(less) => *left = less,
                    None => {
                        return Poll::Ready(Some(Err(Error::too_large(
                            "The file is larger than this server allows",
                        ))));
                    }
                }
            }
            return Poll::Ready(Some(Ok(data)));
        }
    }
}

impl std::fmt::Debug for Upload {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Upload")
            .field("content_type", &self.content_type)
            .field("length", &self.length)
            .finish_non_exhaustive()
    }
}

/// Reads a body whole, within `most` bytes and `time`, and makes sure that no reader of it can be led too deep.
pub(crate) async fn read(
    body: Body,
    method: &Method,
    most: usize,
    time: Duration,
) -> Result<Bytes, Error> {
    if method == Method::GET || method == Method::HEAD || body.is_end_stream() {
        return Ok(Bytes::new());
    }
    let bytes = match tokio::time::timeout(time, collect(body, most)).await {
        Ok(bytes) => bytes?,
        Err(_) => return Err(Error::too_slow()),
    };
    if too_deep(&bytes) {
        Err(Error::bad_json(format!(
            "The JSON is nested more than {DEPTH} levels deep"
        )))
    } else {
        Ok(bytes)
    }
}

/// A small body arrives in one piece, and is not copied.
async fn collect(body: Body, most: usize) -> Result<Bytes, Error> {
    let mut body = Limited::new(body, most);
    let mut first = Bytes::new();
    let mut rest = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| match error.is::<LengthLimitError>() {
            true => Error::too_large(format!("The request is larger than {most} bytes")),
            false => Error::broken_off(),
        })?;
        let Ok(data) = frame.into_data() else {
            continue;
        };
        if first.is_empty() {
            first = data;
        } else {
            if rest.is_empty() {
                rest.extend_from_slice(&first);
            }
            rest.extend_from_slice(&data);
        }
    }
    Ok(if rest.is_empty() {
        first
    } else {
        rest.freeze()
    })
}

/// Whether brackets are nested deeper than allowed anywhere. Parsers of ours that keep a part of the body unparsed would not notice.
fn too_deep(json: &[u8]) -> bool {
    // A body can only be as deep as it has opening brackets.
    let mut depth = 0_usize;
    let mut bytes = json.iter();
    while let Some(byte) = bytes.next() {
        match byte {
            b'{' | b'[' => {
                depth += 1;
                if depth > DEPTH {
                    return true;
                }
            }
            b'}' | b']' => depth = depth.saturating_sub(1),
            b'"' => skip_string(&mut bytes),
            _ => {}
        }
    }
    false
}

fn skip_string(bytes: &mut std::slice::Iter<'_, u8>) {
    while let Some(byte) = bytes.next() {
        match byte {
            b'\\' => {
                bytes.next();
            }
            b'"' => return,
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn depth_is_counted_outside_of_texts() {
        assert!(!too_deep("[".repeat(128).as_bytes()));
        assert!(too_deep("[".repeat(129).as_bytes()));
        assert!(too_deep("{\"a\":".repeat(129).as_bytes()));
        assert!(!too_deep("[]".repeat(1000).as_bytes()));
        assert!(!too_deep(
            format!("{{\"a\":\"\\\"{}\"}}", "[".repeat(1000)).as_bytes()
        ));
        assert!(!too_deep(b"\"unfinished \\"));
    }
}
