//! Filters: what a client wants to see of a sync, kept under a short name (CS "Filtering"). The name is made from the
//! filter, so that a client that stores the same one at every start stores it once.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ruma::UserId;
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};
use store::Order;
use store::tables::FILTERS;

use crate::{Error, Users, What, signed_json};

const LIMIT: usize = 64 * 1024;
/// Most filters of one user.
const MOST: usize = 1000;

/// A filter's name: twelve characters, worth 72 bits, which nobody but its owner can look up.
fn name(canonical: &str) -> String {
    let hash = Sha256::digest(canonical);
    URL_SAFE_NO_PAD.encode(hash.get(..9).unwrap_or_default())
}

impl Users {
    /// Keeps a filter, and gives its name.
    pub async fn create_filter(&self, user: &UserId, filter: &RawValue) -> Result<String, Error> {
        if filter.get().len() > LIMIT {
            return Err(Error::TooLarge("the filter"));
        }
        let no = self.local_no(user)?;
        let canonical = signed_json::write(&signed_json::parse(filter.get())?)?;
        let id = name(&canonical);
        let place = (no, id.clone());
        let known = place.clone();
        if self.read(move |s| Ok(s.contains(FILTERS, &known)?)).await? {
            return Ok(id);
        }
        self.write(move |tx| {
            if tx.prefix(FILTERS, &(no,), Order::Forward).keys().count() >= MOST {
                return Err(Error::TooMany("filters"));
            }
            Ok(tx.put(FILTERS, &place, canonical.as_str())?)
        })
        .await?;
        Ok(id)
    }

    /// A filter that was kept.
    pub async fn filter(&self, user: &UserId, id: &str) -> Result<Box<RawValue>, Error> {
        let (no, id) = (self.local_no(user)?, id.to_owned());
        let filter = self.read(move |s| Ok(s.get(FILTERS, &(no, id))?)).await?;
        let filter = filter.ok_or(Error::NotFound(What::Filter))?;
        RawValue::from_string(filter.into_boxed_str().into()).map_err(|_| Error::Damaged("filter"))
    }
}
