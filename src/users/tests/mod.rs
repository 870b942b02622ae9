//! Behaviour of users, on the memory engine with a stopped clock.

mod accounts;
mod cross_signing;
mod data;
mod dehydrated;
mod key_backup;
mod keys;
mod presence;
mod push_rules;
mod sessions;
mod speed;
mod to_device;
mod uia;

use std::collections::BTreeMap;
use std::sync::Arc;

use base::{ManualClock, Secret, SeededRandom};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use ed25519_dalek::{Signer, SigningKey};
use ruma::{OwnedDeviceId, OwnedUserId, UserId, server_name};
use serde_json::value::{RawValue, to_raw_value};
use serde_json::{Value, json};
use store::Store;
use store::memory::Memory;

use crate::device_keys::KeyUpload;
use crate::registration::Registration;
use crate::sessions::{NewSession, Tokens};
use crate::{Settings, Users};

/// A server's users, and what tests have to reach behind them.
struct World {
    users: Users,
    clock: ManualClock,
    store: Store,
    engine: Arc<Memory>,
}

impl World {
    fn new() -> Self {
        Self::on(Arc::new(Memory::new()), ManualClock::plausible(), 1)
    }

    fn on(engine: Arc<Memory>, clock: ManualClock, seed: u64) -> Self {
        let store = Store::open(engine.clone()).unwrap();
        let settings = Settings {
            password_memory_kib: 8,
            password_passes: 1,
            to_device_limit: 50,
            ..Settings::default()
        };
        let random = SeededRandom::new(seed).shared();
        let users = Users::new(
            settings,
            server_name!("h.example"),
            store.clone(),
            clock.shared(),
            random,
        );
        Self {
            users,
            clock,
            store,
            engine,
        }
    }

    /// The same server after the power was cut.
    fn after_crash(&self) -> Self {
        Self::on(Arc::new(self.engine.after_crash()), self.clock.clone(), 2)
    }

    /// Somebody who is logged in with a device of this name.
    async fn person(&self, name: &str, device: &str) -> Person {
        let session = NewSession {
            device_id: Some(device.into()),
            ..NewSession::default()
        };
        let wanted = Registration {
            username: Some(name.to_owned()),
            password: Some(password("correct horse")),
            session: Some(session),
            ..Registration::default()
        };
        let registered = self.users.register(wanted).await.unwrap();
        Person {
            id: registered.user_id,
            tokens: registered.tokens.unwrap(),
        }
    }

    async fn log_in(&self, user: &UserId, device: &str, refreshable: bool) -> Tokens {
        let wanted = NewSession {
            device_id: Some(device.into()),
            refreshable,
            ..NewSession::default()
        };
        self.users.open_session(user, wanted).await.unwrap()
    }
}

struct Person {
    id: OwnedUserId,
    tokens: Tokens,
}

impl Person {
    fn device(&self) -> OwnedDeviceId {
        self.tokens.device_id.clone()
    }
}

fn password(text: &str) -> Secret {
    Secret::new(text.to_owned())
}

fn raw(value: &Value) -> Box<RawValue> {
    to_raw_value(value).unwrap()
}

/// A key pair for tests; the same number gives the same key.
fn key(number: u8) -> SigningKey {
    SigningKey::from_bytes(&[number; 32])
}

fn public(key: &SigningKey) -> String {
    STANDARD_NO_PAD.encode(key.verifying_key().as_bytes())
}

/// Adds a signature to an object.
fn sign(object: &mut Value, user: &UserId, key_id: &str, key: &SigningKey) {
    let mut bare = object.clone();
    bare.as_object_mut().unwrap().remove("signatures");
    bare.as_object_mut().unwrap().remove("unsigned");
    // serde_json sorts keys here, and these tests use nothing that canonical JSON writes otherwise.
    let signature = key.sign(serde_json::to_string(&bare).unwrap().as_bytes());
    object["signatures"][user.as_str()][key_id] =
        STANDARD_NO_PAD.encode(signature.to_bytes()).into();
}

/// A device's identity keys, signed by itself.
fn device_keys(user: &UserId, device: &str, key: &SigningKey) -> Value {
    let key_id = format!("ed25519:{device}");
    let mut keys = json!({
        "user_id": user, "device_id": device,
        "algorithms": ["m.olm.v1.curve25519-aes-sha2", "m.megolm.v1.aes-sha2"],
        "keys": { (&key_id): public(key), format!("curve25519:{device}"): public(key) },
    });
    sign(&mut keys, user, &key_id, key);
    keys
}

/// One-time keys numbered from `from`.
fn one_time_keys(from: usize, count: usize) -> BTreeMap<String, Box<RawValue>> {
    let one = |number: usize| {
        let bytes: Vec<u8> = number.to_be_bytes().repeat(4);
        let value = json!({ "key": STANDARD_NO_PAD.encode(bytes), "signatures": { "@a:h": { "ed25519:X": "abc" } } });
        (format!("signed_curve25519:K{number:05}"), raw(&value))
    };
    (from..from + count).map(one).collect()
}

fn upload(device: Option<Value>, one_time: BTreeMap<String, Box<RawValue>>) -> KeyUpload {
    KeyUpload {
        device_keys: device.map(|keys| raw(&keys)),
        one_time_keys: one_time,
        fallback_keys: BTreeMap::new(),
    }
}

/// Everything of a kind that the log says, as text.
fn logged(store: &Store, after: store::Pos) -> Vec<String> {
    let changes = store.changes(after, store.head(), usize::MAX).unwrap();
    changes
        .into_iter()
        .map(|(_, change)| format!("{change:?}"))
        .collect()
}
