//! The way from the command line to the running server: a socket in the data directory that only its owner can open.
//!
//! One request, `POST /`, whose body is an [`Ask`] and whose answer is an [`Answer`]. The file's mode is the authentication, as it is for the database beside it.

use std::path::{Path, PathBuf};

use actions::House;
use axum::extract::State;
use axum::routing::post;
use axum::{Json, Router};
use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper_util::rt::TokioIo;
use tokio::net::UnixStream;

use crate::desk::{self, Answer, Ask};
use crate::error::{Error, Result};

/// An answer larger than this is not one of ours.
const LARGEST_ANSWER: usize = 64 << 20;

/// Where the socket of a server with this data directory is.
pub fn path(data: &Path) -> PathBuf {
    data.join("admin.sock")
}

/// What is served on the socket. Never put this on a port.
pub fn router(house: House) -> Router {
    Router::new().route("/", post(respond)).with_state(house)
}

async fn respond(State(house): State<House>, Json(ask): Json<Ask>) -> Json<Answer> {
    Json(desk::answer(&house, ask).await)
}

/// Asks the running server; `None` when none is running.
pub async fn ask(data: &Path, ask: &Ask) -> Result<Option<Answer>> {
    let path = path(data);
    let stream = match UnixStream::connect(&path).await {
        Ok(stream) => stream,
        // Nobody listens: the server is not running, or was killed and left the file behind.
        Err(error)
            if matches!(
                error.kind(),
                std::io::ErrorKind::NotFound | std::io::ErrorKind::ConnectionRefused
            ) =>
        {
            return Ok(None);
        }
        Err(error) => {
            return Err(Error::Io {
                doing: format!("cannot open {}", path.display()),
                source: error,
            });
        }
    };
    exchange(stream, ask).await.map(Some)
}

async fn exchange(stream: UnixStream, ask: &Ask) -> Result<Answer> {
    let broken = |error: hyper::Error| Error::Unreadable(error.to_string());
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
        .await
        .map_err(broken)?;
    let body = serde_json::to_vec(ask).map_err(|error| Error::Unreadable(error.to_string()))?;
    let request = http::Request::post("/")
        .header(http::header::HOST, "localhost")
        .header(http::header::CONTENT_TYPE, "application/json")
        .body(Full::<Bytes>::from(body))
        .map_err(|error| Error::Unreadable(error.to_string()))?;

    let talk = async {
        let response = sender.send_request(request).await.map_err(broken)?;
        let body = http_body_util::Limited::new(response.into_body(), LARGEST_ANSWER);
        let bytes = body
            .collect()
            .await
            .map_err(|error| Error::Unreadable(error.to_string()))?
            .to_bytes();
        serde_json::from_slice(&bytes).map_err(|error| Error::Unreadable(error.to_string()))
    };
    // The connection has to be driven while we wait; it ends by itself, and never before the answer.
    let mut talk = std::pin::pin!(talk);
    tokio::select! {
        answer = &mut talk => answer,
        driven = connection => {
            driven.map_err(broken)?;
            talk.await
        }
    }
}
