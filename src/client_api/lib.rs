//! `/_matrix/client`: a file per endpoint, in folders that follow the specification's headings.
//!
//! A handler reads the request, calls one action or one reader, and shapes the reply. [`routes()`] is the list of all of them; a test holds it against
//! the specification's list, `docs/endpoints.tsv`, so coverage is a fact. What may be done is decided in `actions`, what may be seen in `rooms` and `sync`, and
//! what an error is called in `web`.

mod account;
mod admin;
mod app;
mod devices;
mod directory;
mod discovery;
mod interactive;
mod json;
mod keys;
mod media;
mod own;
mod pages;
mod push;
mod reading;
mod rooms;
mod routes;
mod session;
mod sliding_sync;
mod sync_events;
mod thirdparty;
mod user_data;
mod voip;

#[cfg(test)]
mod tests;

pub use app::App;
pub use routes::routes;
