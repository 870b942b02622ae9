//! Administration: `myelin user …`, `myelin explain …` and `myelin federation …` on the command line, the socket by which it reaches the running server, and the shared-secret registration
//! that tools of the field use.
//!
//! Wiring, in `main`: [`register::routes`] joins the routes that everybody reaches; [`socket::router`] is served on
//! `web::Listeners::private(&admin::socket::path(data))` and nowhere else; [`cli::run`] is what `myelin user …` runs,
//! [`federation::run`] what `myelin federation …` does.

pub mod cli;
pub mod desk;
mod error;
mod explain;
pub mod federation;
mod password;
pub mod register;
pub mod socket;

pub use error::{Error, Result};
