//! Who sent a request to us (server-server API, *Request Authentication*). What that server may then do is decided elsewhere.

use ruma::{OwnedServerName, ServerName};

use crate::Peers;
use crate::error::{Error, Result};
use crate::header::Authorization;
use crate::keys::Wanted;
use crate::signing::Signed;

/// A request as it came in.
#[derive(Debug, Clone, Copy)]
pub struct VerifyRequest<'a> {
    /// The HTTP method, in capitals.
    pub method: &'a str,
    /// Path and query exactly as they were sent.
    pub path_and_query: &'a str,
    /// The body; none or empty if there is none.
    pub body: Option<&'a [u8]>,
    /// The value of the one `Authorization` header.
    pub authorization: &'a str,
}

impl Peers {
    /// The server that sent a request, proved by a key that is valid now. It counts as heard from.
    ///
    /// # Errors
    /// [`Error::Unauthorised`] with a sentence for the sender if the request proves nothing; what keeps us from finding out otherwise.
    pub async fn verify_request(&self, request: VerifyRequest<'_>) -> Result<OwnedServerName> {
        let says = Authorization::parse(request.authorization)?;
        let origin = self.origin(&says)?;
        let content = content(request.body)?;
        let text = Signed {
            method: request.method,
            path_and_query: request.path_and_query,
            origin: &origin,
            destination: self.server_name(),
            content,
        }
        .text()
        .map_err(|_| unauthorised("The body is no JSON that could have been signed"))?;
        let now = self.clock().now().millis();
        let wanted = Wanted {
            server: origin.clone(),
            key_id: says.key.clone(),
            at: now,
        };
        let ring = self.keys().gather_for_request(wanted).await;
        let Some(key) = event::sign::Keys::key(&ring, &origin, &says.key) else {
            return Err(unauthorised(&format!(
                "The key {} of {origin} is not known and could not be fetched",
                says.key
            )));
        };
        if !key.is_current_at(now) {
            return Err(unauthorised(&format!(
                "The key {} of {origin} is no longer valid",
                says.key
            )));
        }
        if !key.public().verifies(text.as_bytes(), &says.sig) {
            return Err(unauthorised(&format!(
                "The signature by the key {} of {origin} does not belong to this request",
                says.key
            )));
        }
        self.backoff().heard_from(&origin);
        Ok(origin)
    }

    /// The server that a header speaks of, if it may speak to us.
    fn origin(&self, says: &Authorization) -> Result<OwnedServerName> {
        if !self.is_enabled() {
            return Err(Error::Disabled);
        }
        let origin = ServerName::parse(&says.origin)
            .map_err(|_| unauthorised("The origin is no server name"))?;
        if origin == *self.server_name() {
            return Err(unauthorised("The origin is this server itself"));
        }
        if says
            .destination
            .as_deref()
            .is_some_and(|destination| destination != self.server_name().as_str())
        {
            return Err(unauthorised("The destination is another server"));
        }
        Ok(origin)
    }
}

fn content(body: Option<&[u8]>) -> Result<Option<&str>> {
    match body {
        None | Some([]) => Ok(None),
        Some(body) => std::str::from_utf8(body)
            .map(Some)
            .map_err(|_| unauthorised("The body is not UTF-8")),
    }
}

fn unauthorised(why: &str) -> Error {
    Error::Unauthorised(why.to_owned())
}
