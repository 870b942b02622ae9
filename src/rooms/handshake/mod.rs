//! Coming and going between servers (server-server API, *Joining rooms*, *Knocking upon a room*, *Inviting to a room*, *Leaving
//! rooms*): the only ways by which a server that is not in a room changes something in it.
//!
//! As the *resident* we make templates (`template.rs`), look at what comes back (`resident.rs`), and hand out the room
//! (`answer.rs`). As the *newcomer* we ask (`asking.rs`), fill templates field by field (`fill.rs`), read what a room is
//! (`scan.rs`, `arrival.rs`), and take it in as a whole (`join.rs`); departures and knocks of our users elsewhere are in
//! `depart.rs`, invitations in `invite.rs` and `invited.rs`, and what is remembered of rooms that we are not in, in `outside.rs`; how that ends from the
//! other side, in `rescind.rs`.
//! HTTP is not known here: `federation_api` and `peers` speak it.

mod answer;
mod arrival;
mod asking;
mod check;
mod depart;
mod directory;
mod fill;
mod invite;
mod invited;
mod join;
mod outside;
mod preview;
mod rescind;
mod resident;
mod scan;
mod template;
mod voucher;

pub use answer::SendJoinAnswer;
pub use depart::KnockRemote;
pub use invited::{CheckedInvitation, Invitation};
pub use join::{JoinRemote, Joined};
pub use resident::{Offered, Received};
pub use template::Template;

pub(crate) use invite::goes_abroad;
pub(crate) use voucher::AUTHORISED_VIA;

#[cfg(test)]
mod tests;
