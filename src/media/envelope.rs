//! How files travel between servers: `multipart/mixed`, a JSON object of metadata first, then the file, or where it is to be had
//! (server-server API, "Content Repository"). Both writing and reading it stand here.

use std::io;

use base::random;
use bytes::{Bytes, BytesMut};
use futures_util::stream::{self, BoxStream};
use futures_util::{Stream, StreamExt};

use crate::download::Download;
use crate::{Error, Media, headers};

/// Characters of the boundary between the parts: too many for a file to hold it by chance, and nobody knows it before.
const BOUNDARY: usize = 40;
/// The longest boundary that another server may use (RFC 2046).
const LONGEST_BOUNDARY: usize = 70;
/// Most bytes of everything before the file itself.
const HEAD: usize = 64 << 10;

/// A file in its envelope, on its way to another server.
pub struct Envelope {
    /// The `Content-Type` of the whole.
    pub content_type: String,
    /// The bytes of the whole.
    pub length: u64,
    head: String,
    download: Download,
    tail: String,
}

impl std::fmt::Debug for Envelope {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Envelope")
            .field("length", &self.length)
            .finish_non_exhaustive()
    }
}

impl Envelope {
    /// The bytes, in pieces.
    pub fn into_stream(self) -> impl Stream<Item = io::Result<Bytes>> + Send + 'static {
        let whole = |text: String| stream::iter([Ok(Bytes::from(text))]);
        whole(self.head)
            .chain(self.download.body.into_stream())
            .chain(whole(self.tail))
    }
}

impl Media {
    /// Puts a file into its envelope.
    #[must_use]
    pub fn envelope(&self, download: Download) -> Envelope {
        let boundary = random::token(&*self.0.random, BOUNDARY);
        let content_type = headers::content_type(download.content_type.as_deref());
        let disposition =
            headers::content_disposition(Some(content_type), download.filename.as_deref());
        let head = format!(
            "--{boundary}\r\nContent-Type: application/json\r\n\r\n{{}}\r\n--{boundary}\r\nContent-Type: {content_type}\r\n\
             Content-Disposition: {disposition}\r\n\r\n"
        );
        let tail = format!("\r\n--{boundary}--\r\n");
        Envelope {
            content_type: format!("multipart/mixed; boundary={boundary}"),
            length: (head.len() + tail.len()) as u64 + download.size,
            head,
            download,
            tail,
        }
    }
}

/// What was in an envelope.
pub(crate) enum Opened {
    /// The file.
    File {
        /// Its type, as the other server says.
        content_type: Option<String>,
        /// Its name.
        filename: Option<String>,
        /// Its bytes, without what stands around them.
        body: BoxStream<'static, Result<Bytes, Error>>,
    },
    /// It is to be had there.
    Elsewhere,
}

/// The boundary that a `Content-Type` of `multipart/mixed` names.
pub(crate) fn boundary(content_type: &str) -> Option<String> {
    let (kind, parameters) = content_type.split_once(';')?;
    if !kind.trim().eq_ignore_ascii_case("multipart/mixed") {
        return None;
    }
    let boundary = parameters.split(';').find_map(|parameter| {
        let (name, value) = parameter.split_once('=')?;
        name.trim()
            .eq_ignore_ascii_case("boundary")
            .then(|| value.trim().trim_matches('"'))
    })?;
    let fits = !boundary.is_empty() && boundary.len() <= LONGEST_BOUNDARY;
    fits.then(|| boundary.to_owned())
}

/// Opens an envelope while it arrives: everything up to the file is read, the file is left to be read.
pub(crate) async fn open(
    boundary: &str,
    mut body: BoxStream<'static, Result<Bytes, Error>>,
) -> Result<Opened, Error> {
    let broken = || Error::BadRemote("the envelope of the file is broken");
    let delimiter = format!("\r\n--{boundary}");
    // So that a first delimiter without a line before it looks like the others.
    let mut read = BytesMut::from(&b"\r\n"[..]);
    loop {
        if let Some(at) = file_begins(&read, delimiter.as_bytes()) {
            let rest = read.split_off(at.body).freeze();
            let fields = String::from_utf8_lossy(read.get(at.fields..).unwrap_or_default());
            if field(&fields, "location").is_some() {
                return Ok(Opened::Elsewhere);
            }
            return Ok(Opened::File {
                content_type: field(&fields, "content-type").map(str::to_owned),
                filename: field(&fields, "content-disposition").and_then(headers::filename),
                body: until(delimiter.into_bytes(), &rest, body),
            });
        }
        if read.len() > HEAD {
            return Err(broken());
        }
        let piece = body.next().await.ok_or_else(broken)??;
        read.extend_from_slice(&piece);
    }
}

/// Where the second part's header fields and its body begin.
struct Begins {
    fields: usize,
    body: usize,
}

fn file_begins(read: &[u8], delimiter: &[u8]) -> Option<Begins> {
    let first = memchr::memmem::find(read, delimiter)? + delimiter.len();
    let second = first + memchr::memmem::find(read.get(first..)?, delimiter)? + delimiter.len();
    let fields = read.get(second..)?;
    // A part without header fields begins with the empty line itself.
    let end = memchr::memmem::find(fields, b"\r\n\r\n")?;
    Some(Begins {
        fields: second,
        body: second + end + 4,
    })
}

/// A header field's value.
fn field<'f>(fields: &'f str, name: &str) -> Option<&'f str> {
    fields.lines().find_map(|line| {
        let (key, value) = line.split_once(':')?;
        key.trim().eq_ignore_ascii_case(name).then(|| value.trim())
    })
}

/// The bytes up to a delimiter, which may arrive in any pieces. An end without it is a file that broke off.
fn until(
    delimiter: Vec<u8>,
    begun: &[u8],
    body: BoxStream<'static, Result<Bytes, Error>>,
) -> BoxStream<'static, Result<Bytes, Error>> {
    struct State {
        delimiter: Vec<u8>,
        /// What was read and may yet turn out to belong to the delimiter.
        held: BytesMut,
        body: BoxStream<'static, Result<Bytes, Error>>,
        done: bool,
    }
    let state = State {
        delimiter,
        held: BytesMut::from(begun),
        body,
        done: false,
    };
    stream::try_unfold(state, |mut state| async move {
        loop {
            if state.done {
                return Ok(None);
            }
            if let Some(at) = memchr::memmem::find(&state.held, &state.delimiter) {
                state.done = true;
                let last = state.held.split_to(at).freeze();
                return Ok(Some((last, state)));
            }
            let sure = state.held.len().saturating_sub(state.delimiter.len() - 1);
            if sure > 0 {
                let piece = state.held.split_to(sure).freeze();
                return Ok(Some((piece, state)));
            }
            match state.body.next().await {
                Some(piece) => state.held.extend_from_slice(&piece?),
                None => return Err(Error::BadRemote("the file broke off")),
            }
        }
    })
    .boxed()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pieces(text: &[u8], size: usize) -> BoxStream<'static, Result<Bytes, Error>> {
        let pieces: Vec<_> = text
            .chunks(size)
            .map(|piece| Ok(Bytes::copy_from_slice(piece)))
            .collect();
        stream::iter(pieces).boxed()
    }

    async fn opened(
        text: &str,
        size: usize,
    ) -> Result<(Option<String>, Option<String>, Vec<u8>), Error> {
        match open("xyz", pieces(text.as_bytes(), size)).await? {
            Opened::Elsewhere => Ok((None, Some("elsewhere".to_owned()), Vec::new())),
            Opened::File {
                content_type,
                filename,
                mut body,
            } => {
                let mut file = Vec::new();
                while let Some(piece) = body.next().await {
                    file.extend_from_slice(&piece?);
                }
                Ok((content_type, filename, file))
            }
        }
    }

    #[tokio::test]
    async fn an_envelope_is_opened_in_whatever_pieces_it_comes() {
        let file = "line\r\n--xy\r\n\r\nzz";
        let text = format!(
            "--xyz\r\nContent-Type: application/json\r\n\r\n{{}}\r\n--xyz\r\ncontent-type: image/png\r\nContent-Disposition: inline; \
             filename=\"a cat.png\"\r\n\r\n{file}\r\n--xyz--\r\n"
        );
        for size in [1, 2, 3, 7, 64, 4096] {
            let (kind, name, bytes) = opened(&text, size).await.unwrap();
            assert_eq!(kind.as_deref(), Some("image/png"));
            assert_eq!(name.as_deref(), Some("a cat.png"));
            assert_eq!(bytes, file.as_bytes(), "in pieces of {size}");
        }
        let with_preamble = format!("\r\n{text}");
        assert_eq!(opened(&with_preamble, 5).await.unwrap().2, file.as_bytes());
        let bare = "--xyz\r\n\r\n{}\r\n--xyz\r\n\r\nabc\r\n--xyz";
        assert_eq!(
            opened(bare, 4).await.unwrap(),
            (None, None, b"abc".to_vec())
        );
    }

    #[tokio::test]
    async fn a_file_may_be_elsewhere() {
        let text = "--xyz\r\nContent-Type: application/json\r\n\r\n{}\r\n--xyz\r\nLocation: https://cdn.example/x\r\n\r\n\r\n--xyz--";
        assert_eq!(
            opened(text, 9).await.unwrap().1.as_deref(),
            Some("elsewhere")
        );
    }

    #[tokio::test]
    async fn what_breaks_off_or_is_no_envelope_is_refused() {
        for text in [
            String::new(),
            "hello".to_owned(),
            "--xyz\r\n\r\n{}\r\n--xyz\r\nContent-Type: a/b\r\n\r\nabc".to_owned(),
            "x".repeat(200_000),
        ] {
            assert!(opened(&text, 1000).await.is_err());
        }
    }

    #[test]
    fn the_boundary_is_found() {
        assert_eq!(
            boundary("multipart/mixed; boundary=abc").as_deref(),
            Some("abc")
        );
        assert_eq!(
            boundary("Multipart/Mixed;charset=x; Boundary=\"a b\"").as_deref(),
            Some("a b")
        );
        for bad in [
            "multipart/mixed",
            "multipart/form-data; boundary=a",
            "multipart/mixed; boundary=",
            "text/plain",
        ] {
            assert_eq!(boundary(bad), None, "{bad}");
        }
    }
}
