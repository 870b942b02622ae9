//! `/_matrix/client/v1/admin/lock/{userId}`

use ruma::api::client::admin::{is_user_locked, lock_user};
use users::accounts::Mark;
use web::{Authed, Matrix, Reply};

use crate::App;

/// Is the account locked?
pub(crate) async fn get(
    who: Authed,
    Matrix(ask): Matrix<is_user_locked::v1::Request>,
    app: App,
) -> Reply<is_user_locked::v1::Response> {
    let account = actions::accounts::inspect(&app.house, &who, &ask.user_id).await?;
    Ok(is_user_locked::v1::Response::new(account.locked))
}

/// Locks an account, or unlocks it.
pub(crate) async fn put(
    who: Authed,
    Matrix(ask): Matrix<lock_user::v1::Request>,
    app: App,
) -> Reply<lock_user::v1::Response> {
    actions::accounts::mark(&app.house, &who, &ask.user_id, Mark::Locked(ask.locked)).await?;
    Ok(lock_user::v1::Response::new(ask.locked))
}
