//! `GET /_matrix/client/v1/rooms/{roomId}/hierarchy`

use rooms::hierarchy::{self, Wanted};
use rooms::shown::SpaceRoom;
use ruma::api::client::space::get_hierarchy::v1::Request;
use serde::Serialize;
use web::{Authed, JsonBytes, Matrix, Reply};

use crate::{App, json};

/// How many rooms an answer has that asks for no number, and at most.
const SOME: usize = 50;
const MOST: usize = 100;

#[derive(Serialize)]
struct Answer {
    rooms: Vec<SpaceRoom>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_batch: Option<String>,
}

/// Where a page ends. What was asked has to stay the same from page to page, so the token holds it.
#[derive(PartialEq, Eq)]
struct Token {
    skip: usize,
    suggested_only: bool,
    max_depth: Option<usize>,
}

/// The rooms of a space, as a tree.
pub(crate) async fn get(who: Authed, Matrix(ask): Matrix<Request>, app: App) -> Reply<JsonBytes> {
    let max_depth = ask
        .max_depth
        .map(|depth| usize::try_from(u64::from(depth)).unwrap_or(usize::MAX));
    let begin = Token {
        skip: 0,
        suggested_only: ask.suggested_only,
        max_depth,
    };
    let token = match &ask.from {
        Some(from) => Token::read(from)
            .filter(|token| token.continues(&begin))
            .ok_or_else(bad_token)?,
        None => begin,
    };
    let limit = ask
        .limit
        .map_or(SOME, |limit| {
            usize::try_from(u64::from(limit)).unwrap_or(MOST)
        })
        .clamp(1, MOST);
    let user = who.user_id.clone();
    let answer = app.read(move |s| {
        // Whoever may not know of a room does not learn here whether there is one.
        let hidden = || web::Error::forbidden("you cannot look at this room");
        let root = rooms::members::room(s, &ask.room_id).map_err(|_| hidden())?;
        let wanted = Wanted {
            suggested_only: token.suggested_only,
            max_depth: token.max_depth,
            skip: token.skip,
            limit,
        };
        let page = match hierarchy::walk(s, root, &user, &wanted) {
            Err(rooms::Error::NoSuchRoom) => return Err(hidden()),
            page => page?,
        };
        let next = Token {
            skip: token.skip + page.rooms.len(),
            ..token
        };
        let rooms = page.rooms.into_iter().map(|node| SpaceRoom::of(s, node));
        Ok(Answer {
            rooms: rooms.collect::<rooms::Result<_>>()?,
            next_batch: page.more.then(|| next.write()),
        })
    });
    json::answer(&answer.await?)
}

fn bad_token() -> web::Error {
    web::Error::invalid_param("from does not continue a page of the same question")
}

impl Token {
    fn write(&self) -> String {
        let depth = self
            .max_depth
            .map(|depth| depth.to_string())
            .unwrap_or_default();
        format!("{}_{}_{depth}", self.skip, u8::from(self.suggested_only))
    }

    fn read(text: &str) -> Option<Self> {
        let mut parts = text.split('_');
        let (skip, suggested, depth) = (parts.next()?, parts.next()?, parts.next()?);
        let max_depth = if depth.is_empty() {
            None
        } else {
            Some(depth.parse().ok()?)
        };
        let token = Self {
            skip: skip.parse().ok()?,
            suggested_only: suggested == "1",
            max_depth,
        };
        parts.next().is_none().then_some(token)
    }

    fn continues(&self, begin: &Self) -> bool {
        self.suggested_only == begin.suggested_only && self.max_depth == begin.max_depth
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_says_what_was_asked() {
        for (suggested_only, max_depth) in [(true, None), (false, Some(3))] {
            let token = Token {
                skip: 7,
                suggested_only,
                max_depth,
            };
            assert!(Token::read(&token.write()) == Some(token));
        }
        for bad in ["", "1", "1_1", "1_1_1_1", "x_1_", "1_1_x", "-1_0_"] {
            assert!(Token::read(bad).is_none(), "{bad}");
        }
    }
}
