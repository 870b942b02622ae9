//! Dehydrated devices.

use std::collections::BTreeMap;

use serde_json::json;

use super::{Person, World, device_keys, key, one_time_keys, raw, upload};
use crate::dehydrated::Dehydration;
use crate::key_queries::Viewer;
use crate::to_device::Messages;
use crate::{Error, What};

fn dehydration(person: &Person, device: &str, number: u8) -> Dehydration {
    Dehydration {
        device_id: device.into(),
        display_name: Some("Dehydrated".to_owned()),
        data: raw(&json!({ "algorithm": "x", "device_pickle": device })),
        keys: upload(
            Some(device_keys(&person.id, device, &key(number))),
            one_time_keys(0, 3),
        ),
    }
}

#[tokio::test]
async fn it_gathers_messages_until_it_is_replaced() {
    let world = World::new();
    let alice = world.person("alice", "A").await;
    let users = &world.users;
    assert!(matches!(
        users.dehydrated(&alice.id).await,
        Err(Error::NotFound(What::Dehydrated))
    ));
    users
        .put_dehydrated(&alice.id, dehydration(&alice, "DRY", 5))
        .await
        .unwrap();
    let (device, data) = users.dehydrated(&alice.id).await.unwrap();
    assert_eq!((device.as_str(), data.get().contains("DRY")), ("DRY", true));
    let contents = BTreeMap::from([(
        alice.id.clone(),
        BTreeMap::from([("*".to_owned(), raw(&json!({ "k": 1 })))]),
    )]);
    let messages = Messages {
        sender: alice.id.clone(),
        event_type: "m.room_key".to_owned(),
        contents,
        once: None,
    };
    users.send_to_devices(messages).await.unwrap();
    let page = users
        .dehydrated_events(&alice.id, &device, None)
        .await
        .unwrap();
    assert_eq!(page.events.len(), 1);
    let next = users
        .dehydrated_events(&alice.id, &device, Some(&page.next_batch))
        .await
        .unwrap();
    assert!(next.events.is_empty());
    users
        .put_dehydrated(&alice.id, dehydration(&alice, "DRY2", 6))
        .await
        .unwrap();
    assert!(matches!(
        users.dehydrated_events(&alice.id, &device, None).await,
        Err(Error::NotFound(_))
    ));
    let keys = users
        .keys_of(Viewer::Server, &alice.id)
        .await
        .unwrap()
        .device_keys;
    assert_eq!(keys.into_keys().collect::<Vec<_>>(), ["DRY2"]);
    assert_eq!(users.delete_dehydrated(&alice.id).await.unwrap(), "DRY2");
    assert!(
        users
            .keys_of(Viewer::Server, &alice.id)
            .await
            .unwrap()
            .device_keys
            .is_empty()
    );
    assert!(matches!(
        users.delete_dehydrated(&alice.id).await,
        Err(Error::NotFound(_))
    ));
}

#[tokio::test]
async fn logging_out_everywhere_leaves_it_and_deleting_the_device_does_not() {
    let world = World::new();
    let alice = world.person("alice", "A").await;
    let users = &world.users;
    users
        .put_dehydrated(&alice.id, dehydration(&alice, "DRY", 5))
        .await
        .unwrap();
    users
        .put_dehydrated(&alice.id, dehydration(&alice, "DRY", 5))
        .await
        .unwrap();
    users.close_all_sessions(&alice.id).await.unwrap();
    assert!(users.dehydrated(&alice.id).await.is_ok());
    users
        .delete_devices(&alice.id, vec!["DRY".into()])
        .await
        .unwrap();
    assert!(matches!(
        users.dehydrated(&alice.id).await,
        Err(Error::NotFound(_))
    ));
}

#[tokio::test]
async fn a_device_that_is_logged_in_is_not_dehydrated() {
    let world = World::new();
    let alice = world.person("alice", "A").await;
    assert!(matches!(
        world
            .users
            .put_dehydrated(&alice.id, dehydration(&alice, "A", 5))
            .await,
        Err(Error::InvalidParam(_))
    ));
}
