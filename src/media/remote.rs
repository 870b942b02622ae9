//! Files of other servers: fetched when somebody here wants them, once for all who want them at that moment, and kept like our own
//! (server-server API, "Content Repository").

use std::time::Duration;

use base::Lanes;
use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use http::header::{CONTENT_DISPOSITION, CONTENT_LENGTH, CONTENT_TYPE};
use peers::{Ask, Patience};
use quick_cache::sync::Cache;
use store::rows::media::MediaFile;

use crate::envelope::{self, Opened};
use crate::upload::{Keep, Upload};
use crate::{Error, Media, MediaRef, headers};

/// The longest that fetching one file may take.
const LONGEST: Duration = Duration::from_secs(300);
/// How long a file that could not be had is not asked for again, in milliseconds.
const REST: u64 = 60_000;
/// How many such files are remembered.
const REMEMBERED: usize = 10_000;
/// What an envelope may add to a file, in bytes.
const AROUND: u64 = 128 << 10;

/// Files of other servers on their way here.
pub(crate) struct Fetching {
    lanes: Lanes<(String, String)>,
    /// Files that could not be had, and until when they are not asked for again.
    failed: Cache<(String, String), u64>,
}

impl Fetching {
    pub(crate) fn new() -> Self {
        Self {
            lanes: Lanes::new(),
            failed: Cache::new(REMEMBERED),
        }
    }
}

/// A file as another server gives it.
struct Given {
    about: Upload,
    body: BoxStream<'static, Result<Bytes, Error>>,
}

impl Media {
    /// Fetches another server's file, unless somebody else has just done so.
    pub(crate) async fn fetch(&self, media: &MediaRef, wait: Duration) -> Result<MediaFile, Error> {
        let key = (media.server.to_string(), media.id.clone());
        let work = {
            let (house, media, key) = (self.clone(), media.clone(), key.clone());
            async move {
                if let Some(row) = house.present_row(&media).await? {
                    return Ok(row);
                }
                let now = house.0.clock.now().millis();
                let failed = &house.0.fetching.failed;
                if failed.get(&key).is_some_and(|until| now < until) {
                    return Err(Error::NotFound);
                }
                let fetched = house.fetch_now(&media, wait).await;
                match &fetched {
                    Err(error) if is_about_the_file(error) => failed.insert(key, now + REST),
                    _ => drop(failed.remove(&key)),
                }
                fetched?;
                let row = house.present_row(&media).await?;
                row.ok_or(Error::Bug("a fetched file that is not there"))
            }
        };
        self.0.fetching.lanes.run(key, work).await
    }

    async fn fetch_now(&self, media: &MediaRef, wait: Duration) -> Result<(), Error> {
        let given = match self.ask_signed(media, wait).await {
            Err(Error::Peers(error)) if is_unknown_endpoint(&error) => {
                self.ask_as_of_old(media, wait).await
            }
            given => given,
        };
        let Given { about, body } = given.map_err(|error| match error {
            Error::Peers(peers::Error::Answered { status: 404, .. }) => Error::NotFound,
            error => error,
        })?;
        let kept = Keep {
            most: self.0.config.max_remote.bytes(),
            uploader: None,
            reserved: None,
        };
        self.receive(media, about, body, kept).await
    }

    fn patience(&self) -> Patience {
        let most = self.0.config.max_remote.bytes() + AROUND;
        Patience::default()
            .time(LONGEST)
            .bytes(usize::try_from(most).unwrap_or(usize::MAX))
    }

    async fn ask_signed(&self, media: &MediaRef, wait: Duration) -> Result<Given, Error> {
        let path = [
            "_matrix",
            "federation",
            "v1",
            "media",
            "download",
            &media.id,
        ];
        let wait = wait.as_millis().to_string();
        let ask = Ask::get(peers::path_and_query(&path, &[("timeout_ms", &wait)]))
            .patience(self.patience());
        let reply = self.0.peers.ask_stream(&media.server, ask).await?;
        let kind = reply.headers.get(CONTENT_TYPE);
        let boundary = kind
            .and_then(|kind| envelope::boundary(kind.to_str().ok()?))
            .ok_or(Error::BadRemote("the file came in no envelope"))?;
        let body = reply.map(|piece| piece.map_err(Error::from)).boxed();
        match envelope::open(&boundary, body).await? {
            Opened::File {
                content_type,
                filename,
                body,
            } => {
                let about = Upload {
                    content_type,
                    filename,
                    length: None,
                };
                Ok(Given { about, body })
            }
            Opened::Elsewhere => Err(Error::BadRemote(
                "the file is kept at another address, to which this server does not go",
            )),
        }
    }

    /// Servers older than 1.11 know only the endpoints that need no signature.
    async fn ask_as_of_old(&self, media: &MediaRef, wait: Duration) -> Result<Given, Error> {
        let path = [
            "_matrix",
            "media",
            "v3",
            "download",
            media.server.as_str(),
            &media.id,
        ];
        let wait = wait.as_millis().to_string();
        let query = [
            ("allow_remote", "false"),
            ("allow_redirect", "false"),
            ("timeout_ms", &*wait),
        ];
        let ask = Ask::get(peers::path_and_query(&path, &query))
            .patience(self.patience())
            .unsigned();
        let reply = self.0.peers.ask_stream(&media.server, ask).await?;
        let header = |name| {
            reply
                .headers
                .get(name)
                .and_then(|value| value.to_str().ok())
        };
        let about = Upload {
            content_type: header(CONTENT_TYPE).map(str::to_owned),
            filename: header(CONTENT_DISPOSITION).and_then(headers::filename),
            length: header(CONTENT_LENGTH).and_then(|length| length.parse().ok()),
        };
        let body = reply.map(|piece| piece.map_err(Error::from)).boxed();
        Ok(Given { about, body })
    }
}

/// Whether asking again for the same file would only fail again.
fn is_about_the_file(error: &Error) -> bool {
    matches!(
        error,
        Error::NotFound | Error::TooLarge(_) | Error::BadRemote(_)
    )
}

/// Whether a server does not know the endpoint, as distinct from the file.
fn is_unknown_endpoint(error: &peers::Error) -> bool {
    matches!(error, peers::Error::Answered { status: 400 | 404 | 405, errcode, .. } if errcode.is_empty() || errcode.ends_with("UNRECOGNIZED"))
}
