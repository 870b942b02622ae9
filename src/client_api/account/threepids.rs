//! `/_matrix/client/v3/account/3pid…` and the requests for a validation token: specification, "Adding account administrative contact information".
//!
//! This server knows no e-mail addresses and no phone numbers and asks no identity server. It says so with the codes the specification has for it, so that clients
//! can tell their users, and announces it in `m.3pid_changes`.

use ruma::api::client::account::{
    add_3pid, bind_3pid, delete_3pid, get_3pids, request_3pid_management_token_via_email,
    request_3pid_management_token_via_msisdn, request_password_change_token_via_email,
    request_password_change_token_via_msisdn, request_registration_token_via_email,
    request_registration_token_via_msisdn, unbind_3pid,
};
use web::{Authed, Matrix, Reply};

/// `GET /account/3pid`: nobody has any.
pub(crate) async fn get(
    _who: Authed,
    Matrix(_): Matrix<get_3pids::v3::Request>,
) -> Reply<get_3pids::v3::Response> {
    Ok(get_3pids::v3::Response::new(Vec::new()))
}

/// `POST /account/3pid/add`
pub(crate) async fn add(
    _who: Authed,
    Matrix(_): Matrix<add_3pid::v3::Request>,
) -> Reply<add_3pid::v3::Response> {
    Err(web::Error::third_party_ids_not_supported())
}

/// `POST /account/3pid/bind`
pub(crate) async fn bind(
    _who: Authed,
    Matrix(_): Matrix<bind_3pid::v3::Request>,
) -> Reply<bind_3pid::v3::Response> {
    Err(web::Error::third_party_ids_not_supported())
}

/// `POST /account/3pid/delete`: it is not there, which is what was wanted; and no identity server was asked.
pub(crate) async fn delete(
    _who: Authed,
    Matrix(_): Matrix<delete_3pid::v3::Request>,
) -> Reply<delete_3pid::v3::Response> {
    Ok(delete_3pid::v3::Response::new(
        ruma::api::client::account::ThirdPartyIdRemovalStatus::NoSupport,
    ))
}

/// `POST /account/3pid/unbind`
pub(crate) async fn unbind(
    _who: Authed,
    Matrix(_): Matrix<unbind_3pid::v3::Request>,
) -> Reply<unbind_3pid::v3::Response> {
    Ok(unbind_3pid::v3::Response::new(
        ruma::api::client::account::ThirdPartyIdRemovalStatus::NoSupport,
    ))
}

/// `POST /account/3pid/email/requestToken`
pub(crate) async fn email_token(
    Matrix(_): Matrix<request_3pid_management_token_via_email::v3::Request>,
) -> Reply<request_3pid_management_token_via_email::v3::Response> {
    Err(web::Error::third_party_ids_not_supported())
}

/// `POST /account/3pid/msisdn/requestToken`
pub(crate) async fn phone_token(
    Matrix(_): Matrix<request_3pid_management_token_via_msisdn::v3::Request>,
) -> Reply<request_3pid_management_token_via_msisdn::v3::Response> {
    Err(web::Error::third_party_ids_not_supported())
}

/// `POST /account/password/email/requestToken`
pub(crate) async fn password_email_token(
    Matrix(_): Matrix<request_password_change_token_via_email::v3::Request>,
) -> Reply<request_password_change_token_via_email::v3::Response> {
    Err(web::Error::third_party_ids_not_supported())
}

/// `POST /account/password/msisdn/requestToken`
pub(crate) async fn password_phone_token(
    Matrix(_): Matrix<request_password_change_token_via_msisdn::v3::Request>,
) -> Reply<request_password_change_token_via_msisdn::v3::Response> {
    Err(web::Error::third_party_ids_not_supported())
}

/// `POST /register/email/requestToken`
pub(crate) async fn register_email_token(
    Matrix(_): Matrix<request_registration_token_via_email::v3::Request>,
) -> Reply<request_registration_token_via_email::v3::Response> {
    Err(web::Error::third_party_ids_not_supported())
}

/// `POST /register/msisdn/requestToken`
pub(crate) async fn register_phone_token(
    Matrix(_): Matrix<request_registration_token_via_msisdn::v3::Request>,
) -> Reply<request_registration_token_via_msisdn::v3::Response> {
    Err(web::Error::third_party_ids_not_supported())
}
