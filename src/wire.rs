//! Puts the server together, from the bottom up: each line names what the next one needs. The command line and the tests of the whole server both
//! do it here.

use std::error::Error;
use std::sync::Arc;

use actions::{Choices, House};
use base::{Config, SharedClock, SharedRandom, Supervisor};
use client_api::App;
use media::Media;
use outbox::Outbox;
use peers::{OldKey, OwnKey, Peers, Transport};
use rooms::Rooms;
use store::Store;
use store::engine::Engine;
use sync::Sync;
use users::{Settings, Sweeper, Users};
use web::{Needs, Served, Web};

/// Anything that keeps the server from starting, in a sentence.
pub(crate) type Failure = Box<dyn Error + Send + std::marker::Sync>;

/// Everything, put together and not yet moving.
pub(crate) struct Wired {
    /// What can be done.
    pub house: House,
    /// What the handlers of clients' requests hold.
    pub app: App,
    /// What the handlers of other servers' requests hold.
    pub federation: federation_api::App,
    /// What must leave the building.
    pub outbox: Outbox,
    /// Who runs it.
    pub supervisor: Supervisor,
}

/// What the server stands on, which is another thing in a test than on a machine.
pub(crate) struct Ground {
    /// Our name, and the key that proves it.
    pub key: OwnKey,
    /// Where everything is kept.
    pub engine: Arc<dyn Engine>,
    /// The way to other servers.
    pub transport: Arc<dyn Transport>,
    /// What time it is.
    pub clock: SharedClock,
    /// Where chance comes from.
    pub random: SharedRandom,
}

/// Puts the server together.
pub(crate) fn wire(config: &Config, ground: Ground) -> Result<Wired, Failure> {
    let Ground {
        key,
        engine,
        transport,
        clock,
        random,
    } = ground;
    let supervisor = Supervisor::new(clock.clone());
    let store = Store::open(engine)?;
    let peers = Peers::new(peers::Needs {
        config: config.federation.clone(),
        own: key,
        old_keys: OldKey::load(&config.storage.path)?,
        store: store.clone(),
        clock: clock.clone(),
        random: random.clone(),
        transport,
    })?;
    let rooms = Rooms::new(
        &config.rooms,
        store.clone(),
        peers.clone(),
        clock.clone(),
        random.clone(),
    );
    let settings = Settings::of(&config.passwords, &config.presence, &config.limits);
    let users = Users::new(
        settings,
        peers.server_name(),
        store.clone(),
        clock.clone(),
        random.clone(),
    );
    let files = config.storage.path.join("media");
    let media = Media::open(
        config.media.clone(),
        files,
        peers.clone(),
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
        peers.clone(),
        supervisor.tasks(),
        choices,
    );
    let outbox = Outbox::new(outbox::Needs {
        store: store.clone(),
        rooms: rooms.clone(),
        users: users.clone(),
        peers: peers.clone(),
        clock: clock.clone(),
        random: random.clone(),
        config: config.federation.clone(),
    })?;
    let sync = Sync::new(store.clone(), rooms, users.clone(), clock.clone(), &random);
    let web = Web::new(Needs {
        limits: config.limits.clone(),
        listen: config.listen.clone(),
        users,
        peers,
        supervisor: supervisor.clone(),
        clock,
        ready: ready(store),
    });
    let federation = federation_api::App::new(house.clone(), web.clone());
    let app = App {
        house: house.clone(),
        sync,
        web,
    };
    Ok(Wired {
        house,
        app,
        federation,
        outbox,
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
        self.house.rooms.start(&self.supervisor);
        self.app.sync.start(&self.supervisor);
        self.outbox.start(&self.supervisor);
    }

    /// What is served to everybody: people's clients and other servers.
    pub(crate) fn everything(&self) -> Served {
        let clients = client_api::routes().and(admin::register::routes());
        clients.with(self.app.clone()).and(self.to_servers())
    }

    /// What is served to other servers.
    pub(crate) fn to_servers(&self) -> Served {
        federation_api::routes().with(self.federation.clone())
    }
}

fn ready(store: Store) -> web::Ready {
    Box::new(move || match store.health() {
        store::Health::Well => Ok(()),
        store::Health::Full => Err("the disk is full".to_owned()),
        store::Health::ReadOnly(why) => Err(format!("the database takes no writes: {why}")),
    })
}
