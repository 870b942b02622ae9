//! How long a client may take to send the head of a request: ten seconds from its first byte, or from the beginning of the connection. Between requests
//! the connection may rest far longer, or proxies that keep connections would run into closed ones.
//!
//! The stream watches the bytes, and the service says when a head is complete; neither sees both.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep};

/// How long the head of a request may take.
const HEAD: Duration = Duration::from_secs(10);

/// What stream and service of a connection tell each other.
#[derive(Clone, Debug)]
pub(crate) struct Patience(Arc<Phase>);

#[derive(Debug, Default)]
struct Phase {
    /// Requests being answered.
    busy: AtomicUsize,
    /// Requests whose heads have been complete so far.
    heads: AtomicUsize,
}

impl Patience {
    pub(crate) fn new() -> Self {
        Self(Arc::default())
    }

    /// Holds the watch off until the request is answered.
    pub(crate) fn busy<F>(&self, answer: F) -> Busy<F> {
        self.0.heads.fetch_add(1, Ordering::Relaxed);
        self.0.busy.fetch_add(1, Ordering::Relaxed);
        Busy {
            answer,
            _guard: Guard(Arc::clone(&self.0)),
        }
    }
}

#[derive(Debug)]
struct Guard(Arc<Phase>);

impl Drop for Guard {
    fn drop(&mut self) {
        self.0.busy.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A request being answered.
pub(crate) struct Busy<F> {
    answer: F,
    _guard: Guard,
}

impl<F: Future + Unpin> Future for Busy<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        Pin::new(&mut self.answer).poll(cx)
    }
}

/// A stream that fails when the head of a request takes too long.
pub(crate) struct Patient<S> {
    stream: S,
    patience: Patience,
    deadline: Option<Instant>,
    alarm: Pin<Box<Sleep>>,
    /// How many heads had been complete when the stream last looked.
    heads: usize,
    /// HTTP/2 mixes heads with other things; it is only watched until the first request.
    mixed: bool,
}

impl<S> Patient<S> {
    pub(crate) fn new(stream: S, patience: Patience) -> Self {
        let deadline = Instant::now() + HEAD;
        let alarm = Box::pin(tokio::time::sleep_until(deadline));
        Self {
            stream,
            patience,
            deadline: Some(deadline),
            alarm,
            heads: 0,
            mixed: false,
        }
    }

    /// Bytes have come: the beginning of a head, unless a request is being answered.
    fn heard(&mut self, bytes: &[u8]) {
        self.look();
        if self.heads == 0 {
            self.mixed |= bytes.starts_with(b"PRI ");
        } else if !self.mixed && !self.is_busy() && self.deadline.is_none() {
            self.deadline = Some(Instant::now() + HEAD);
        }
    }

    /// A head that is complete is awaited no more.
    fn look(&mut self) {
        let heads = self.patience.0.heads.load(Ordering::Relaxed);
        if heads != self.heads {
            self.heads = heads;
            self.deadline = None;
        }
    }

    fn is_busy(&self) -> bool {
        self.patience.0.busy.load(Ordering::Relaxed) > 0
    }

    /// Nothing has come: fails if something should have by now.
    fn waited(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.look();
        let Some(deadline) = self.deadline else {
            return Poll::Pending;
        };
        if self.alarm.deadline() != deadline {
            self.alarm.as_mut().reset(deadline);
        }
        self.alarm
            .as_mut()
            .poll(cx)
            .map(|()| Err(io::ErrorKind::TimedOut.into()))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Patient<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let before = buffer.filled().len();
        match Pin::new(&mut this.stream).poll_read(cx, buffer) {
            Poll::Ready(Ok(())) => {
                this.heard(buffer.filled().get(before..).unwrap_or_default());
                Poll::Ready(Ok(()))
            }
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            Poll::Pending => this.waited(cx),
        }
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Patient<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, pieces)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

    use super::*;

    /// How long a connection lasts that says these things at these seconds, and whose service answers at once when `answered` bytes have come.
    async fn lasts(says: &[(u64, &str)], answered: &[usize]) -> u64 {
        let (mut client, server) = duplex(1024);
        let patience = Patience::new();
        let mut stream = Patient::new(server, patience.clone());
        let start = Instant::now();
        let says: Vec<(u64, String)> = says
            .iter()
            .map(|(at, text)| (*at, (*text).to_owned()))
            .collect();
        let talk = async move {
            for (at, text) in says {
                tokio::time::sleep_until(start + Duration::from_secs(at)).await;
                client.write_all(text.as_bytes()).await.unwrap();
            }
            tokio::time::sleep_until(start + Duration::from_secs(100)).await;
            drop(client);
        };
        let listen = async {
            let (mut total, mut buffer) = (0, [0; 1024]);
            loop {
                match stream.read(&mut buffer).await {
                    Ok(0) | Err(_) => return start.elapsed().as_secs(),
                    Ok(count) => total += count,
                }
                if answered.contains(&total) {
                    patience.busy(std::future::ready(())).await;
                }
            }
        };
        tokio::select! {
            lasted = listen => lasted,
            () = talk => 100,
        }
    }

    #[tokio::test(start_paused = true)]
    async fn heads_must_come_soon_and_rests_may_be_long() {
        assert_eq!(lasts(&[], &[]).await, 10, "nothing is said");
        assert_eq!(
            lasts(&[(1, "GET"), (9, " /")], &[]).await,
            10,
            "a head comes drop by drop"
        );
        assert_eq!(
            lasts(&[(1, "GET /")], &[5]).await,
            100,
            "one request, then a rest"
        );
        assert_eq!(
            lasts(&[(1, "GET /"), (50, "GET")], &[5]).await,
            60,
            "the second head stops in the middle"
        );
        assert_eq!(
            lasts(&[(1, "GET /"), (50, "GET /")], &[5, 10]).await,
            100,
            "two requests"
        );
        assert_eq!(
            lasts(&[(1, "PRI *"), (2, "x")], &[]).await,
            10,
            "HTTP/2 without a request"
        );
        assert_eq!(
            lasts(&[(1, "PRI *"), (50, "ping")], &[5]).await,
            100,
            "HTTP/2 with one"
        );
    }
}
