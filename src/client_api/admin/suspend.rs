//! `/_matrix/client/v1/admin/suspend/{userId}`

use ruma::api::client::admin::{is_user_suspended, suspend_user};
use users::accounts::Mark;
use web::{Authed, Matrix, Reply};

use crate::App;

/// Is the account suspended?
pub(crate) async fn get(
    who: Authed,
    Matrix(ask): Matrix<is_user_suspended::v1::Request>,
    app: App,
) -> Reply<is_user_suspended::v1::Response> {
    let account = actions::accounts::inspect(&app.house, &who, &ask.user_id).await?;
    Ok(is_user_suspended::v1::Response::new(account.suspended))
}

/// Suspends an account, or takes that back.
pub(crate) async fn put(
    who: Authed,
    Matrix(ask): Matrix<suspend_user::v1::Request>,
    app: App,
) -> Reply<suspend_user::v1::Response> {
    actions::accounts::mark(
        &app.house,
        &who,
        &ask.user_id,
        Mark::Suspended(ask.suspended),
    )
    .await?;
    Ok(suspend_user::v1::Response::new(ask.suspended))
}
