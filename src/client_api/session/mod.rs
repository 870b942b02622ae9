//! Signing in and out: specification, "Login" and "Refreshing access tokens".

pub(crate) mod login;
pub(crate) mod login_token;
pub(crate) mod logout;
pub(crate) mod refresh;
