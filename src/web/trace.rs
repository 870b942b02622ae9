//! What is noted about a request: a number, the method, the endpoint as it stands in the list, the status and the time. Never the query string,
//! which may hold a token, and never the path itself, which holds names.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::response::Response;
use http::Method;
use tracing::{Span, debug, info_span};

use crate::answer::Reply;
use crate::site::Web;

/// A request under way.
pub(crate) struct Trace {
    span: Span,
    start: Duration,
}

impl Trace {
    pub(crate) fn begin(web: &Web, method: &Method, path: &'static str) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        let id = NEXT.fetch_add(1, Ordering::Relaxed);
        let span = info_span!("request", id, method = method.as_str(), path);
        Self {
            span,
            start: web.inner.clock.monotonic(),
        }
    }

    /// What is logged inside belongs to this request.
    pub(crate) fn span(&self) -> Span {
        self.span.clone()
    }

    /// Turns an error into its answer, and notes how it went.
    pub(crate) fn end(&self, web: &Web, answer: Reply<Response>) -> Response {
        let response = answer.unwrap_or_else(|error| {
            debug!(parent: &self.span, %error, "refused");
            error.into_response()
        });
        let time = web.inner.clock.monotonic().saturating_sub(self.start);
        debug!(parent: &self.span, status = response.status().as_u16(), ?time, "answered");
        response
    }
}
