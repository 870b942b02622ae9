//! `GET /_matrix/federation/v1/query/{queryType}`

use web::{Error, FromServer, JsonBytes, Reply};

/// No kinds of questions are known here beside the specified ones.
pub(crate) async fn get(_: FromServer) -> Reply<JsonBytes> {
    Err(Error::unrecognized("This kind of query is not known here"))
}
