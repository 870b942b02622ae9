//! What the signature of a request covers (server-server API, *Request Authentication*): method, path and query, both servers, and the content.

use std::borrow::Cow;

use event::canonical::{self, Object, Value};
use event::rules::Json;
use ruma::ServerName;

use crate::error::{Error, Result};
use crate::header::Authorization;
use crate::own_key::OwnKey;

/// What is signed of a request.
pub(crate) struct Signed<'a> {
    pub(crate) method: &'a str,
    pub(crate) path_and_query: &'a str,
    pub(crate) origin: &'a ServerName,
    pub(crate) destination: &'a ServerName,
    /// The body, if there is one.
    pub(crate) content: Option<&'a str>,
}

impl Signed<'_> {
    /// The bytes that are signed.
    ///
    /// Bodies carry events of rooms of every age, and thus numbers that canonical JSON no longer allows: those are read as rooms read them.
    pub(crate) fn text(&self) -> Result<String, event::Error> {
        let mut object = Object::default();
        let mut put = |key: &'static str, value| {
            object.insert(Cow::Borrowed(key), value);
        };
        put("method", text(self.method));
        put("uri", text(self.path_and_query));
        put("origin", text(self.origin.as_str()));
        put("destination", text(self.destination.as_str()));
        if let Some(content) = self.content {
            put("content", canonical::parse(content, Json::Lax)?);
        }
        let mut out = String::with_capacity(256 + self.content.map_or(0, str::len));
        Value::Object(object).write(&mut out);
        Ok(out)
    }

    /// The header that proves the request, signed with our key.
    pub(crate) fn header(&self, own: &OwnKey) -> Result<String> {
        let text = self.text().map_err(Error::Unsignable)?;
        let authorization = Authorization {
            origin: self.origin.to_string(),
            destination: Some(self.destination.to_string()),
            key: own.key.id().to_owned(),
            sig: own.key.sign(text.as_bytes()),
        };
        Ok(authorization.header())
    }
}

fn text(text: &str) -> Value<'_> {
    Value::String(Cow::Borrowed(text))
}
