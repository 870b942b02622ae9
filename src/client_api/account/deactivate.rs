//! `POST /_matrix/client/v3/account/deactivate`

use ruma::api::client::account::ThirdPartyIdRemovalStatus;
use ruma::api::client::account::deactivate::v3::{Request, Response};
use web::{Asked, Authed, Matrix, Reply};

use crate::App;
use crate::interactive::{self, Unproven};

/// Ends the user's own account.
pub(crate) async fn post(
    who: Authed,
    asked: Asked,
    Matrix(Unproven(ask)): Matrix<Unproven<Request>>,
    app: App,
) -> Reply<Response> {
    interactive::confirm(&app, &who, &asked).await?;
    actions::deactivate(&app.house, &who.user_id, ask.erase).await?;
    // No identity server knows this account, because we never asked one to.
    Ok(Response::new(ThirdPartyIdRemovalStatus::NoSupport))
}
