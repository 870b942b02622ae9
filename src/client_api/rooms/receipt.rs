//! `POST /_matrix/client/v3/rooms/{roomId}/receipt/{receiptType}/{eventId}`

use actions::receipt::Mark;
use ruma::api::client::receipt::create_receipt::v3::{ReceiptType, Request, Response};
use ruma::events::receipt::ReceiptThread;
use web::{Authed, Matrix, Reply};

use crate::App;

/// Says up to where the user has read.
pub(crate) async fn post(who: Authed, Matrix(ask): Matrix<Request>, app: App) -> Reply<Response> {
    let mark = match ask.receipt_type {
        ReceiptType::Read => Mark::Read,
        ReceiptType::ReadPrivate => Mark::ReadPrivate,
        ReceiptType::FullyRead => Mark::FullyRead,
        other => {
            return Err(web::Error::invalid_param(format!(
                "there are no receipts of the type {other}"
            )));
        }
    };
    let thread = match &ask.thread {
        ReceiptThread::Unthreaded => None,
        thread => thread.as_str(),
    };
    if mark == Mark::FullyRead && thread.is_some() {
        return Err(web::Error::invalid_param(
            "the marker of what was read in full has no thread",
        ));
    }
    actions::receipt(&app.house, &who, &ask.room_id, mark, thread, &ask.event_id).await?;
    Ok(Response::new())
}
