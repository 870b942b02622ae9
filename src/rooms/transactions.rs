//! Which transactions of other servers were answered, and how (server-server API, *Transactions*): a server that did not get the answer sends the same
//! transaction again, and gets the same answer. A server sends one transaction after the other, so only its last few are kept.

use ruma::ServerName;
use store::rows::rooms::AnsweredRow;
use store::{Order, tables};

use crate::Rooms;
use crate::error::{Error, Result};

/// How many answers are kept for each server.
const KEPT: u8 = 8;

impl Rooms {
    /// The answer that a server's transaction was given, if it was: a JSON text.
    pub async fn answered(&self, origin: &ServerName, txn_id: &str) -> Result<Option<String>> {
        let (origin, txn_id) = (origin.to_string(), txn_id.to_owned());
        self.store()
            .read(move |s| {
                for row in s.prefix(tables::ANSWERED, &(origin.as_str(),), Order::Forward) {
                    let (_, row) = row?;
                    if row.txn_id == txn_id {
                        return Ok::<_, Error>(Some(row.answer));
                    }
                }
                Ok(None)
            })
            .await
    }

    /// Keeps the answer to a server's transaction, in the place of the oldest one if there are enough.
    pub async fn keep_answer(
        &self,
        origin: &ServerName,
        txn_id: &str,
        answer: String,
    ) -> Result<()> {
        let (origin, txn_id) = (origin.to_string(), txn_id.to_owned());
        let keep = move |tx: &mut store::Tx| {
            let last = tx
                .prefix(tables::ANSWERED, &(origin.as_str(),), Order::Forward)
                .try_fold(0, |last, row| Ok::<_, Error>(row?.1.number.max(last)))?;
            let number = last + 1;
            let place = u8::try_from(number % u64::from(KEPT)).unwrap_or_default();
            let row = AnsweredRow {
                number,
                txn_id: txn_id.clone(),
                answer: answer.clone(),
            };
            Ok::<_, Error>(tx.put(tables::ANSWERED, &(origin.as_str(), place), &row)?)
        };
        self.store().write(keep).await?;
        Ok(())
    }
}
