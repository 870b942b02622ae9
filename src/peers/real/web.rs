//! Fetching well-known files: plain web requests with a few redirections, each of which passes the same judgement of addresses.

use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_util::future::BoxFuture;
use http::header::{CACHE_CONTROL, EXPIRES, LOCATION, USER_AGENT};
use http::{HeaderName, Request, Response};
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
use hyper_util::client::legacy::Client;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use tokio::time::timeout;
use url::Url;

use super::connect::{Connector, Kind, Ways};
use super::well_known::{BYTES, Fetch, Fetched};
use crate::asker::AGENT;
use crate::error::chain;

/// How many redirections are followed.
const REDIRECTIONS: usize = 5;
/// How long everything together may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// How many connections to one web server are kept, and how long.
const IDLE: (usize, Duration) = (1, Duration::from_secs(10));
/// How long the head of an answer may be.
const HEAD_BYTES: usize = 32 << 10;

/// A client for well-known files.
pub(crate) struct Web {
    client: Client<Connector, Empty<Bytes>>,
}

impl Web {
    pub(crate) fn new(ways: Arc<Ways>) -> Self {
        let connector = Connector {
            ways,
            kind: Kind::Web,
        };
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_max_idle_per_host(IDLE.0)
            .pool_idle_timeout(IDLE.1)
            .http1_max_buf_size(HEAD_BYTES)
            .build(connector);
        Self { client }
    }

    async fn follow(&self, host: &str) -> Result<Fetched, String> {
        let mut url = Url::parse(&format!("https://{host}/.well-known/matrix/server"))
            .map_err(|error| format!("{host} is no name of a web server: {error}"))?;
        for _ in 0..=REDIRECTIONS {
            let answer = self.get(&url).await?;
            match redirection(&answer, &url)? {
                Some(next) => url = next,
                None => return read(answer).await,
            }
        }
        Err(format!("it redirects more than {REDIRECTIONS} times"))
    }

    async fn get(&self, url: &Url) -> Result<Response<Incoming>, String> {
        let request = Request::get(url.as_str())
            .header(USER_AGENT, AGENT)
            .body(Empty::new())
            .map_err(|error| format!("{url} cannot be asked for: {error}"))?;
        let answer = self.client.request(request).await;
        answer.map_err(|error| chain(&error))
    }
}

/// Where an answer redirects to, if it does.
fn redirection(answer: &Response<Incoming>, from: &Url) -> Result<Option<Url>, String> {
    if ![301, 302, 303, 307, 308].contains(&answer.status().as_u16()) {
        return Ok(None);
    }
    let to = answer.headers().get(LOCATION);
    let to = to
        .and_then(|to| to.to_str().ok())
        .and_then(|to| from.join(to).ok())
        .ok_or("it redirects nowhere")?;
    if to.scheme() != "https" || !to.username().is_empty() || to.password().is_some() {
        return Err("it redirects to something else than a web page".to_owned());
    }
    let mut to = to;
    to.set_fragment(None);
    Ok(Some(to))
}

async fn read(answer: Response<Incoming>) -> Result<Fetched, String> {
    let header = |name: HeaderName| {
        let value = answer.headers().get(name)?;
        Some(value.to_str().unwrap_or_default().to_owned())
    };
    let (status, cache_control, expires) = (
        answer.status().as_u16(),
        header(CACHE_CONTROL),
        header(EXPIRES),
    );
    let mut body = answer.into_body();
    let mut whole = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| chain(&error))?;
        if let Ok(data) = frame.into_data() {
            if whole.len() + data.len() > BYTES {
                return Err(format!("it is longer than {} KiB", BYTES >> 10));
            }
            whole.extend_from_slice(&data);
        }
    }
    Ok(Fetched {
        status,
        cache_control,
        expires,
        body: whole.freeze(),
    })
}

impl Fetch for Web {
    fn fetch<'a>(&'a self, host: &'a str) -> BoxFuture<'a, Result<Fetched, String>> {
        Box::pin(async move {
            match timeout(PATIENCE, self.follow(host)).await {
                Ok(fetched) => fetched,
                Err(_) => Err(format!("it took longer than {} s", PATIENCE.as_secs())),
            }
        })
    }
}
