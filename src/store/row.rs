//! Values as bytes: plain ones for ids, numbers and JSON, `minicbor` maps for rows that grow. Keys are in `codec.rs`.

use std::cell::RefCell;
use std::ops::Deref;

use bytes::Bytes;

use crate::codec::{Hole, Key, KeyBuf, KeyOf, decode_all, short, take_short};
use crate::error::Malformed;
use crate::log::Pos;

/// A value being written, behind whatever else its transaction has written.
#[derive(Debug, Default)]
pub struct RowBuf {
    pub(crate) bytes: Vec<u8>,
    pub(crate) holes: Vec<Hole>,
}

impl RowBuf {
    /// Appends bytes.
    pub fn push(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }
}

/// Something that stands for a value of type `V`: the value itself, or what it borrows as.
pub trait RowOf<V> {
    /// Appends the bytes.
    fn encode(&self, out: &mut RowBuf) -> Result<(), Malformed>;
}

/// A value of a table.
pub trait Row: RowOf<Self> + Sized {
    /// Reads the value back.
    fn decode(bytes: &[u8]) -> Result<Self, Malformed>;
}

impl<V, R: RowOf<V> + ?Sized> RowOf<V> for &R {
    fn encode(&self, out: &mut RowBuf) -> Result<(), Malformed> {
        (**self).encode(out)
    }
}

impl RowOf<()> for () {
    fn encode(&self, _: &mut RowBuf) -> Result<(), Malformed> {
        Ok(())
    }
}

impl Row for () {
    fn decode(_: &[u8]) -> Result<Self, Malformed> {
        Ok(())
    }
}

impl RowOf<u64> for u64 {
    fn encode(&self, out: &mut RowBuf) -> Result<(), Malformed> {
        let (bytes, len) = short(*self);
        out.push(bytes.get(..len).unwrap_or_default());
        Ok(())
    }
}

impl Row for u64 {
    fn decode(mut bytes: &[u8]) -> Result<Self, Malformed> {
        take_short(&mut bytes)
    }
}

impl RowOf<Pos> for Pos {
    fn encode(&self, out: &mut RowBuf) -> Result<(), Malformed> {
        if let Some(slot) = self.slot() {
            out.holes.push(Hole {
                at: out.bytes.len(),
                slot,
            });
        }
        out.push(&self.raw().to_be_bytes());
        Ok(())
    }
}

impl Row for Pos {
    fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let bytes = bytes
            .try_into()
            .map_err(|_| Malformed::new("a position that is not eight bytes"))?;
        Ok(Self::new(u64::from_be_bytes(bytes)))
    }
}

impl<const N: usize> RowOf<[u8; N]> for [u8; N] {
    fn encode(&self, out: &mut RowBuf) -> Result<(), Malformed> {
        out.push(self);
        Ok(())
    }
}

impl<const N: usize> Row for [u8; N] {
    fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        bytes
            .try_into()
            .map_err(|_| Malformed(format!("{} bytes where {N} belong", bytes.len())))
    }
}

macro_rules! raw_rows {
    ($($from:ty => $row:ty),* $(,)?) => {$(
        impl RowOf<$row> for $from {
            fn encode(&self, out: &mut RowBuf) -> Result<(), Malformed> {
                let bytes: &[u8] = self.as_ref();
                out.push(bytes);
                Ok(())
            }
        }
    )*};
}

raw_rows!(
    String => String, str => String,
    Json => Json, str => Json, String => Json,
    Vec<u8> => Vec<u8>, [u8] => Vec<u8>,
    Bytes => Bytes, [u8] => Bytes, Vec<u8> => Bytes,
);

impl Row for String {
    fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        text(bytes).map(str::to_owned)
    }
}

impl Row for Vec<u8> {
    fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        Ok(bytes.to_vec())
    }
}

impl Row for Bytes {
    fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        Ok(Self::copy_from_slice(bytes))
    }
}

macro_rules! tuple_rows {
    ($($V:ident $R:ident),+) => {
        /// Small rows of fixed parts, as bytes like keys. A row that may grow is a map instead.
        impl<$($V,)+ $($R: KeyOf<$V>),+> RowOf<($($V,)+)> for ($($R,)+) {
            fn encode(&self, out: &mut RowBuf) -> Result<(), Malformed> {
                let key = KeyBuf::of::<($($V,)+), _>(self);
                let start = out.bytes.len();
                let moved = key.holes().iter().map(|hole| Hole { at: hole.at + start, slot: hole.slot });
                out.holes.extend(moved);
                out.push(key.as_bytes());
                Ok(())
            }
        }

        impl<$($V: Key),+> Row for ($($V,)+) {
            fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
                decode_all(bytes)
            }
        }
    };
}

tuple_rows!(A RA, B RB);
tuple_rows!(A RA, B RB, C RC);

/// JSON text, kept exactly as it was given. It is not checked again when it is read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Json(Box<str>);

impl Json {
    /// Takes text that its caller knows to be JSON.
    pub fn new(text: impl Into<Box<str>>) -> Self {
        Self(text.into())
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The text, given away.
    pub fn into_boxed_str(self) -> Box<str> {
        self.0
    }

    /// Parses the text.
    pub fn parse<'j, T: serde::Deserialize<'j>>(&'j self) -> Result<T, serde_json::Error> {
        serde_json::from_str(&self.0)
    }

    /// Writes a value as JSON.
    pub fn of<T: serde::Serialize + ?Sized>(value: &T) -> Result<Self, serde_json::Error> {
        serde_json::to_string(value).map(Self::new)
    }
}

impl Deref for Json {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl AsRef<[u8]> for Json {
    fn as_ref(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

impl From<String> for Json {
    fn from(text: String) -> Self {
        Self::new(text)
    }
}

impl From<&serde_json::value::RawValue> for Json {
    fn from(raw: &serde_json::value::RawValue) -> Self {
        Self::new(raw.get())
    }
}

impl Row for Json {
    fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        text(bytes).map(Self::new)
    }
}

fn text(bytes: &[u8]) -> Result<&str, Malformed> {
    std::str::from_utf8(bytes).map_err(|_| Malformed::new("text that is not UTF-8"))
}

/// Makes types that `minicbor` can encode and decode storable as rows.
#[macro_export]
macro_rules! cbor_row {
    ($($row:ty),+ $(,)?) => {$(
        impl $crate::row::RowOf<$row> for $row {
            fn encode(&self, out: &mut $crate::row::RowBuf) -> Result<(), $crate::Malformed> {
                $crate::row::encode_cbor(self, out)
            }
        }

        impl $crate::row::Row for $row {
            fn decode(bytes: &[u8]) -> Result<Self, $crate::Malformed> {
                $crate::row::decode_cbor(bytes)
            }
        }
    )+};
}

thread_local! {
    /// Where CBOR is being written. A `Pos` deep inside a row has to say at which offset it stands, and an
    /// `Encoder` does not tell; so the buffer stands here while a row is encoded.
    static WRITING: RefCell<Option<RowBuf>> = const { RefCell::new(None) };
}

/// Appends `value` as CBOR.
pub fn encode_cbor<T: minicbor::Encode<()>>(value: &T, out: &mut RowBuf) -> Result<(), Malformed> {
    WRITING.with_borrow_mut(|writing| *writing = Some(std::mem::take(out)));
    let result = minicbor::encode(value, Writing);
    if let Some(written) = WRITING.take() {
        *out = written;
    }
    result.map_err(|error| Malformed(error.to_string()))
}

/// Reads a value from CBOR.
pub fn decode_cbor<'b, T: minicbor::Decode<'b, ()>>(bytes: &'b [u8]) -> Result<T, Malformed> {
    minicbor::decode(bytes).map_err(|error| Malformed(error.to_string()))
}

struct Writing;

impl minicbor::encode::Write for Writing {
    type Error = Malformed;

    fn write_all(&mut self, bytes: &[u8]) -> Result<(), Malformed> {
        WRITING.with_borrow_mut(|writing| match writing {
            Some(buf) => {
                buf.push(bytes);
                Ok(())
            }
            None => Err(Malformed::new("no row is being written")),
        })
    }
}

impl<C> minicbor::Encode<C> for Pos {
    fn encode<W: minicbor::encode::Write>(
        &self,
        e: &mut minicbor::Encoder<W>,
        _: &mut C,
    ) -> Result<(), minicbor::encode::Error<W::Error>> {
        if let Some(slot) = self.slot() {
            let noted = WRITING.with_borrow_mut(|writing| {
                // One byte for CBOR's "an integer of eight bytes", which a slot always is.
                writing.as_mut().map(|buf| {
                    buf.holes.push(Hole {
                        at: buf.bytes.len() + 1,
                        slot,
                    });
                })
            });
            if noted.is_none() {
                return Err(minicbor::encode::Error::message(
                    "a position that is not assigned yet, outside of a transaction",
                ));
            }
        }
        e.u64(self.raw())?.ok()
    }
}

impl<'b, C> minicbor::Decode<'b, C> for Pos {
    fn decode(d: &mut minicbor::Decoder<'b>, _: &mut C) -> Result<Self, minicbor::decode::Error> {
        d.u64().map(Self::new)
    }
}

/// A value on its own, outside of a transaction.
pub(crate) fn encode_to_vec<T: minicbor::Encode<()>>(value: &T) -> Result<Vec<u8>, Malformed> {
    let mut buf = RowBuf::default();
    encode_cbor(value, &mut buf)?;
    if buf.holes.is_empty() {
        Ok(buf.bytes)
    } else {
        Err(Malformed::new("a position that is not assigned yet"))
    }
}
