//! The order of encoded keys is the order of the keys, and they read back as they were.

use proptest::prelude::*;

use crate::codec::{Key, KeyBuf, PrefixOf, after_prefix, decode_all};
use crate::{EventNo, Pos, RoomNo};

fn bytes<K: Key>(key: &K) -> Vec<u8> {
    KeyBuf::of(key).as_bytes().to_vec()
}

fn check<K: Key + Ord + std::fmt::Debug>(a: &K, b: &K) {
    assert_eq!(
        a.cmp(b),
        bytes(a).cmp(&bytes(b)),
        "{a:?} and {b:?} are in another order as bytes"
    );
    assert_eq!(decode_all::<K>(&bytes(a)).as_ref(), Ok(a));
    if a != b {
        assert!(
            !bytes(b).starts_with(&bytes(a)),
            "{a:?} is the beginning of {b:?}"
        );
    }
}

fn check_prefix<K: Key + PartialEq, P: PrefixOf<K>>(key: &K, prefix: &P, belongs: bool) {
    let start = KeyBuf::of_prefix(prefix).as_bytes().to_vec();
    let within = bytes(key) >= start && after_prefix(&start).is_none_or(|end| bytes(key) < end);
    assert_eq!(within, belongs);
}

/// Text in which the escaped characters and the neighbours of the terminator are frequent.
fn text() -> impl Strategy<Value = String> {
    prop_oneof!["[\u{0}\u{1}\u{2}a]{0,4}", ".{0,12}"]
}

/// Numbers of every length.
fn number() -> impl Strategy<Value = u64> {
    (any::<u64>(), 0..64_u32).prop_map(|(number, shift)| number >> shift)
}

proptest! {
    #[test]
    fn integers(a in number(), b in number()) {
        check(&a, &b);
        check(&(a as u32), &(b as u32));
        check(&(a as u8), &(b as u8));
        check(&a.cast_signed(), &b.cast_signed());
        check(&a.cast_signed().wrapping_neg(), &b.cast_signed());
    }

    #[test]
    fn numbers(a in number(), b in number()) {
        check(&RoomNo::new(a), &RoomNo::new(b));
        check(&(RoomNo::new(a), EventNo::new(b)), &(RoomNo::new(b), EventNo::new(a)));
        check(&Pos::new(a >> 1), &Pos::new(b >> 1));
    }

    #[test]
    fn texts(a in text(), b in text()) {
        check(&a, &b);
        check(&a.clone().into_bytes(), &b.clone().into_bytes());
    }

    #[test]
    fn tuples(a in (text(), text(), number()), b in (text(), text(), number())) {
        check(&a, &b);
        check(&(Some(a.0.clone()), a.2), &(None, b.2));
        check(&(a.2 & 1 == 0, [1_u8, 2], a.0.clone(), a.1.clone(), a.2), &(b.2 & 1 == 0, [1, 2], b.0.clone(), b.1.clone(), b.2));
        check_prefix(&a, &(a.0.as_str(),), true);
        check_prefix(&a, &(&a.0, &a.1), true);
        check_prefix(&a, &(&b.0,), a.0 == b.0);
        check_prefix(&a, &(&b.0, &b.1), a.0 == b.0 && a.1 == b.1);
    }

    #[test]
    fn damaged_keys_are_refused_and_never_panic(noise in proptest::collection::vec(any::<u8>(), 0..24)) {
        let _ = decode_all::<(String, RoomNo)>(&noise);
        let _ = decode_all::<(Option<u64>, bool, Vec<u8>)>(&noise);
        let _ = decode_all::<(Pos, i64)>(&noise);
    }
}

#[test]
fn small_numbers_are_short() {
    assert_eq!(bytes(&RoomNo::new(127)).len(), 1);
    assert_eq!(bytes(&RoomNo::new(128)).len(), 2);
    assert_eq!(bytes(&RoomNo::new(u64::MAX)).len(), 9);
}
