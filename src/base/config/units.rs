//! Values as people write them: `"50 MiB"`, `"30d"`, `"10/s burst 50"`, one address or a list of them.

use std::fmt;
use std::marker::PhantomData;
use std::str::FromStr;
use std::time::Duration;

use serde::de::{Error as _, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A number of bytes, written as `"50 MiB"`, `"1.5 GB"` or a plain number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ByteSize(u64);

impl ByteSize {
    /// So many bytes.
    #[must_use]
    pub const fn from_bytes(bytes: u64) -> Self {
        Self(bytes)
    }

    /// So many kibibytes.
    #[must_use]
    pub const fn from_kib(kib: u64) -> Self {
        Self(kib << 10)
    }

    /// So many mebibytes.
    #[must_use]
    pub const fn from_mib(mib: u64) -> Self {
        Self(mib << 20)
    }

    /// The number of bytes.
    #[must_use]
    pub const fn bytes(self) -> u64 {
        self.0
    }

    /// The number of bytes, as far as this machine can address them.
    #[must_use]
    pub fn in_memory(self) -> usize {
        usize::try_from(self.0).unwrap_or(usize::MAX)
    }
}

const SIZE_UNITS: [(&str, u64); 16] = [
    ("", 1),
    ("b", 1),
    ("k", 1 << 10),
    ("kib", 1 << 10),
    ("kb", 1_000),
    ("m", 1 << 20),
    ("mib", 1 << 20),
    ("mb", 1_000_000),
    ("g", 1 << 30),
    ("gib", 1 << 30),
    ("gb", 1_000_000_000),
    ("t", 1 << 40),
    ("tib", 1 << 40),
    ("tb", 1_000_000_000_000),
    ("byte", 1),
    ("bytes", 1),
];

impl FromStr for ByteSize {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (number, unit) = split_number(text).ok_or(())?;
        let unit = unit.to_ascii_lowercase();
        let factor = SIZE_UNITS
            .iter()
            .find(|(name, _)| *name == unit)
            .ok_or(())?
            .1;
        scale(number, factor).map(Self).ok_or(())
    }
}

impl fmt::Display for ByteSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let units = [
            ("TiB", 1_u64 << 40),
            ("GiB", 1 << 30),
            ("MiB", 1 << 20),
            ("KiB", 1 << 10),
        ];
        match units
            .iter()
            .find(|(_, factor)| self.0 >= *factor && self.0.is_multiple_of(*factor))
        {
            Some((unit, factor)) => write!(f, "{} {unit}", self.0 / factor),
            None => write!(f, "{} B", self.0),
        }
    }
}

/// A length of time, written as `"30d"`, `"1h 30m"` or `"250ms"`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Span(Duration);

impl Span {
    /// That long.
    #[must_use]
    pub const fn from_secs(secs: u64) -> Self {
        Self(Duration::from_secs(secs))
    }

    /// How long.
    #[must_use]
    pub const fn duration(self) -> Duration {
        self.0
    }
}

const SPAN_UNITS: [(&str, u64); 14] = [
    ("ms", 1),
    ("s", 1_000),
    ("sec", 1_000),
    ("second", 1_000),
    ("m", 60_000),
    ("min", 60_000),
    ("minute", 60_000),
    ("h", 3_600_000),
    ("hour", 3_600_000),
    ("d", 86_400_000),
    ("day", 86_400_000),
    ("w", 7 * 86_400_000),
    ("week", 7 * 86_400_000),
    ("y", 365 * 86_400_000),
];

impl FromStr for Span {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let mut rest = text.trim();
        let mut total = 0_u64;
        while !rest.is_empty() {
            let (number, tail) = split_number(rest).ok_or(())?;
            let end = tail
                .find(|letter: char| !letter.is_ascii_alphabetic())
                .unwrap_or(tail.len());
            let (unit, tail) = tail.split_at_checked(end).ok_or(())?;
            let unit = unit.to_ascii_lowercase();
            let named = |name: &str| {
                name == unit || (name.len() > 2 && unit.strip_suffix('s') == Some(name))
            };
            let factor = SPAN_UNITS.iter().find(|(name, _)| named(name)).ok_or(())?.1;
            total = total
                .checked_add(scale(number, factor).ok_or(())?)
                .ok_or(())?;
            rest = tail.trim_start();
        }
        if text.trim().is_empty() {
            Err(())
        } else {
            Ok(Self(Duration::from_millis(total)))
        }
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let millis = u64::try_from(self.0.as_millis()).unwrap_or(u64::MAX);
        let units = [
            ("d", 86_400_000),
            ("h", 3_600_000),
            ("m", 60_000),
            ("s", 1_000),
        ];
        match units
            .iter()
            .find(|(_, factor)| millis >= *factor && millis.is_multiple_of(*factor))
        {
            Some((unit, factor)) => write!(f, "{}{unit}", millis / factor),
            None => write!(f, "{millis}ms"),
        }
    }
}

/// How often something may happen, written as `"10/s"` or `"5/m burst 20"`: so many in each second, minute, hour or day, and so many at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    count: u32,
    per: Per,
    burst: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Per {
    Second,
    Minute,
    Hour,
    Day,
}

impl Rate {
    /// So many in each second, and so many at once.
    #[must_use]
    pub const fn per_second(count: u32, burst: u32) -> Self {
        Self {
            count,
            per: Per::Second,
            burst,
        }
    }

    /// So many in each minute, and so many at once.
    #[must_use]
    pub const fn per_minute(count: u32, burst: u32) -> Self {
        Self {
            count,
            per: Per::Minute,
            burst,
        }
    }

    /// How long until one more is allowed, in the long run.
    #[must_use]
    pub fn interval(self) -> Duration {
        let per = match self.per {
            Per::Second => 1,
            Per::Minute => 60,
            Per::Hour => 3_600,
            Per::Day => 86_400,
        };
        (Duration::from_secs(per) / self.count.max(1)).max(Duration::from_nanos(1))
    }

    /// How many are allowed at once after a rest.
    #[must_use]
    pub const fn burst(self) -> u32 {
        self.burst
    }
}

impl FromStr for Rate {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (rate, burst) = match text.split_once("burst") {
            Some((rate, burst)) => (rate, Some(burst.trim().parse().map_err(|_| ())?)),
            None => (text, None),
        };
        let (count, per) = rate.split_once('/').ok_or(())?;
        let count = count.trim().parse().map_err(|_| ())?;
        let per = match per.trim() {
            "s" => Per::Second,
            "m" => Per::Minute,
            "h" => Per::Hour,
            "d" => Per::Day,
            _ => return Err(()),
        };
        let burst = burst.unwrap_or(count);
        if count == 0 || burst == 0 {
            Err(())
        } else {
            Ok(Self { count, per, burst })
        }
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let per = match self.per {
            Per::Second => 's',
            Per::Minute => 'm',
            Per::Hour => 'h',
            Per::Day => 'd',
        };
        write!(f, "{}/{per} burst {}", self.count, self.burst)
    }
}

/// A number, which may have a fraction, and what comes behind it.
fn split_number(text: &str) -> Option<(&str, &str)> {
    let text = text.trim();
    let end = text
        .find(|letter: char| !letter.is_ascii_digit() && letter != '.')
        .unwrap_or(text.len());
    let (number, unit) = text.split_at_checked(end)?;
    (!number.is_empty()).then_some((number, unit.trim_start()))
}

/// `number` times `factor`, exactly for whole numbers, rounded for fractions.
fn scale(number: &str, factor: u64) -> Option<u64> {
    if let Ok(whole) = number.parse::<u64>() {
        return whole.checked_mul(factor);
    }
    #[expect(
        clippy::cast_precision_loss,
        reason = "somebody who writes a fraction does not count single bytes"
    )]
    let scaled = number.parse::<f64>().ok()? * factor as f64;
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "positive, and checked to be in range"
    )]
    (scaled < 9e18).then_some(scaled.round() as u64)
}

/// What a value of a type looks like, for the sentence that refuses another one.
trait Written: FromStr {
    const EXPECTED: &'static str;
    /// What a plain number means, if anything.
    fn from_number(_number: u64) -> Option<Self> {
        None
    }
}

impl Written for ByteSize {
    const EXPECTED: &'static str = "a size such as \"50 MiB\"";
    fn from_number(number: u64) -> Option<Self> {
        Some(Self(number))
    }
}

impl Written for Span {
    const EXPECTED: &'static str = "a time such as \"30d\", \"1h 30m\" or \"10s\"";
}

impl Written for Rate {
    const EXPECTED: &'static str = "a rate such as \"10/s\" or \"5/m burst 20\"";
}

impl Written for std::net::SocketAddr {
    const EXPECTED: &'static str =
        "an IP address and a port such as \"127.0.0.1:8008\" or \"[::]:8008\"";
}

impl Written for ipnet::IpNet {
    const EXPECTED: &'static str = "a network such as \"10.0.0.0/8\" or \"fd00::/8\"";
}

struct Text<T>(PhantomData<T>);

impl<'de, T: Written> Visitor<'de> for Text<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(T::EXPECTED)
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<T, E> {
        text.parse()
            .map_err(|_| E::custom(format!("expects {}, found {text:?}", T::EXPECTED)))
    }

    fn visit_u64<E: serde::de::Error>(self, number: u64) -> Result<T, E> {
        T::from_number(number).ok_or_else(|| {
            E::custom(format!(
                "expects {}, found the plain number {number}",
                T::EXPECTED
            ))
        })
    }

    fn visit_i64<E: serde::de::Error>(self, number: i64) -> Result<T, E> {
        let size = u64::try_from(number).ok().and_then(T::from_number);
        size.ok_or_else(|| {
            E::custom(format!(
                "expects {}, found the plain number {number}",
                T::EXPECTED
            ))
        })
    }
}

macro_rules! as_text {
    ($($unit:ty),*) => {$(
        impl<'de> Deserialize<'de> for $unit {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                deserializer.deserialize_any(Text(PhantomData))
            }
        }
        impl Serialize for $unit {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }
    )*};
}
as_text!(ByteSize, Span, Rate);

/// Reads a list of addresses or networks; a single one need not stand in brackets.
#[expect(
    private_bounds,
    reason = "used as serde's deserialize_with by the sections only"
)]
pub(super) fn list<'de, D: Deserializer<'de>, T: Written>(
    deserializer: D,
) -> Result<Vec<T>, D::Error> {
    struct List<T>(PhantomData<T>);

    impl<'de, T: Written> Visitor<'de> for List<T> {
        type Value = Vec<T>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            write!(f, "a list whose entries are each {}", T::EXPECTED)
        }

        fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Vec<T>, E> {
            Text(PhantomData).visit_str(text).map(|one| vec![one])
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut entries: A) -> Result<Vec<T>, A::Error> {
            let mut list = Vec::new();
            let wrong = |_| {
                A::Error::custom(format!(
                    "expects a list whose entries are each {}",
                    T::EXPECTED
                ))
            };
            while let Some(text) = entries.next_element::<String>().map_err(wrong)? {
                list.push(Text(PhantomData).visit_str(&text)?);
            }
            Ok(list)
        }
    }

    deserializer.deserialize_any(List(PhantomData))
}

/// Writes what [`list`] reads.
pub(super) fn shown<S: Serializer, T: fmt::Display>(
    list: &[T],
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(list.iter().map(ToString::to_string))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_as_people_write_them() {
        for (text, bytes) in [
            ("50 MiB", 50 << 20),
            ("50MiB", 50 << 20),
            ("50m", 50 << 20),
            ("1.5 GB", 1_500_000_000),
            ("0", 0),
            ("4096 bytes", 4096),
            (" 7 kB ", 7000),
        ] {
            assert_eq!(text.parse(), Ok(ByteSize(bytes)), "{text}");
        }
        for text in [
            "",
            "MiB",
            "50 MiBs",
            "-3",
            "1.2.3 k",
            "99999999999 TiB",
            "fifty",
        ] {
            assert_eq!(text.parse::<ByteSize>(), Err(()), "{text}");
        }
    }

    #[test]
    fn times_are_read_as_people_write_them() {
        for (text, millis) in [
            ("30d", 2_592_000_000),
            ("1h 30m", 5_400_000),
            ("1h30m", 5_400_000),
            ("250ms", 250),
            ("2 weeks", 1_209_600_000),
            ("1.5s", 1_500),
        ] {
            assert_eq!(
                text.parse(),
                Ok(Span(Duration::from_millis(millis))),
                "{text}"
            );
        }
        for text in ["", "30", "d", "3 fortnights", "1h -3m", "99999999999999y"] {
            assert_eq!(text.parse::<Span>(), Err(()), "{text}");
        }
    }

    #[test]
    fn rates_are_read_as_people_write_them() {
        assert_eq!("10/s".parse(), Ok(Rate::per_second(10, 10)));
        assert_eq!("5/m burst 20".parse(), Ok(Rate::per_minute(5, 20)));
        assert_eq!(
            "5/m".parse::<Rate>().unwrap().interval(),
            Duration::from_secs(12)
        );
        for text in ["10", "10/x", "0/s", "5/s burst 0", "a/s", "5/s burst"] {
            assert_eq!(text.parse::<Rate>(), Err(()), "{text}");
        }
    }

    #[test]
    fn what_is_written_is_read_back() {
        for size in [0, 1, 1023, 1024, 5 << 20, (5 << 20) + 1, 3 << 40] {
            assert_eq!(ByteSize(size).to_string().parse(), Ok(ByteSize(size)));
        }
        for millis in [0, 1, 1_000, 61_000, 3_600_000, 86_400_000] {
            let span = Span(Duration::from_millis(millis));
            assert_eq!(span.to_string().parse(), Ok(span));
        }
        assert_eq!(
            Rate::per_minute(5, 20).to_string().parse(),
            Ok(Rate::per_minute(5, 20))
        );
    }
}
