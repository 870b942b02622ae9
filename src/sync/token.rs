//! The tokens that clients hand back to us: how far they have read, and from where to page.
//!
//! A token is a position of the log, which survives restarts, and a version of what lives in memory only, which does not: so the
//! latter carries the epoch of the process that counted it. Reading is total: text is a token of ours or an error.

use std::fmt;
use std::str::FromStr;

use store::Pos;

use crate::error::Error;

/// Where a sync has come to: `next_batch`, to be given back as `since`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Token {
    /// Everything up to here has been told.
    pub pos: Pos,
    /// Which typing notices have been told.
    pub typing: TypingSeen,
    /// Messages to the device have been told up to here. If the answer had none, this is left out, and means `pos`.
    pub to_device: Option<Pos>,
}

/// How much a client knows of who is typing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct TypingSeen {
    /// The process that counted `version`.
    pub epoch: u32,
    /// The version up to which it has been told.
    pub version: u64,
    /// Whether, as far as the client knows, somebody is typing somewhere: then it must be told when that is over, even by another
    /// process that knows nothing of it.
    pub somebody: bool,
}

impl Token {
    /// Everything up to `pos`, and nothing of what lives in memory only.
    pub const fn at(pos: Pos) -> Self {
        Self {
            pos,
            typing: TypingSeen {
                epoch: 0,
                version: 0,
                somebody: false,
            },
            to_device: None,
        }
    }

    /// How far messages to the device have been told.
    pub fn to_device(&self) -> Pos {
        self.to_device.unwrap_or(self.pos)
    }
}

impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let TypingSeen {
            epoch,
            version,
            somebody,
        } = self.typing;
        write!(f, "s{}_{epoch:x}_{version:x}", self.pos.get())?;
        if somebody {
            f.write_str("t")?;
        }
        match self.to_device {
            Some(pos) => write!(f, "_{}", pos.get()),
            None => Ok(()),
        }
    }
}

impl FromStr for Token {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let mut parts = text.strip_prefix('s').ok_or(Error::BadToken)?.split('_');
        let pos = position(parts.next())?;
        let mut token = Self::at(pos);
        if let Some(epoch) = parts.next() {
            let version = parts.next().ok_or(Error::BadToken)?;
            let bare = version.strip_suffix('t');
            token.typing = TypingSeen {
                epoch: u32::try_from(number(Some(epoch), 16)?).map_err(|_| Error::BadToken)?,
                version: number(Some(bare.unwrap_or(version)), 16)?,
                somebody: bare.is_some(),
            };
        }
        token.to_device = parts.next().map(|part| position(Some(part))).transpose()?;
        if parts.next().is_some() || token.to_device.is_some_and(|told| told > pos) {
            return Err(Error::BadToken);
        }
        Ok(token)
    }
}

/// A place in a room's timeline, for paging: backwards lies everything up to this position, forwards everything after it.
/// Clients also page from where a sync has come to, so a sync token is read as the place behind what it told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place(pub Pos);

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "t{}", self.0.get())
    }
}

impl FromStr for Place {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        match text.strip_prefix('t') {
            Some(number) => position(Some(number)).map(Self),
            None => text.parse().map(|token: Token| Self(token.pos)),
        }
    }
}

fn position(text: Option<&str>) -> Result<Pos, Error> {
    let pos = Pos::new(number(text, 10)?);
    if pos > Pos::MAX {
        Err(Error::BadToken)
    } else {
        Ok(pos)
    }
}

/// A number in exactly the form that we write: no sign, no leading zero.
fn number(text: Option<&str>, radix: u32) -> Result<u64, Error> {
    let text = text.ok_or(Error::BadToken)?;
    let leads = text.starts_with('+') || (text.len() > 1 && text.starts_with('0'));
    if leads {
        return Err(Error::BadToken);
    }
    u64::from_str_radix(text, radix).map_err(|_| Error::BadToken)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_is_written_is_read(
            pos in 0..Pos::MAX.get(), epoch: u32, version: u64, somebody: bool, lag in proptest::option::of(0..1000_u64),
        ) {
            let token = Token {
                pos: Pos::new(pos),
                typing: TypingSeen { epoch, version, somebody },
                to_device: lag.map(|lag| Pos::new(pos.saturating_sub(lag))),
            };
            prop_assert_eq!(token.to_string().parse::<Token>().unwrap(), token);
            prop_assert_eq!(Place(token.pos).to_string().parse::<Place>().unwrap(), Place(token.pos));
        }

        #[test]
        fn anything_else_is_refused_and_nothing_panics(text in ".{0,40}") {
            if let Ok(token) = text.parse::<Token>() {
                prop_assert_eq!(token.to_string().parse::<Token>().unwrap(), token);
            }
            let _ = text.parse::<Place>();
        }
    }

    #[test]
    fn malformed_tokens() {
        for text in [
            "",
            "s",
            "12",
            "s-1",
            "s+1",
            "s01",
            "sx",
            "s1_",
            "s1_2",
            "s1_2_",
            "s1_2_3_",
            "s1_2_3_4",
            "s9_2_3t_4_5",
            "s9223372036854775808",
            "s18446744073709551616",
            "s1 ",
            "s1_100000000_0",
            "t",
            "t1",
            "s72594_4483_1934_2_2",
        ] {
            assert!(text.parse::<Token>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_sync_token_is_a_place_behind_what_it_told() {
        assert_eq!("s41_1_0".parse::<Place>().unwrap(), Place(Pos::new(41)));
    }
}
