//! GET /_matrix/media/v3/{download,thumbnail}/…
//!
//! The unauthenticated endpoints are frozen: they serve what was uploaded before the freeze, which on this server is nothing
//! (client-server API, "Content repository", since 1.11).

use web::{Asked, Error, Plain, Reply};

pub(crate) async fn get(_: Asked) -> Reply<Plain> {
    Err(Error::not_found(
        "Files are served to people who are signed in, at /_matrix/client/v1/media",
    ))
}
