//! `GET /_matrix/client/v3/thirdparty/…`: specification, "Third-party networks".
//!
//! No bridge is connected to this server, so there are no protocols, and nothing belongs to one.

use ruma::api::client::thirdparty::{
    get_location_for_protocol, get_location_for_room_alias, get_protocol, get_protocols,
    get_user_for_protocol, get_user_for_user_id,
};
use web::{Authed, Matrix, Reply};

/// `GET /thirdparty/protocols`
pub(crate) async fn protocols(
    _who: Authed,
    Matrix(_): Matrix<get_protocols::v3::Request>,
) -> Reply<get_protocols::v3::Response> {
    Ok(get_protocols::v3::Response::new(Default::default()))
}

/// `GET /thirdparty/protocol/{protocol}`
pub(crate) async fn protocol(
    _who: Authed,
    Matrix(_): Matrix<get_protocol::v3::Request>,
) -> Reply<get_protocol::v3::Response> {
    Err(web::Error::not_found(
        "no such protocol is connected to this server",
    ))
}

/// `GET /thirdparty/location/{protocol}`
pub(crate) async fn locations(
    _who: Authed,
    Matrix(_): Matrix<get_location_for_protocol::v3::Request>,
) -> Reply<get_location_for_protocol::v3::Response> {
    Err(web::Error::not_found(
        "no such protocol is connected to this server",
    ))
}

/// `GET /thirdparty/location`
pub(crate) async fn location_of_alias(
    _who: Authed,
    Matrix(_): Matrix<get_location_for_room_alias::v3::Request>,
) -> Reply<get_location_for_room_alias::v3::Response> {
    Err(web::Error::not_found(
        "the alias belongs to no other network",
    ))
}

/// `GET /thirdparty/user/{protocol}`
pub(crate) async fn users(
    _who: Authed,
    Matrix(_): Matrix<get_user_for_protocol::v3::Request>,
) -> Reply<get_user_for_protocol::v3::Response> {
    Err(web::Error::not_found(
        "no such protocol is connected to this server",
    ))
}

/// `GET /thirdparty/user`
pub(crate) async fn user(
    _who: Authed,
    Matrix(_): Matrix<get_user_for_user_id::v3::Request>,
) -> Reply<get_user_for_user_id::v3::Response> {
    Err(web::Error::not_found(
        "the user belongs to no other network",
    ))
}
