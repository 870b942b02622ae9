//! The five ways to be, or not to be, in a room. Who is in which way is in `members.rs`.

use std::fmt;

/// A user's relation to a room (client-server API, *Room membership*).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Membership {
    /// In the room.
    Join = 1,
    /// Asked in.
    Invite = 2,
    /// Asking to be let in.
    Knock = 3,
    /// Not in the room, perhaps not any more.
    Leave = 4,
    /// Shut out.
    Ban = 5,
}

impl Membership {
    /// Every one there is.
    pub const ALL: [Self; 5] = [
        Self::Join,
        Self::Invite,
        Self::Knock,
        Self::Leave,
        Self::Ban,
    ];

    /// The word in the event.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Join => "join",
            Self::Invite => "invite",
            Self::Knock => "knock",
            Self::Leave => "leave",
            Self::Ban => "ban",
        }
    }

    /// The membership with this word.
    #[must_use]
    pub fn named(word: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|membership| membership.as_str() == word)
    }

    pub(crate) const fn code(self) -> u8 {
        self as u8
    }

    /// What a code in a row means; one that no version has written is nothing better than having left.
    pub(crate) fn of_code(code: u8) -> Self {
        Self::ALL
            .into_iter()
            .find(|membership| membership.code() == code)
            .unwrap_or(Self::Leave)
    }
}

impl fmt::Display for Membership {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
