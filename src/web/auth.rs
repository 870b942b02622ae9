//! Who asks: access tokens, from the `Authorization` header or the query string (CS "Using access tokens"). Servers that ask prove themselves in
//! `from_server.rs`.

use std::borrow::Cow;
use std::ops::Deref;
use std::sync::Arc;

use http::header::AUTHORIZATION;
use http::request;
use users::{Identity, Users};

use crate::errors::Error;

/// How much an endpoint must know about who asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Need {
    /// Tokens are not looked at.
    Nothing,
    /// A token may be missing, but not wrong.
    Optional,
    /// A token must be there, and right.
    Token,
    /// Another server must have signed the request.
    Server,
}

/// Who asks: a user of this server, neither a guest nor locked out.
#[derive(Clone, Debug)]
pub struct Authed(pub(crate) Arc<Identity>);

impl Deref for Authed {
    type Target = Identity;

    fn deref(&self) -> &Identity {
        &self.0
    }
}

/// Who asks: a user of this server, perhaps a guest.
#[derive(Clone, Debug)]
pub struct Guest(pub(crate) Arc<Identity>);

impl Deref for Guest {
    type Target = Identity;

    fn deref(&self) -> &Identity {
        &self.0
    }
}

/// Who asks: a user of this server, perhaps a guest, perhaps locked out. For leaving.
#[derive(Clone, Debug)]
pub struct Locked(pub(crate) Arc<Identity>);

impl Deref for Locked {
    type Target = Identity;

    fn deref(&self) -> &Identity {
        &self.0
    }
}

/// Neither a guest nor locked out.
pub(crate) fn full(identity: Option<Arc<Identity>>) -> Result<Authed, Error> {
    let Guest(identity) = unlocked(identity)?;
    if identity.account.guest {
        Err(Error::guest_access_forbidden())
    } else {
        Ok(Authed(identity))
    }
}

/// Not locked out.
pub(crate) fn unlocked(identity: Option<Arc<Identity>>) -> Result<Guest, Error> {
    let identity = identity.ok_or_else(Error::missing_token)?;
    if identity.account.locked {
        Err(Error::user_locked())
    } else {
        Ok(Guest(identity))
    }
}

/// Finds out who asks, as far as there is a need to.
pub(crate) async fn admit(
    users: &Users,
    parts: &request::Parts,
    need: Need,
) -> Result<Option<Arc<Identity>>, Error> {
    if need == Need::Nothing || need == Need::Server {
        return Ok(None);
    }
    match token(parts)? {
        Some(token) => Ok(Some(users.authenticate(&token).await?)),
        None if need == Need::Token => Err(Error::missing_token()),
        None => Ok(None),
    }
}

/// The token a request carries. The header wins over the query string; a header that holds something else than a token is no token.
fn token(parts: &request::Parts) -> Result<Option<Cow<'_, str>>, Error> {
    if let Some(header) = parts.headers.get(AUTHORIZATION) {
        let text = header.to_str().map_err(|_| Error::missing_token())?;
        let bearer = text
            .split_once(' ')
            .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"));
        return Ok(bearer
            .map(|(_, token)| Cow::Borrowed(token.trim()))
            .filter(|token| !token.is_empty()));
    }
    let Some(query) = parts
        .uri
        .query()
        .filter(|query| query.contains("access_token"))
    else {
        return Ok(None);
    };
    let pairs: Vec<(Cow<'_, str>, Cow<'_, str>)> =
        serde_html_form::from_str(query).unwrap_or_default();
    Ok(pairs
        .into_iter()
        .find(|(name, value)| name == "access_token" && !value.is_empty())
        .map(|(_, value)| value))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(uri: &str, header: Option<&str>) -> Option<String> {
        let mut request = http::Request::builder().uri(uri);
        if let Some(header) = header {
            request = request.header(AUTHORIZATION, header);
        }
        let (parts, ()) = request.body(()).unwrap().into_parts();
        token(&parts).unwrap().map(Cow::into_owned)
    }

    #[test]
    fn the_token_is_found_where_clients_put_it() {
        assert_eq!(found("/x", Some("Bearer abc")).as_deref(), Some("abc"));
        assert_eq!(found("/x", Some("bearer  abc ")).as_deref(), Some("abc"));
        assert_eq!(
            found("/x?a=b&access_token=a%2Bc", None).as_deref(),
            Some("a+c")
        );
        assert_eq!(
            found("/x?access_token=query", Some("Bearer header")).as_deref(),
            Some("header")
        );
        for (uri, header) in [
            ("/x", None),
            ("/x", Some("Basic abc")),
            ("/x", Some("Bearer ")),
            ("/x?access_token=", None),
            ("/x?my_access_token=1", None),
        ] {
            assert_eq!(found(uri, header), None, "{uri} {header:?}");
        }
    }
}
