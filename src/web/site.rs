//! What every request needs, whatever it asks for: who may speak, how often, and where its task runs.

use std::sync::Arc;

use base::config::{LimitsConfig, ListenConfig};
use base::{SharedClock, Supervisor, Tasks};
use peers::Peers;
use users::Users;

use crate::from_server::Visitors;
use crate::limits::Limits;

/// The state of a door's handlers, as far as `web` is concerned with it.
pub trait Site: Clone + Send + Sync + 'static {
    /// Where requests go through.
    fn web(&self) -> &Web;
}

/// What every request needs. Cheap to clone.
#[derive(Clone)]
pub struct Web {
    pub(crate) inner: Arc<Inner>,
}

pub(crate) struct Inner {
    pub(crate) config: LimitsConfig,
    pub(crate) limits: Limits,
    pub(crate) users: Users,
    pub(crate) peers: Peers,
    pub(crate) visitors: Arc<Visitors>,
    pub(crate) supervisor: Supervisor,
    pub(crate) tasks: Tasks,
    pub(crate) clock: SharedClock,
    pub(crate) ready: Ready,
}

/// Says what keeps the server from working, if anything does.
pub type Ready = Box<dyn Fn() -> Result<(), String> + Send + Sync>;

/// What [`Web`] is made of.
pub struct Needs {
    /// Sizes and rates.
    pub limits: LimitsConfig,
    /// Whose word about addresses is believed.
    pub listen: ListenConfig,
    /// Who may speak.
    pub users: Users,
    /// Who other servers are.
    pub peers: Peers,
    /// Who runs tasks.
    pub supervisor: Supervisor,
    /// What time it is.
    pub clock: SharedClock,
    /// Whether what lies below works.
    pub ready: Ready,
}

impl Web {
    /// Puts the parts together.
    #[must_use]
    pub fn new(needs: Needs) -> Self {
        let Needs {
            limits: config,
            listen,
            users,
            peers,
            supervisor,
            clock,
            ready,
        } = needs;
        let limits = Limits::new(&config, listen.trusted_proxies, Arc::clone(&clock));
        let tasks = supervisor.tasks();
        Self {
            inner: Arc::new(Inner {
                config,
                limits,
                users,
                peers,
                visitors: Arc::default(),
                supervisor,
                tasks,
                clock,
                ready,
            }),
        }
    }

    /// What time it is.
    #[must_use]
    pub fn now(&self) -> base::Timestamp {
        self.inner.clock.now()
    }

    /// Tasks that run to their end though the client hangs up, and the sign that the server is stopping.
    #[must_use]
    pub fn tasks(&self) -> &Tasks {
        &self.inner.tasks
    }
}

impl std::fmt::Debug for Web {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Web")
    }
}

/// A site of its own, for handlers that need nothing else.
impl Site for Web {
    fn web(&self) -> &Web {
        self
    }
}
