//! Values read back as they were, and grow without losing old rows.

use bytes::Bytes;
use proptest::prelude::*;

use crate::row::{Json, Row, RowBuf, RowOf};
use crate::{Change, Error, EventNo, Hint, Pos, RoomNo, Store, Table, UserNo, cbor_row};

fn stored<V: Row>(value: &V) -> Vec<u8> {
    let mut buf = RowBuf::default();
    value.encode(&mut buf).unwrap();
    buf.bytes
}

fn check<V: Row + PartialEq + std::fmt::Debug>(value: &V) {
    assert_eq!(V::decode(&stored(value)).as_ref(), Ok(value));
}

#[derive(Debug, PartialEq, minicbor::Encode, minicbor::Decode)]
#[cbor(map)]
struct Yesterday {
    #[n(0)]
    name: String,
}

#[derive(Debug, PartialEq, minicbor::Encode, minicbor::Decode)]
#[cbor(map)]
struct Today {
    #[n(0)]
    name: String,
    #[n(1)]
    seen: Option<Pos>,
    #[cbor(n(2), default)]
    count: u64,
}

cbor_row!(Yesterday, Today);

proptest! {
    #[test]
    fn plain_values(number in any::<u64>(), text in ".*", raw in proptest::collection::vec(any::<u8>(), 0..64)) {
        check(&number);
        check(&RoomNo::new(number));
        check(&Pos::new(number));
        check(&text);
        check(&Json::new(text));
        check(&Bytes::from(raw.clone()));
        check(&raw);
        check(&());
        check(&[1_u8, 2, 3]);
        check(&(RoomNo::new(number), Pos::new(number)));
    }

    #[test]
    fn noise_is_refused_and_never_panics(noise in proptest::collection::vec(any::<u8>(), 0..64)) {
        let _ = Change::decode(&noise);
        let _ = Today::decode(&noise);
        let _ = u64::decode(&noise);
        let _ = <[u8; 4]>::decode(&noise);
        let _ = String::decode(&noise);
    }
}

#[test]
fn a_row_of_yesterday_is_read_by_today() {
    let row = stored(&Yesterday {
        name: "a".to_owned(),
    });
    assert_eq!(
        Today::decode(&row).unwrap(),
        Today {
            name: "a".to_owned(),
            seen: None,
            count: 0
        }
    );
}

#[test]
fn a_row_of_tomorrow_is_read_by_today() {
    let row = stored(&Today {
        name: "a".to_owned(),
        seen: Some(Pos::new(3)),
        count: 4,
    });
    assert_eq!(
        Yesterday::decode(&row).unwrap(),
        Yesterday {
            name: "a".to_owned()
        }
    );
}

#[test]
fn every_change_is_read_back() {
    let (room, user) = (RoomNo::new(1), UserNo::new(300));
    let changes = [
        Change::Event {
            room,
            event: EventNo::new(7),
            state_key: None,
            member: Some(user),
        },
        Change::Receipt {
            room,
            user,
            private: true,
        },
        Change::AccountData { user, room: None },
        Change::ToDevice {
            user,
            device: "DEVICE".to_owned(),
        },
        Change::DeviceList { user },
        Change::OneTimeKeys {
            user,
            device: "D".to_owned(),
        },
        Change::Presence { user },
        Change::Profile { user },
        Change::Filter { user },
        Change::Redaction {
            room,
            event: EventNo::new(8),
        },
        Change::Invite { user, room },
    ];
    changes.iter().for_each(check);
}

#[test]
fn a_slot_deep_inside_a_row_is_filled_in() {
    const ROWS: Table<u64, Today> = Table::new("rows", Hint::Point);
    let store = Store::memory();
    store
        .write_blocking(|tx| {
            tx.log(Change::Profile {
                user: UserNo::new(1),
            });
            let second = tx.log(Change::Profile {
                user: UserNo::new(2),
            });
            tx.put(
                ROWS,
                &1,
                &Today {
                    name: "n".to_owned(),
                    seen: Some(second),
                    count: 9,
                },
            )
        })
        .unwrap();
    let row = store.snapshot().get(ROWS, &1).unwrap().unwrap();
    assert_eq!(
        row,
        Today {
            name: "n".to_owned(),
            seen: Some(Pos::new(2)),
            count: 9
        }
    );
}

#[test]
fn a_value_that_cannot_be_written_leaves_no_trace() {
    struct Bad;
    impl RowOf<String> for Bad {
        fn encode(&self, out: &mut RowBuf) -> Result<(), crate::Malformed> {
            out.push(b"half");
            Err(crate::Malformed::new("bad"))
        }
    }
    const TEXTS: Table<u64, String> = Table::new("texts", Hint::Point);
    let store = Store::memory();
    let mut tx = store.tx();
    assert!(matches!(
        tx.put(TEXTS, &1, &Bad),
        Err(Error::Unstorable { table: "texts", .. })
    ));
    tx.put(TEXTS, &2, "good").unwrap();
    store.submit(tx).wait().unwrap();
    assert_eq!(store.snapshot().get(TEXTS, &1).unwrap(), None);
    assert_eq!(
        store.snapshot().get(TEXTS, &2).unwrap().as_deref(),
        Some("good")
    );
}

#[test]
fn a_damaged_row_is_named() {
    const BYTES: Table<u64, Vec<u8>> = Table::new("shared", Hint::Point);
    const CHANGES: Table<u64, Change> = Table::new("shared", Hint::Point);
    let store = Store::memory();
    store
        .write_blocking(|tx| tx.put(BYTES, &1, &vec![0xFF]))
        .unwrap();
    let error = store.snapshot().get(CHANGES, &1).unwrap_err();
    assert!(
        error
            .to_string()
            .contains("table shared holds a damaged row at key 0000000000000001"),
        "{error}"
    );
}
