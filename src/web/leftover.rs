//! What is left of a request's body when its answer is ready: whoever was refused before their body was read, or sent one where none
//! belongs. A connection cannot be used again while a body lies unread in it, so a small rest is read and thrown away; before a large
//! or slow one the client is told that the connection closes (RFC 9112, section 9.3).

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Error;
use axum::body::{Body, HttpBody};
use axum::extract::Request;
use axum::middleware::Next;
use axum::response::Response;
use bytes::Bytes;
use http::header::CONNECTION;
use http::{HeaderValue, Version};
use http_body::{Frame, SizeHint};
use http_body_util::BodyExt;
use tokio::sync::oneshot;

/// Bytes thrown away to keep a connection.
const SMALL: u64 = 256 * 1024;
/// How long the rest may take to come.
const SOON: Duration = Duration::from_secs(1);

/// A body that goes back to its connection if it is given up before its end.
struct Lent {
    body: Option<Body>,
    back: Option<oneshot::Sender<Body>>,
}

impl HttpBody for Lent {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        match &mut self.body {
            Some(body) => Pin::new(body).poll_frame(cx),
            None => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(HttpBody::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.body
            .as_ref()
            .map_or_else(SizeHint::default, HttpBody::size_hint)
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        if let (Some(body), Some(back)) = (self.body.take(), self.back.take())
            && !body.is_end_stream()
        {
            // Nobody takes it if the answer has gone out already; then the connection closes.
            let _ = back.send(body);
        }
    }
}

/// Answers a request and sees to the rest of its body.
pub(crate) async fn clear(request: Request, next: Next) -> Response {
    if request.body().is_end_stream() {
        return next.run(request).await;
    }
    let version = request.version();
    let (back, mut rest) = oneshot::channel();
    let request = request.map(|body| {
        Body::new(Lent {
            body: Some(body),
            back: Some(back),
        })
    });
    let mut answer = next.run(request).await;
    if let Ok(body) = rest.try_recv()
        && !throw_away(body).await
        && version < Version::HTTP_2
    {
        let close = HeaderValue::from_static("close");
        answer.headers_mut().insert(CONNECTION, close);
    }
    answer
}

/// Reads a small rest; false if it is not small, or does not come.
async fn throw_away(mut body: Body) -> bool {
    if body.size_hint().lower() > SMALL {
        return false;
    }
    let read = async {
        let mut bytes = 0;
        while let Some(frame) = body.frame().await {
            let Ok(frame) = frame else { return false };
            bytes += frame.data_ref().map_or(0, Bytes::len) as u64;
            if bytes > SMALL {
                return false;
            }
        }
        true
    };
    tokio::time::timeout(SOON, read).await.unwrap_or(false)
}
