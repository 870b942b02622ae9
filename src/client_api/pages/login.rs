//! `GET /_matrix/static/client/login/`: signing in from a web page, for clients that know none of the login flows.

use axum::response::Response;

use super::{LOGIN, page};

const FORM: &str = "<form id=\"login\">\
    <p><label>User name <input name=\"user\" autocomplete=\"username\" required></label></p>\
    <p><label>Password <input name=\"password\" type=\"password\" autocomplete=\"current-password\" required></label></p>\
    <p><button>Sign in</button></p></form><p id=\"said\" role=\"status\"></p>";

/// The page. What stands in its query is read by its script and sent as JSON; it never becomes markup.
pub(crate) async fn get() -> Response {
    page("Sign in", FORM, Some(LOGIN))
}
