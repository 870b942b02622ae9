//! Accounts: specification, "Account registration" and "Account management" of the legacy API.

pub(crate) mod deactivate;
pub(crate) mod fallback;
pub(crate) mod password;
pub(crate) mod register;
pub(crate) mod register_available;
pub(crate) mod registration_token;
pub(crate) mod threepids;
pub(crate) mod whoami;
