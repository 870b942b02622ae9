//! Numbers: integers within 53 bits in strict JSON; in lax JSON whatever Python's `json` reads, as it writes it.
//!
//! Events of the oldest room versions were hashed by a server written in Python, so its spelling of floats is the canonical one
//! there. The specification's own example (`1e10` is `10000000000`) comes first where the two differ.

use super::{Value, in_range};
use crate::rules::Json;

pub(super) enum Problem {
    NotANumber,
    NotCanonical(&'static str),
}

pub(super) fn read(text: &str, json: Json) -> Result<Value<'static>, Problem> {
    let shape = Shape::of(text).ok_or(Problem::NotANumber)?;
    match json {
        Json::Strict => strict(text, shape),
        Json::Lax => lax(text, shape),
    }
}

/// The integer at the start, with its length, if it is one of few digits: the same in either mode, and nearly all there are.
pub(super) fn plain(bytes: &[u8]) -> Option<(i64, usize)> {
    let (sign, unsigned) = match bytes {
        [b'-', rest @ ..] => (1, rest),
        _ => (0, bytes),
    };
    let digits = unsigned
        .iter()
        .take(16)
        .take_while(|byte| byte.is_ascii_digit())
        .count();
    let ends = !matches!(
        unsigned.get(digits),
        Some(b'0'..=b'9' | b'.' | b'e' | b'E' | b'+' | b'-')
    );
    let leading_zero = unsigned.first() == Some(&b'0') && (digits > 1 || sign == 1);
    if digits == 0 || digits > 15 || !ends || leading_zero {
        return None;
    }
    let integer = unsigned
        .iter()
        .take(digits)
        .fold(0, |sum, digit| sum * 10 + i64::from(digit - b'0'));
    Some((if sign == 1 { -integer } else { integer }, sign + digits))
}

/// Which of its optional parts a number has.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Shape {
    Integer,
    Exponent,
    Fraction,
}

impl Shape {
    /// Checks the grammar of RFC 8259.
    fn of(text: &str) -> Option<Self> {
        let text = text.strip_prefix('-').unwrap_or(text);
        let (mantissa, exponent) = match text.split_once(['e', 'E']) {
            Some((mantissa, exponent)) => (mantissa, Some(exponent)),
            None => (text, None),
        };
        let (integer, fraction) = match mantissa.split_once('.') {
            Some((integer, fraction)) => (integer, Some(fraction)),
            None => (mantissa, None),
        };
        let exponent =
            exponent.map(|exponent| exponent.strip_prefix(['+', '-']).unwrap_or(exponent));
        let leading_zero = integer.len() > 1 && integer.starts_with('0');
        let all_digits =
            is_digits(integer) && fraction.is_none_or(is_digits) && exponent.is_none_or(is_digits);
        if leading_zero || !all_digits {
            return None;
        }
        Some(match (fraction, exponent) {
            (Some(_), _) => Self::Fraction,
            (None, Some(_)) => Self::Exponent,
            (None, None) => Self::Integer,
        })
    }
}

fn is_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

fn strict(text: &str, shape: Shape) -> Result<Value<'static>, Problem> {
    if shape != Shape::Integer {
        return Err(Problem::NotCanonical(
            "a number has a fraction or an exponent",
        ));
    }
    if text == "-0" {
        return Err(Problem::NotCanonical("zero is negative"));
    }
    match text.parse::<i64>() {
        Ok(integer) if in_range(integer) => Ok(Value::Integer(integer)),
        _ => Err(Problem::NotCanonical("an integer is out of range")),
    }
}

fn lax(text: &str, shape: Shape) -> Result<Value<'static>, Problem> {
    if shape == Shape::Integer {
        return Ok(match text.parse() {
            Ok(integer) => Value::Integer(integer),
            Err(_) => Value::Number(text.into()),
        });
    }
    let float: f64 = text.parse().map_err(|_| Problem::NotANumber)?;
    if !float.is_finite() {
        return Err(Problem::NotCanonical("a number is out of range"));
    }
    if shape == Shape::Exponent
        && let Some(integer) = whole(float)
    {
        return Ok(Value::Integer(integer));
    }
    Ok(Value::Number(python_repr(float).into()))
}

/// The float as an integer, if it is one that canonical JSON can hold.
pub(crate) fn whole(float: f64) -> Option<i64> {
    #[expect(
        clippy::cast_possible_truncation,
        reason = "the cast saturates, and the range is checked next"
    )]
    let integer = float as i64;
    #[expect(
        clippy::cast_precision_loss,
        reason = "integers in range are exact as floats"
    )]
    let same = in_range(integer) && integer as f64 == float;
    same.then_some(integer)
}

/// Python's `repr` of a float: the shortest digits that read back as the same, with an exponent from 1e16 on and below 1e-4.
fn python_repr(float: f64) -> String {
    let shortest = format!("{float:e}");
    let (sign, unsigned) = match shortest.strip_prefix('-') {
        Some(unsigned) => ("-", unsigned),
        None => ("", &*shortest),
    };
    let (mantissa, exponent) = unsigned.split_once('e').unwrap_or((unsigned, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if (-4..16).contains(&exponent) {
        // `{:?}` writes a point in any case, and no exponent in this range.
        return format!("{float:?}");
    }
    let direction = if exponent < 0 { '-' } else { '+' };
    format!("{sign}{mantissa}e{direction}{:02}", exponent.abs())
}
