//! What someone can do: one file per verb, whoever asks.
//!
//! Each action is one public async function that takes `&House` (the handles of the levels below) and who acts: permissions and policy first, then
//! the calls into `rooms`, `users` and `media`. Nothing here knows HTTP, and nothing here stores.

pub mod accounts;
pub mod alias;
mod ban;
mod carry_over;
mod claim_keys;
pub mod create_room;
mod deactivate;
mod delay;
mod error;
mod forget;
mod house;
mod invite;
mod join;
mod kick;
mod knock;
mod leave;
pub mod login;
mod member;
mod policy;
mod presence;
mod publish;
mod query_keys;
pub mod receipt;
mod redact;
pub mod register;
pub mod report;
mod resolve;
pub mod send;
mod send_to_device;
mod set_profile;
pub mod set_state;
mod typing;
mod unban;
mod upgrade_room;

pub use ban::ban;
pub use claim_keys::{Claimed, claim_keys};
pub use create_room::create_room;
pub use deactivate::deactivate;
pub use delay::delay;
pub use error::{Error, Result};
pub use forget::forget;
pub use house::{Choices, House};
pub use invite::invite;
pub use join::join;
pub use kick::kick;
pub use knock::knock;
pub use leave::leave;
pub use login::login;
pub use presence::presence;
pub use publish::publish;
pub use query_keys::{Queried, query_keys};
pub use receipt::receipt;
pub use redact::redact;
pub use resolve::{Found, resolve};
pub use send::send;
pub use send_to_device::send_to_device;
pub use set_profile::set_profile;
pub use set_state::set_state;
pub use typing::typing;
pub use unban::unban;
pub use upgrade_room::upgrade_room;
pub use users::Identity;
