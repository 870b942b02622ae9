//! EDUs: what may be lost is told to those who listen; what may not, is told whatever happens.

use std::collections::BTreeMap;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use ed25519_dalek::{Signer, SigningKey};
use ruma::presence::PresenceState;
use ruma::{OwnedRoomId, device_id};
use serde_json::{Value, json};
use users::device_keys::KeyUpload;
use users::to_device::Messages;

use super::house::{Got, House, Listener, server, user};

async fn together() -> (House, Listener, OwnedRoomId) {
    let house = House::new();
    let listener = Listener::join(&house.network, "far");
    house.person("alice", "A").await;
    let room = house.room().await;
    house.joins(&room, "@bob:far").await;
    house.start();
    (house, listener, room)
}

fn all(got: &[Got], kind: &str) -> Vec<Value> {
    got.iter().flat_map(|got| got.edus(kind)).collect()
}

async fn edus(far: &Listener, kind: &str, count: usize) -> Vec<Value> {
    all(&far.until(|got| all(got, kind).len() >= count).await, kind)
}

#[tokio::test]
async fn typing_is_told_to_those_in_the_room() {
    let (house, far, room) = together().await;
    let alice = house.s().user_no(&user("@alice:here")).unwrap().unwrap();
    let typing = house.rooms.typing();
    typing.set(house.no(&room), alice, Some(Duration::from_secs(30)));
    let told = edus(&far, "m.typing", 1).await;
    assert_eq!(
        told[0],
        json!({ "room_id": room, "user_id": "@alice:here", "typing": true })
    );
    typing.set(house.no(&room), alice, None);
    assert_eq!(edus(&far, "m.typing", 2).await[1]["typing"], false);
}

#[tokio::test]
async fn receipts_are_told_unless_they_are_private() {
    use rooms::receipts::Kind;
    let (house, far, room) = together().await;
    let alice = user("@alice:here");
    let first = house.say(&room, "one").await;
    let second = house.say(&room, "two").await;
    let private = house
        .rooms
        .receipt(&room, &alice, Kind::Private, None, &second);
    private.await.unwrap();
    let public = house
        .rooms
        .receipt(&room, &alice, Kind::Public, Some("main"), &first);
    public.await.unwrap();
    let told = edus(&far, "m.receipt", 1).await;
    let read = &told[0][room.as_str()]["m.read"]["@alice:here"];
    assert_eq!(read["event_ids"], json!([first]));
    assert_eq!(read["data"]["thread_id"], "main");
    assert!(read["data"]["ts"].is_u64());
    assert_eq!(told.len(), 1);
}

#[tokio::test]
async fn presence_is_told_to_servers_that_share_a_room() {
    let (house, far, _) = together().await;
    let alice = user("@alice:here");
    house
        .users
        .set_presence(
            &alice,
            device_id!("A"),
            PresenceState::Online,
            Some("hi".to_owned()),
        )
        .await
        .unwrap();
    let told = edus(&far, "m.presence", 1).await;
    let push = &told[0]["push"][0];
    assert_eq!(push["user_id"], "@alice:here");
    assert_eq!(push["presence"], "online");
    assert_eq!(push["status_msg"], "hi");
}

fn message(number: usize) -> Messages {
    let content = serde_json::value::to_raw_value(&json!({ "number": number })).unwrap();
    Messages {
        sender: user("@alice:here"),
        event_type: "m.test".to_owned(),
        contents: BTreeMap::from([(
            user("@bob:far"),
            BTreeMap::from([("B".to_owned(), content)]),
        )]),
        once: None,
    }
}

#[tokio::test]
async fn messages_to_devices_survive_failures_and_crashes_in_order() {
    let (house, far, _) = together().await;
    *far.answers.lock().unwrap() = vec![500, 0];
    for number in 0..150 {
        house.users.send_to_devices(message(number)).await.unwrap();
    }
    far.until(|got| !got.is_empty()).await;
    house.until("far", |status| status.failing.is_some()).await;
    house.heard_from("far");
    far.until(|got| got.len() >= 2).await;
    let house = house.crashed().await;
    house.start();
    let numbers = |got: &[Got]| -> Vec<u64> {
        let mut seen = std::collections::BTreeSet::new();
        let edus = all(got, "m.direct_to_device").into_iter();
        edus.filter(|edu| seen.insert(edu["message_id"].as_str().unwrap().to_owned()))
            .map(|edu| edu["messages"]["@bob:far"]["B"]["number"].as_u64().unwrap())
            .collect()
    };
    let got = far.until(|got| numbers(got).len() >= 150).await;
    assert_eq!(numbers(&got), (0..150).collect::<Vec<_>>());
    assert_eq!(got[0].id, got[1].id);
    assert_eq!(got[1].id, got[2].id);
    assert!(
        got.iter()
            .all(|got| got.body["edus"].as_array().unwrap().len() <= 100)
    );
    house.until("far", |status| status.to_device == 0).await;
}

/// A device's identity keys, signed by itself.
fn keys(user: &str, device: &str) -> KeyUpload {
    let key = SigningKey::from_bytes(&[5; 32]);
    let (id, public) = (
        format!("ed25519:{device}"),
        STANDARD_NO_PAD.encode(key.verifying_key().as_bytes()),
    );
    let mut json = json!({
        "user_id": user,
        "device_id": device,
        "algorithms": ["m.olm.v1.curve25519-aes-sha2"],
        "keys": { (&id): public, format!("curve25519:{device}"): public },
    });
    // serde_json sorts keys, and nothing here is written otherwise in canonical JSON.
    let signature = key.sign(json.to_string().as_bytes());
    let signature = STANDARD_NO_PAD.encode(signature.to_bytes());
    json["signatures"] = json!({ user: { id: signature } });
    KeyUpload {
        device_keys: Some(serde_json::value::to_raw_value(&json).unwrap()),
        ..KeyUpload::default()
    }
}

#[tokio::test]
async fn changes_of_devices_are_told_in_a_chain() {
    let (house, far, _) = together().await;
    let alice = user("@alice:here");
    let upload = |device: &'static str| {
        let users = house.users.clone();
        let alice = alice.clone();
        async move {
            let no = users.upload_keys(&alice, device.into(), keys("@alice:here", device));
            no.await.unwrap();
        }
    };
    upload("A").await;
    let first = edus(&far, "m.device_list_update", 1).await;
    assert_eq!(first[0]["user_id"], "@alice:here");
    assert_eq!(first[0]["device_id"], "A");
    assert_eq!(first[0]["prev_id"], json!([]));
    assert_eq!(first[0]["keys"]["device_id"], "A");
    house
        .users
        .rename_device(&alice, device_id!("A"), Some("Ada's"))
        .await
        .unwrap();
    let second = edus(&far, "m.device_list_update", 2).await;
    assert_eq!(second[1]["prev_id"], json!([first[0]["stream_id"]]));
    house.network.cut(&server("here"), &server("far"));
    house
        .users
        .delete_devices(&alice, vec!["A".into()])
        .await
        .unwrap();
    house
        .until("far", |status| {
            status.failing.is_some() && status.device_lists == 1
        })
        .await;
    house.network.heal(&server("here"), &server("far"));
    house.heard_from("far");
    let third = edus(&far, "m.device_list_update", 3).await;
    assert_eq!(third[2]["deleted"], true);
    assert_eq!(third[2]["prev_id"], json!([second[1]["stream_id"]]));
    house.until("far", |status| status.device_lists == 0).await;
}
