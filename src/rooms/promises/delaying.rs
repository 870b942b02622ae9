//! What is put off.

use std::time::Duration;

use ruma::OwnedRoomId;
use serde_json::json;
use serde_json::value::to_raw_value;

use super::house::{House, user};
use crate::delayed::{LONGEST, Later, MEMORY, MOST};
use crate::{Error, SetState};

fn later(room: &OwnedRoomId, who: &str, state_key: Option<&str>, txn: &str) -> Later {
    Later {
        room_id: room.clone(),
        sender: user(who),
        event_type: "org.example.call".to_owned(),
        state_key: state_key.map(str::to_owned),
        content: to_raw_value(&json!({ "left": true })).unwrap(),
        delay: Duration::from_secs(10),
        txn: Some(("D".to_owned(), txn.to_owned())),
    }
}

#[tokio::test]
async fn what_is_put_off_is_sent_when_it_is_due_and_once() {
    let house = House::new();
    let room = house.room("11", "ann", "public").await;
    let rooms = &house.rooms;
    let id = rooms
        .send_later(later(&room, "ann", Some("a"), "1"))
        .await
        .unwrap();
    let again = rooms
        .send_later(later(&room, "ann", Some("a"), "1"))
        .await
        .unwrap();
    assert_eq!(id, again);
    let said = rooms
        .send_later(later(&room, "ann", None, "2"))
        .await
        .unwrap();
    assert_eq!(rooms.delayed(&user("ann")).await.unwrap().len(), 2);
    house.clock.advance(Duration::from_secs(9));
    rooms.restart_delayed(&id).await.unwrap();
    house.clock.advance(Duration::from_secs(2));
    rooms.send_due().await.unwrap();
    assert_eq!(house.state(&room, "org.example.call", "a"), None);
    assert!(
        matches!(rooms.send_delayed(&said).await, Err(Error::NotFound(_))),
        "it was due"
    );
    house.clock.advance(Duration::from_secs(9));
    rooms.send_due().await.unwrap();
    assert_eq!(
        house.state(&room, "org.example.call", "a"),
        Some(json!({ "left": true }))
    );
    assert!(rooms.delayed(&user("ann")).await.unwrap().is_empty());
    // The answer is the same as long as a client may ask again, and nothing is left after that.
    let again = rooms
        .send_later(later(&room, "ann", Some("a"), "1"))
        .await
        .unwrap();
    assert_eq!(id, again);
    house.clock.advance(Duration::from_millis(MEMORY));
    assert_eq!(rooms.send_due().await.unwrap(), None);
    let again = rooms
        .send_later(later(&room, "ann", Some("a"), "1"))
        .await
        .unwrap();
    assert_ne!(id, again);
}

#[tokio::test]
async fn what_is_cancelled_or_overtaken_is_not_sent() {
    let house = House::new();
    let room = house.room("11", "ann", "public").await;
    let rooms = &house.rooms;
    let id = rooms
        .send_later(later(&room, "ann", Some("a"), "1"))
        .await
        .unwrap();
    rooms.cancel_delayed(&id).await.unwrap();
    assert!(matches!(
        rooms.cancel_delayed(&id).await,
        Err(Error::NotFound(_))
    ));
    house.join(&room, "ben").await.unwrap();
    let levels = json!({ "users": { "@ann:here": 100, "@ben:here": 50 } });
    house
        .set(&room, "ann", "m.room.power_levels", "", levels)
        .await
        .unwrap();
    rooms
        .send_later(later(&room, "ann", Some("b"), "2"))
        .await
        .unwrap();
    let newer = SetState {
        room_id: room.clone(),
        sender: user("ben"),
        event_type: "org.example.call".to_owned(),
        state_key: "b".to_owned(),
        content: to_raw_value(&json!({ "left": false })).unwrap(),
        timestamp: None,
    };
    rooms.set_state(newer).await.unwrap();
    house.clock.advance(Duration::from_secs(11));
    rooms.send_due().await.unwrap();
    assert_eq!(house.state(&room, "org.example.call", "a"), None);
    assert_eq!(
        house.state(&room, "org.example.call", "b"),
        Some(json!({ "left": false }))
    );
}

#[tokio::test]
async fn there_is_a_limit_to_what_can_be_put_off() {
    let house = House::new();
    let room = house.room("11", "ann", "public").await;
    let rooms = &house.rooms;
    let mut far = later(&room, "ann", None, "x");
    far.delay = LONGEST + Duration::from_millis(1);
    assert!(matches!(
        rooms.send_later(far).await,
        Err(Error::DelayTooLong)
    ));
    let stranger = later(&room, "eve", None, "x");
    assert!(matches!(
        rooms.send_later(stranger).await,
        Err(Error::NotJoined)
    ));
    for number in 0..MOST {
        rooms
            .send_later(later(&room, "ann", None, &number.to_string()))
            .await
            .unwrap();
    }
    let more = later(&room, "ann", None, "x");
    assert!(matches!(
        rooms.send_later(more).await,
        Err(Error::TooManyDelayed)
    ));
}
