//! What handlers hold: the house, what people get to see of it, and the door itself.

use actions::House;
use sync::Sync;
use sync::client_form::Viewer;
use users::Identity;
use web::{Site, Web};

use crate::reading::Result;

/// The state of all handlers. Clones are handles of the same.
#[derive(Clone)]
pub struct App {
    /// What can be done.
    pub house: House,
    /// What can be seen.
    pub sync: Sync,
    /// What every request needs.
    pub web: Web,
}

impl Site for App {
    fn web(&self) -> &Web {
        &self.web
    }
}

/// So that lists of endpoints of other crates can be served by the same door.
impl AsRef<House> for App {
    fn as_ref(&self) -> &House {
        &self.house
    }
}

impl App {
    /// Reads one moment of the store, on the blocking pool.
    pub(crate) async fn read<T: Send + 'static>(
        &self,
        read: impl FnOnce(&::rooms::Snapshot) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        self.house.rooms.store().read(read).await
    }

    /// Somebody as a reader of events.
    pub(crate) fn reader(&self, who: &Identity) -> Result<Viewer> {
        Ok(self.sync.viewer(&who.user_id, Some(&who.device_id))?)
    }
}
