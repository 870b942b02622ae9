//! How a request gets to another server: the seam between what is asked and the network. `real.rs` is the network, `loopback.rs` the one of tests.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_util::future::BoxFuture;
use futures_util::stream::{BoxStream, Stream, StreamExt};
use http::{Request, Response};
use ruma::ServerName;

use crate::error::Result;
use crate::trace::Step;

/// A way to other servers. What it gives back is as the other server sent it: bounds are put around it by whoever asks.
pub trait Transport: Send + Sync + 'static {
    /// Sends a request to `server` and gives the head of its answer. The URI of the request is its path and query.
    fn send<'a>(
        &'a self,
        server: &'a ServerName,
        request: Request<Bytes>,
    ) -> BoxFuture<'a, Result<Response<Body>>>;

    /// How the server is found, step by step, as if it were asked for the first time.
    fn explain<'a>(&'a self, server: &'a ServerName) -> BoxFuture<'a, Vec<Step>>;
}

/// The body of an answer while it arrives.
pub struct Body(BoxStream<'static, Result<Bytes>>);

impl Body {
    /// What a stream gives.
    pub fn new(stream: impl Stream<Item = Result<Bytes>> + Send + 'static) -> Self {
        Self(stream.boxed())
    }

    /// A body that is there already.
    pub fn whole(bytes: Bytes) -> Self {
        Self::new(futures_util::stream::once(async { Ok(bytes) }))
    }
}

impl Stream for Body {
    type Item = Result<Bytes>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.0.as_mut().poll_next(cx)
    }
}

impl std::fmt::Debug for Body {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Body")
    }
}
