//! Asking: back-off, signature, transport, and the bounds around what comes back. What is asked is `ask.rs`, how it travels `transport.rs`.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use base::SharedClock;
use bytes::{Bytes, BytesMut};
use futures_util::stream::{Stream, StreamExt};
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, USER_AGENT};
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode};
use ruma::ServerName;
use serde::de::DeserializeOwned;
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout_at};

use crate::ask::{Ask, Patience};
use crate::backoff::Backoff;
use crate::error::{Error, Result};
use crate::own_key::OwnKey;
use crate::signing::Signed;
use crate::transport::{Body, Transport};

/// How many questions may be under way at once; further ones wait, and their patience runs meanwhile.
const AT_ONCE: usize = 2048;
/// How much of an answer that refuses something is read.
const REFUSAL_BYTES: usize = 64 << 10;
/// How we introduce ourselves.
pub(crate) const AGENT: &str = concat!("Myelin/", env!("CARGO_PKG_VERSION"));

/// Who asks.
pub(crate) struct Asker {
    pub(crate) own: OwnKey,
    pub(crate) enabled: bool,
    pub(crate) usual: Patience,
    pub(crate) transport: Arc<dyn Transport>,
    pub(crate) backoff: Backoff,
    pub(crate) clock: SharedClock,
    turns: Semaphore,
}

/// An answer whose body is still arriving: a stream of its bytes, bounded by the asker's patience.
#[derive(Debug)]
pub struct Reply {
    /// The headers of the answer.
    pub headers: HeaderMap,
    body: Body,
}

impl Stream for Reply {
    type Item = Result<Bytes>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        Pin::new(&mut self.body).poll_next(cx)
    }
}

impl Asker {
    pub(crate) fn new(
        own: OwnKey,
        (enabled, request_time): (bool, Duration),
        transport: Arc<dyn Transport>,
        backoff: Backoff,
        clock: SharedClock,
    ) -> Self {
        let usual = Patience {
            time: request_time,
            idle: request_time,
            ..Patience::default()
        };
        Self {
            own,
            enabled,
            usual,
            transport,
            backoff,
            clock,
            turns: Semaphore::new(AT_ONCE),
        }
    }

    /// The whole body of an answer that says yes.
    pub(crate) async fn ask(&self, server: &ServerName, ask: Ask) -> Result<Bytes> {
        let asked = self.clock.now();
        let reply = self.open(server, ask).await?;
        let body = collect(reply.body).await;
        if let Err(error) = &body {
            self.note(server, asked, error);
        }
        body
    }

    /// The same, read as JSON.
    pub(crate) async fn ask_json<T: DeserializeOwned>(
        &self,
        server: &ServerName,
        ask: Ask,
    ) -> Result<T> {
        let body = self.ask(server, ask).await?;
        serde_json::from_slice(&body).map_err(|error| Error::Malformed {
            server: server.to_owned(),
            why: error.to_string(),
        })
    }

    /// An answer that says yes, while it arrives.
    pub(crate) async fn open(&self, server: &ServerName, ask: Ask) -> Result<Reply> {
        self.may_ask(server, &ask)?;
        let asked = self.clock.now();
        let patience = ask.patience.unwrap_or(self.usual);
        let deadline = Instant::now() + patience.time;
        let request = self.request(server, ask)?;
        let answer = match timeout_at(deadline, self.send(server, request)).await {
            Ok(answer) => answer,
            Err(_) => Err(Error::TimedOut {
                server: server.to_owned(),
            }),
        };
        let judged = match answer {
            Ok(answer) => {
                self.judge(server, bounded(server, answer, patience, deadline))
                    .await
            }
            Err(error) => Err(error),
        };
        match &judged {
            Ok(_) => self.backoff.heard_from(server),
            Err(error) => self.note(server, asked, error),
        }
        judged
    }

    fn may_ask(&self, server: &ServerName, ask: &Ask) -> Result<()> {
        if !self.enabled {
            return Err(Error::Disabled);
        }
        if *server == self.own.server_name {
            return Err(Error::Ourselves(server.to_owned()));
        }
        match self.backoff.wait_until(server) {
            Some(until) if !ask.insists => Err(Error::BackingOff {
                server: server.to_owned(),
                until,
            }),
            _ => Ok(()),
        }
    }

    fn request(&self, server: &ServerName, ask: Ask) -> Result<Request<Bytes>> {
        let signed = Signed {
            method: ask.method.as_str(),
            path_and_query: &ask.path_and_query,
            origin: &self.own.server_name,
            destination: server,
            content: ask.body.as_deref(),
        };
        let mut headers = HeaderMap::new();
        headers.insert(USER_AGENT, HeaderValue::from_static(AGENT));
        headers.insert(ACCEPT, HeaderValue::from_static("application/json, */*"));
        if ask.signed {
            let value = HeaderValue::try_from(signed.header(&self.own)?);
            headers.insert(AUTHORIZATION, value.map_err(|_| unsendable("header"))?);
        }
        if ask.body.is_some() {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        }
        let mut request = Request::new(ask.body.map(Bytes::from).unwrap_or_default());
        *request.method_mut() = ask.method;
        *request.uri_mut() = ask.path_and_query.parse().map_err(|_| unsendable("path"))?;
        *request.headers_mut() = headers;
        Ok(request)
    }

    async fn send(&self, server: &ServerName, request: Request<Bytes>) -> Result<Response<Body>> {
        // The semaphore is never closed; if it were, the question would still be asked.
        let _turn = self.turns.acquire().await;
        self.transport.send(server, request).await
    }

    /// A yes as it is; anything else as what the other server says about it.
    async fn judge(&self, server: &ServerName, answer: Response<Body>) -> Result<Reply> {
        let (head, body) = answer.into_parts();
        if head.status.is_success() {
            return Ok(Reply {
                headers: head.headers,
                body,
            });
        }
        let body = read_some(body).await;
        let said: serde_json::Value = serde_json::from_slice(&body).unwrap_or_default();
        let text = |key| said.get(key).and_then(serde_json::Value::as_str);
        let mut error = text("error").unwrap_or_default().to_owned();
        error.truncate(error.floor_char_boundary(500));
        let mut errcode = text("errcode").unwrap_or_default().to_owned();
        errcode.truncate(errcode.floor_char_boundary(100));
        Err(Error::Answered {
            server: server.to_owned(),
            status: head.status.as_u16(),
            errcode,
            error,
            body,
        })
    }

    /// Takes down whether a failure says something about the server rather than about the question.
    fn note(&self, server: &ServerName, asked: base::Timestamp, error: &Error) {
        if is_servers_trouble(error) {
            tracing::debug!(%server, %error, "a server does not answer");
            self.backoff.failed(server, asked, &error.to_string());
        } else if matches!(error, Error::Answered { .. }) {
            self.backoff.heard_from(server);
        }
    }
}

fn unsendable(what: &'static str) -> Error {
    Error::Unsignable(event::Error::Bug(match what {
        "path" => "a path of a request that is none",
        _ => "a header of a request that is none",
    }))
}

/// Whether the server, and not the question, is what failed. A refusal without a Matrix error code comes from something that stands where the server
/// used to, such as a proxy or somebody's web site.
fn is_servers_trouble(error: &Error) -> bool {
    match error {
        Error::Unreachable { .. } | Error::Denied { .. } | Error::TimedOut { .. } => true,
        Error::Answered {
            status, errcode, ..
        } => {
            let gateway = [
                StatusCode::TOO_MANY_REQUESTS,
                StatusCode::BAD_GATEWAY,
                StatusCode::SERVICE_UNAVAILABLE,
                StatusCode::GATEWAY_TIMEOUT,
            ];
            errcode.is_empty() || gateway.iter().any(|gateway| gateway.as_u16() == *status)
        }
        _ => false,
    }
}

/// The answer with its body bounded in length and time, whoever reads it.
fn bounded(
    server: &ServerName,
    answer: Response<Body>,
    patience: Patience,
    deadline: Instant,
) -> Response<Body> {
    struct Reading {
        body: Body,
        left: Option<usize>,
        server: ruma::OwnedServerName,
    }
    let server = server.to_owned();
    answer.map(|body| {
        let reading = Reading {
            body,
            left: Some(patience.bytes),
            server,
        };
        Body::new(futures_util::stream::unfold(
            reading,
            move |mut reading| async move {
                let left = reading.left?;
                let silence = Instant::now() + patience.idle;
                let next = match timeout_at(deadline.min(silence), reading.body.next()).await {
                    Err(_) => Err(Error::TimedOut {
                        server: reading.server.clone(),
                    }),
                    Ok(None) => return None,
                    Ok(Some(Err(error))) => Err(error),
                    Ok(Some(Ok(bytes))) if bytes.len() > left => Err(Error::TooLarge {
                        server: reading.server.clone(),
                        limit: patience.bytes,
                    }),
                    Ok(Some(Ok(bytes))) => Ok(bytes),
                };
                // After an error there is nothing more.
                reading.left = next.as_ref().ok().map(|bytes| left - bytes.len());
                Some((next, reading))
            },
        ))
    })
}

async fn collect(mut body: Body) -> Result<Bytes> {
    let mut whole = BytesMut::new();
    while let Some(part) = body.next().await {
        let part = part?;
        whole.extend_from_slice(&part);
    }
    Ok(whole.freeze())
}

/// The beginning of a body; what goes wrong while reading it does not matter any more.
async fn read_some(mut body: Body) -> Bytes {
    let mut some = BytesMut::new();
    while some.len() < REFUSAL_BYTES
        && let Some(Ok(part)) = body.next().await
    {
        let part = part.get(..REFUSAL_BYTES - some.len()).unwrap_or(&part);
        some.extend_from_slice(part);
    }
    some.freeze()
}
