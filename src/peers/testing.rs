//! What other crates' tests make their servers of.

use base::config::FederationConfig;
use base::{ManualClock, SeededRandom};
use event::KeyPair;
use ruma::ServerName;
use store::Store;

use crate::loopback::Network;
use crate::{Needs, OwnKey, Peers};

impl Needs {
    /// Everything for a server in a test's network: an empty store in memory, a stopped clock, a key that follows from the name, and no notaries.
    ///
    /// # Panics
    /// Never: a key can be made of any 32 bytes.
    #[must_use]
    #[expect(clippy::panic, reason = "tests have nobody to report to")]
    pub fn for_tests(server: &ServerName, network: &Network) -> Self {
        let mut seed = [7; 32];
        for (place, byte) in seed.iter_mut().zip(server.as_str().bytes()) {
            *place ^= byte;
        }
        let key = match KeyPair::from_seed(&seed, "test") {
            Ok(key) => key,
            Err(error) => panic!("a key for {server}: {error}"),
        };
        Self {
            config: FederationConfig {
                notaries: Vec::new(),
                ..FederationConfig::default()
            },
            own: OwnKey::new(server, key),
            old_keys: Vec::new(),
            store: Store::memory(),
            clock: ManualClock::plausible().shared(),
            random: SeededRandom::new(1).shared(),
            transport: network.transport(server),
        }
    }
}

impl Peers {
    /// A server in a test's network. It can ask at once; to be asked, it has to join the network.
    ///
    /// # Panics
    /// Never: nothing of it can fail.
    #[must_use]
    #[expect(clippy::panic, reason = "tests have nobody to report to")]
    pub fn for_tests(server: &ServerName, network: &Network) -> Self {
        match Self::new(Needs::for_tests(server, network)) {
            Ok(peers) => peers,
            Err(error) => panic!("{server}: {error}"),
        }
    }
}
