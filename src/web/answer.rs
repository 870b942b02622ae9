//! What a handler may answer, and how it becomes HTTP.

use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use http::HeaderValue;
use http::header::CONTENT_TYPE;
use ruma::api::{OutgoingResponse, OutgoingResponseExt};
use serde::Serialize;

use crate::errors::Error;

/// What a handler answers.
pub type Reply<T> = Result<T, Error>;

/// Something that can be sent to a client.
pub trait Answer: Send {
    /// The HTTP response.
    ///
    /// # Errors
    /// If it cannot be written down, which is our fault.
    fn into_answer(self) -> Result<Response, Error>;
}

impl<T: OutgoingResponse + Send> Answer for T {
    fn into_answer(self) -> Result<Response, Error> {
        match self.try_into_http_response::<Vec<u8>>() {
            Ok(response) => Ok(response.map(Body::from)),
            Err(error) => Err(Error::internal(format_args!("writing an answer: {error}"))),
        }
    }
}

/// JSON that stands ready as bytes.
#[derive(Clone, Debug)]
pub struct JsonBytes(pub Bytes);

impl JsonBytes {
    /// An answer written straight from a value.
    ///
    /// # Errors
    /// If it cannot be written down, which is our fault.
    pub fn of(value: &impl Serialize) -> Reply<Self> {
        serde_json::to_vec(value)
            .map(Self::from)
            .map_err(Error::internal)
    }
}

impl Answer for JsonBytes {
    fn into_answer(self) -> Result<Response, Error> {
        let mut response = Response::new(Body::from(self.0));
        response
            .headers_mut()
            .insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        Ok(response)
    }
}

impl<T: Into<Bytes>> From<T> for JsonBytes {
    fn from(bytes: T) -> Self {
        Self(bytes.into())
    }
}

/// A response that the handler wrote itself: pages, files, redirects.
#[derive(Debug)]
pub struct Plain(pub Response);

impl Answer for Plain {
    fn into_answer(self) -> Result<Response, Error> {
        Ok(self.0)
    }
}

/// What a handler's future may end in.
pub trait Outcome: Send + 'static {
    /// The HTTP response, or the error to tell.
    ///
    /// # Errors
    /// If the handler failed.
    fn into_outcome(self) -> Result<Response, Error>;
}

impl<T: Answer + 'static> Outcome for Reply<T> {
    fn into_outcome(self) -> Result<Response, Error> {
        self.and_then(Answer::into_answer)
    }
}

impl Outcome for Response {
    fn into_outcome(self) -> Result<Response, Error> {
        Ok(self)
    }
}
