//! Puts the server together, from the bottom up: each line names what the next one needs. The command line and the tests of the whole server both
//! do it here.

use std::error::Error;
use std::sync::Arc;

use actions::{Choices, House};
use base::{Config, SharedClock, SharedRandom, Supervisor};
use client_api::App;
use media::Media;
use peers::OwnKey;
use rooms::Rooms;
use store::Store;
use store::engine::Engine;
use sync::Sync;
use users::{Settings, Sweeper, Users};
use web::{Needs, Web};

/// Anything that keeps the server from starting, in a sentence.
pub(crate) type Failure = Box<dyn Error + Send + std::marker::Sync>;

/// Everything, put together and not yet moving.
pub(crate) struct Wired {
    /// What can be done.
    pub house: House,
    /// What handlers hold.
    pub app: App,
    /// Who runs it.
    pub supervisor: Supervisor,
}

/// Puts the server together over `engine`.
pub(crate) fn wire(
    config: &Config,
    key: OwnKey,
    engine: Arc<dyn Engine>,
    clock: SharedClock,
    random: &SharedRandom,
) -> Result<Wired, Failure> {
    let supervisor = Supervisor::new(clock.clone());
    let name = key.server_name.clone();
    let store = Store::open(engine)?;
    let rooms = Rooms::new(
        &config.rooms,
        store.clone(),
        key,
        clock.clone(),
        random.clone(),
    );
    let settings = Settings::of(&config.passwords, &config.presence, &config.limits);
    let users = Users::new(
        settings,
        &name,
        store.clone(),
        clock.clone(),
        random.clone(),
    );
    let files = config.storage.path.join("media");
    let media = Media::open(
        config.media.clone(),
        files,
        name,
        store.clone(),
        clock.clone(),
        random.clone(),
    )?;
    let choices = Choices {
        registration: config.registration.clone(),
        well_known: config.well_known.clone(),
    };
    let house = House::new(
        rooms.clone(),
        users.clone(),
        media,
        supervisor.tasks(),
        choices,
    );
    let sync = Sync::new(store.clone(), rooms, users.clone(), clock.clone(), random);
    let web = Web::new(Needs {
        limits: config.limits.clone(),
        listen: config.listen.clone(),
        users,
        supervisor: supervisor.clone(),
        clock,
        ready: ready(store),
    });
    let app = App {
        house: house.clone(),
        sync,
        web,
    };
    Ok(Wired {
        house,
        app,
        supervisor,
    })
}

impl Wired {
    /// Starts what happens by itself.
    pub(crate) fn start(&self) {
        self.supervisor
            .start(Sweeper::new(self.house.users.clone()));
        self.supervisor
            .start(rooms::delayed::Sender::new(self.house.rooms.clone()));
        self.app.sync.start(&self.supervisor);
    }
}

fn ready(store: Store) -> web::Ready {
    Box::new(move || match store.health() {
        store::Health::Well => Ok(()),
        store::Health::Full => Err("the disk is full".to_owned()),
        store::Health::ReadOnly(why) => Err(format!("the database takes no writes: {why}")),
    })
}
