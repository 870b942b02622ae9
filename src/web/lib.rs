//! Listeners, extractors, authentication, limits and the one error table.
//!
//! # How a handler looks
//!
//! ```ignore
//! //! PUT /_matrix/client/v3/rooms/{roomId}/send/{eventType}/{txnId}
//! use ruma::api::client::message::send_message_event::v3::{Request, Response};
//! use web::{Authed, Matrix, Reply};
//!
//! pub(crate) async fn put(who: Authed, Matrix(ask): Matrix<Request>, app: App) -> Reply<Response> {
//!     let event_id = actions::send(&app.house, &who, …).await?;      // every domain error becomes a web::Error by `?`
//!     Ok(Response::new(event_id))
//! }
//! ```
//!
//! A handler is an async function of up to five parts of the request ([`Part`]), in any order:
//!
//! | part | is |
//! |---|---|
//! | [`Matrix<Request>`] | the request as ruma types it; names the endpoint: method, and every path it has or had |
//! | [`Authed`] | who asks, a [`users::Identity`]; refuses a missing or bad token, locked accounts and guests |
//! | [`Guest`] | the same, guests welcome; [`Locked`]: locked accounts too (log out) |
//! | `Option<Authed>` | who asks, if they say so |
//! | [`FromServer`] | the other server that signed the request |
//! | [`Path<T>`], [`Query<T>`] | what stands in the path and the query, for endpoints that ruma does not type |
//! | `App` | the state, which implements [`Site`] |
//! | [`Asked`] | address, headers, query, path and body bytes of the request, for what ruma's types leave out |
//! | [`Json<T>`], [`Upload`] | a body of our own type; a body that is read while it arrives |
//!
//! It answers [`Reply<T>`]: a ruma response, [`JsonBytes`], [`Plain`], or an [`Error`]. Routes are a plain list, one line per endpoint:
//!
//! ```ignore
//! pub fn routes() -> Routes<App> {
//!     Routes::new()
//!         .mount(rooms::send::put)                                      // every path that ruma knows for it
//!         .mount_limited(Class::SignIn, session::login::post)           // counts against a tighter rate limit
//!         .mount_waiting(sync::get)                                     // waits for news: cancelled when the client hangs up
//!         .also(&["/_matrix/client/v3/rooms/{room_id}/state/{event_type}/"], rooms::state::get)   // paths ruma lacks; arguments that are missing at the end are empty
//!         .route(Method::GET, "/_matrix/client/v3/initialSync", initial_sync::get)               // endpoints that ruma lacks
//! }
//! ```
//!
//! Every handler that does not wait runs in a task of its own, to its end, whether or not the client is still there. Nothing here knows what a request
//! means: that begins in `client_api`.

mod answer;
mod auth;
mod body;
mod cors;
mod errors;
mod from_server;
mod handler;
mod health;
mod leftover;
mod limits;
mod part;
mod patience;
mod routes;
mod serve;
mod site;
mod tls;
mod trace;

#[cfg(test)]
mod serve_tests;
#[cfg(test)]
mod tests;

pub use answer::{Answer, JsonBytes, Plain, Reply};
pub use auth::{Authed, Guest, Locked, Need};
pub use body::{Json, Matrix, Upload};
pub use errors::Error;
pub use from_server::FromServer;
pub use handler::{Endpoint, Handler};
pub use limits::Class;
pub use part::{Asked, FromArgs, Incoming, Part, Path, Query};
pub use routes::{Routes, Served};
pub use serve::{Error as ServeError, Listeners, asked_to_stop};
pub use site::{Needs, Ready, Site, Web};
