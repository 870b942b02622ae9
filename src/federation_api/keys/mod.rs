//! Signing keys: ours, and those of others as a notary tells them (SS "Retrieving server keys").

pub(crate) mod query;
pub(crate) mod server;
