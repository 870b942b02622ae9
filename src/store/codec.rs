//! Keys as bytes: the order of the bytes is the order of the values, and a tuple's bytes are its parts' bytes in
//! turn, so that all rows under the first parts of a key stand together.
//!
//! Integers are big-endian, numbers (`RoomNo`, …) are short and still ordered, text is escaped and terminated, so no
//! key is the beginning of another one of the same table. Values are in `row.rs`.

use smallvec::SmallVec;

use crate::error::Malformed;
use crate::log::Pos;

/// Where a position that is not known yet has to be filled in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Hole {
    /// Offset of the eight bytes.
    pub(crate) at: usize,
    /// Which of the transaction's slots goes there.
    pub(crate) slot: u32,
}

/// A key being written.
#[derive(Debug, Clone, Default)]
pub struct KeyBuf {
    bytes: SmallVec<[u8; 64]>,
    holes: SmallVec<[Hole; 1]>,
}

impl KeyBuf {
    /// The bytes of `key`.
    pub fn of<K, Q: KeyOf<K> + ?Sized>(key: &Q) -> Self {
        let mut buf = Self::default();
        key.encode(&mut buf);
        buf
    }

    /// The bytes of a key's first parts.
    pub fn of_prefix<K, P: PrefixOf<K> + ?Sized>(prefix: &P) -> Self {
        let mut buf = Self::default();
        prefix.encode_prefix(&mut buf);
        buf
    }

    /// What has been written.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub(crate) fn holes(&self) -> &[Hole] {
        &self.holes
    }

    /// Appends plain bytes.
    pub fn push(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// Appends text or bytes, escaped and terminated: 0 ends, 0 and 1 become 1 1 and 1 2.
    pub fn push_text(&mut self, text: &[u8]) {
        if text.iter().all(|byte| *byte > 1) {
            self.bytes.extend_from_slice(text);
        } else {
            for byte in text {
                match byte {
                    0 | 1 => self.bytes.extend_from_slice(&[1, byte + 1]),
                    _ => self.bytes.push(*byte),
                }
            }
        }
        self.bytes.push(0);
    }

    /// Appends an integer in one to nine bytes: as many leading ones as bytes follow, then the number.
    pub fn push_short(&mut self, number: u64) {
        let (bytes, len) = short(number);
        self.bytes
            .extend_from_slice(bytes.get(..len).unwrap_or_default());
    }
}

/// Something that stands for a key of type `K`: the key itself, or what it borrows as (`str` for `String`).
pub trait KeyOf<K> {
    /// Appends the bytes.
    fn encode(&self, out: &mut KeyBuf);
}

/// A key, or a part of one.
pub trait Key: KeyOf<Self> + Sized {
    /// Takes one key off the front of `input`.
    fn decode(input: &mut &[u8]) -> Result<Self, Malformed>;
}

/// The first parts of a tuple key `K`: `(a,)`, `(a, b)`, …
pub trait PrefixOf<K> {
    /// Appends the bytes of these parts.
    fn encode_prefix(&self, out: &mut KeyBuf);
}

/// Reads a whole key: nothing may be left over.
pub fn decode_all<K: Key>(mut bytes: &[u8]) -> Result<K, Malformed> {
    let key = K::decode(&mut bytes)?;
    if bytes.is_empty() {
        Ok(key)
    } else {
        Err(Malformed::new("bytes after the end of the key"))
    }
}

impl<K, Q: KeyOf<K> + ?Sized> KeyOf<K> for &Q {
    fn encode(&self, out: &mut KeyBuf) {
        (**self).encode(out);
    }
}

fn take<const N: usize>(input: &mut &[u8]) -> Result<[u8; N], Malformed> {
    let (head, rest) = input
        .split_first_chunk::<N>()
        .ok_or_else(|| Malformed::new("key too short"))?;
    *input = rest;
    Ok(*head)
}

macro_rules! integer_keys {
    ($($int:ty),*) => {$(
        impl KeyOf<$int> for $int {
            fn encode(&self, out: &mut KeyBuf) {
                out.push(&self.to_be_bytes());
            }
        }

        impl Key for $int {
            fn decode(input: &mut &[u8]) -> Result<Self, Malformed> {
                take(input).map(Self::from_be_bytes)
            }
        }
    )*};
}

integer_keys!(u8, u16, u32, u64);

impl KeyOf<i64> for i64 {
    fn encode(&self, out: &mut KeyBuf) {
        out.push(&(self.cast_unsigned() ^ (1 << 63)).to_be_bytes());
    }
}

impl Key for i64 {
    fn decode(input: &mut &[u8]) -> Result<Self, Malformed> {
        Ok((u64::decode(input)? ^ (1 << 63)).cast_signed())
    }
}

impl KeyOf<bool> for bool {
    fn encode(&self, out: &mut KeyBuf) {
        out.push(&[u8::from(*self)]);
    }
}

impl Key for bool {
    fn decode(input: &mut &[u8]) -> Result<Self, Malformed> {
        match u8::decode(input)? {
            0 => Ok(false),
            1 => Ok(true),
            other => Err(Malformed(format!("{other} where 0 or 1 belongs"))),
        }
    }
}

impl KeyOf<Pos> for Pos {
    fn encode(&self, out: &mut KeyBuf) {
        if let Some(slot) = self.slot() {
            out.holes.push(Hole {
                at: out.bytes.len(),
                slot,
            });
        }
        out.push(&self.raw().to_be_bytes());
    }
}

impl Key for Pos {
    fn decode(input: &mut &[u8]) -> Result<Self, Malformed> {
        u64::decode(input).map(Pos::new)
    }
}

impl KeyOf<String> for str {
    fn encode(&self, out: &mut KeyBuf) {
        out.push_text(self.as_bytes());
    }
}

impl KeyOf<String> for String {
    fn encode(&self, out: &mut KeyBuf) {
        out.push_text(self.as_bytes());
    }
}

impl Key for String {
    fn decode(input: &mut &[u8]) -> Result<Self, Malformed> {
        Self::from_utf8(take_text(input)?).map_err(|_| Malformed::new("text that is not UTF-8"))
    }
}

impl KeyOf<Vec<u8>> for [u8] {
    fn encode(&self, out: &mut KeyBuf) {
        out.push_text(self);
    }
}

impl KeyOf<Vec<u8>> for Vec<u8> {
    fn encode(&self, out: &mut KeyBuf) {
        out.push_text(self);
    }
}

impl Key for Vec<u8> {
    fn decode(input: &mut &[u8]) -> Result<Self, Malformed> {
        take_text(input)
    }
}

impl<const N: usize> KeyOf<[u8; N]> for [u8; N] {
    fn encode(&self, out: &mut KeyBuf) {
        out.push(self);
    }
}

impl<const N: usize> Key for [u8; N] {
    fn decode(input: &mut &[u8]) -> Result<Self, Malformed> {
        take(input)
    }
}

/// Nothing sorts before something.
impl<K, Q: KeyOf<K>> KeyOf<Option<K>> for Option<Q> {
    fn encode(&self, out: &mut KeyBuf) {
        match self {
            None => out.push(&[0]),
            Some(key) => {
                out.push(&[1]);
                key.encode(out);
            }
        }
    }
}

impl<K: Key> Key for Option<K> {
    fn decode(input: &mut &[u8]) -> Result<Self, Malformed> {
        if bool::decode(input)? {
            K::decode(input).map(Some)
        } else {
            Ok(None)
        }
    }
}

macro_rules! tuple_keys {
    ($($K:ident $Q:ident $part:ident),+) => {
        impl<$($K,)+ $($Q: KeyOf<$K>),+> KeyOf<($($K,)+)> for ($($Q,)+) {
            fn encode(&self, out: &mut KeyBuf) {
                let ($($part,)+) = self;
                $($part.encode(out);)+
            }
        }

        impl<$($K: Key),+> Key for ($($K,)+) {
            fn decode(input: &mut &[u8]) -> Result<Self, Malformed> {
                Ok(($($K::decode(input)?,)+))
            }
        }
    };
}

tuple_keys!(A QA a, B QB b);
tuple_keys!(A QA a, B QB b, C QC c);
tuple_keys!(A QA a, B QB b, C QC c, D QD d);
tuple_keys!(A QA a, B QB b, C QC c, D QD d, E QE e);

macro_rules! tuple_prefixes {
    ($($P:ident $Q:ident $part:ident),+ ; $($rest:ident),*) => {
        impl<$($P,)+ $($rest,)* $($Q: KeyOf<$P>),+> PrefixOf<($($P,)+ $($rest,)*)> for ($($Q,)+) {
            fn encode_prefix(&self, out: &mut KeyBuf) {
                let ($($part,)+) = self;
                $($part.encode(out);)+
            }
        }
    };
}

tuple_prefixes!(A QA a; B);
tuple_prefixes!(A QA a; B, C);
tuple_prefixes!(A QA a; B, C, D);
tuple_prefixes!(A QA a; B, C, D, E);
tuple_prefixes!(A QA a, B QB b; C);
tuple_prefixes!(A QA a, B QB b; C, D);
tuple_prefixes!(A QA a, B QB b; C, D, E);
tuple_prefixes!(A QA a, B QB b, C QC c; D);
tuple_prefixes!(A QA a, B QB b, C QC c; D, E);
tuple_prefixes!(A QA a, B QB b, C QC c, D QD d; E);

fn take_text(input: &mut &[u8]) -> Result<Vec<u8>, Malformed> {
    let end = input
        .iter()
        .position(|byte| *byte == 0)
        .ok_or_else(|| Malformed::new("text without its end"))?;
    let (text, rest) = input.split_at(end);
    *input = rest.get(1..).unwrap_or_default();
    if !text.contains(&1) {
        return Ok(text.to_vec());
    }
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.iter();
    while let Some(byte) = bytes.next() {
        match byte {
            1 => match bytes.next() {
                Some(escaped @ (1 | 2)) => out.push(escaped - 1),
                _ => return Err(Malformed::new("text with a broken escape")),
            },
            plain => out.push(*plain),
        }
    }
    Ok(out)
}

/// The short form of a number: its bytes and how many of them count.
pub(crate) fn short(number: u64) -> ([u8; 9], usize) {
    let bits = 64 - number.leading_zeros() as usize;
    let mut out = [0; 9];
    if bits > 56 {
        let [first, rest @ ..] = &mut out;
        *first = 0xFF;
        *rest = number.to_be_bytes();
        return (out, 9);
    }
    let extra = bits.saturating_sub(1) / 7;
    let marked = number | (!(0xFF_u64 >> extra) & 0xFF) << (8 * extra);
    let bytes = (marked << (8 * (7 - extra))).to_be_bytes();
    if let Some(head) = out.get_mut(..8) {
        head.copy_from_slice(&bytes);
    }
    (out, extra + 1)
}

/// Takes a number in its short form.
pub(crate) fn take_short(input: &mut &[u8]) -> Result<u64, Malformed> {
    let first = *input
        .first()
        .ok_or_else(|| Malformed::new("number without bytes"))?;
    let extra = first.leading_ones() as usize;
    let bytes = input
        .get(1..=extra)
        .ok_or_else(|| Malformed::new("number too short"))?;
    let head = if extra >= 7 {
        0
    } else {
        u64::from(first & (0xFF >> (extra + 1)))
    };
    *input = input.get(extra + 1..).unwrap_or_default();
    Ok(bytes
        .iter()
        .fold(head, |number, byte| number << 8 | u64::from(*byte)))
}

/// The smallest key after every key that begins with `prefix`; none if there is no such key.
pub(crate) fn after_prefix(prefix: &[u8]) -> Option<Vec<u8>> {
    let mut end = prefix.to_vec();
    while let Some(last) = end.pop() {
        if last < 0xFF {
            end.push(last + 1);
            return Some(end);
        }
    }
    None
}
