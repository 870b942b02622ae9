//! What every handler of a request of another server holds. What they do with it is theirs.

use actions::House;
use rooms::Snapshot;
use ruma::UserId;
use web::{Site, Web};

use crate::transactions::Transactions;

/// The state of all handlers. Clones are handles of the same.
#[derive(Clone)]
pub struct App {
    /// What can be done.
    pub(crate) house: House,
    /// What every request needs.
    pub(crate) web: Web,
    /// The transactions under way.
    pub(crate) transactions: Transactions,
}

impl Site for App {
    fn web(&self) -> &Web {
        &self.web
    }
}

impl App {
    /// Puts the parts together.
    #[must_use]
    pub fn new(house: House, web: Web) -> Self {
        Self {
            house,
            web,
            transactions: Transactions::default(),
        }
    }

    /// Reads one moment of the store, on the blocking pool.
    pub(crate) async fn read<T: Send + 'static>(
        &self,
        read: impl FnOnce(&Snapshot) -> Result<T, web::Error> + Send + 'static,
    ) -> Result<T, web::Error> {
        self.house.rooms.store().read(read).await
    }

    /// Refuses questions about users who are not ours to speak of.
    pub(crate) fn ours(&self, user: &UserId) -> Result<(), web::Error> {
        if self.house.is_local(user) {
            Ok(())
        } else {
            Err(web::Error::invalid_param(
                "This is not a user of this server",
            ))
        }
    }
}
