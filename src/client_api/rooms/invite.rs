//! `POST /_matrix/client/v3/rooms/{roomId}/invite`

use ruma::api::client::membership::invite_user::v3::{InvitationRecipient, Request, Response};
use web::{Authed, Matrix, Reply};

use crate::App;

/// Invites somebody by user ID. Inviting third-party IDs needs an identity server, which this server does not talk to.
pub(crate) async fn post(who: Authed, Matrix(ask): Matrix<Request>, app: App) -> Reply<Response> {
    let InvitationRecipient::UserId(guest) = ask.recipient else {
        return Err(web::Error::third_party_ids_not_supported());
    };
    actions::invite(&app.house, &who, &ask.room_id, &guest.user_id, guest.reason).await?;
    Ok(Response::new())
}
