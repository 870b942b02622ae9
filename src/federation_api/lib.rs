//! `/_matrix/federation` and `/_matrix/key`: what other servers ask of us, a file per endpoint, in folders that follow the headings of the
//! server-server API.
//!
//! A handler reads the request, calls one function of `actions`, `rooms`, `users` or `media`, and shapes the reply. Who asks is proven before a
//! handler runs ([`web::FromServer`]); whether they may have it is decided where rooms are read. [`routes()`] is the list of all of them; a test
//! holds it against the specification's, `docs/endpoints.tsv`.

mod app;
mod directory;
mod discovery;
mod events;
mod inviting;
mod joining;
mod keys;
mod media;
mod query;
mod routes;
mod spaces;
mod third_party;
mod transactions;
mod users;

#[cfg(test)]
mod tests;

pub use app::App;
pub use routes::routes;
