//! Rooms in an answer that the user is not in: invitations and knocks, and rooms that are over.

use rooms::Membership;
use rooms::members::{self as standings, Standing};
use rooms::state::At;
use store::{Pos, RoomNo};

use super::answer::Builder;
use super::room::{Piece, write_counts};
use super::wanted::Wanted;
use crate::delta::{Known, Moments};
use crate::error::Result;
use crate::json::Writer;
use crate::sight::Sight;
use crate::window::Window;

impl Builder<'_> {
    /// Tells an invitation or a knock: what may be known from outside.
    pub(super) fn outside(&mut self, room: RoomNo, standing: &Standing) -> Result<()> {
        let state = standings::stripped(self.view.s, room, self.viewer.user)?;
        let state = state.as_deref().unwrap_or("[]");
        let mut out = Writer::with_capacity(256 + 2 * state.len());
        out.key("bump_stamp");
        out.number(standing.since.get());
        out.key("initial");
        out.boolean(true);
        // Clients take knocks from `invite_state`, too, and tell them apart by the membership in it.
        out.key("invite_state");
        out.raw(state);
        if standing.membership == Membership::Knock {
            out.key("knock_state");
            out.raw(state);
        }
        if self.index.is_dm(room) {
            out.key("is_dm");
            out.boolean(true);
        }
        let told = Outside::of(state);
        if let Some(name) = told.name {
            out.key("name");
            out.string(&name);
        }
        if let Some(avatar) = told.avatar {
            out.key("avatar");
            out.string(&avatar);
        }
        write_counts(&mut out, 0, 0);
        self.add(room, out)
    }

    /// Tells that a room is over for the user: what they saw up to the end of their stay, if the client knew of one, and the event that
    /// says how they stand to it now.
    pub(super) fn gone(
        &mut self,
        room: RoomNo,
        standing: &Standing,
        from: Option<Pos>,
        (limit, want): (u32, &Wanted),
    ) -> Result<()> {
        let end = standing
            .left_at
            .filter(|end| from.is_some_and(|from| *end > from));
        let own = self.view.event(standing.event)?;
        let mut piece = match (from, end) {
            (Some(from), Some(end)) => {
                let sight = Sight::left(self.view.s, room, &self.viewer, standing, end)?;
                let limit = usize::try_from(limit).unwrap_or(1).max(1);
                let window = self.newest(room, (from, standing.since), limit, &sight)?;
                let then = Known::Then(At::position(self.view.s, room, from)?);
                let end = At::position(self.view.s, room, end)?;
                let moments = Moments::new(then, &window, end, false);
                let state = self.changed(room, &moments, &window, want)?;
                Piece { window, state }
            }
            _ => {
                let mut window = Window::empty(standing.since.previous());
                window.events.push(own.clone());
                let state = Vec::new();
                Piece { window, state }
            }
        };
        let key = own.state_key_no();
        piece.state.retain(|event| event.state_key_no() != key);
        piece.state.push(own);
        let mut out = Writer::with_capacity(1024);
        out.key("bump_stamp");
        out.number(standing.since.get());
        self.write_piece(&mut out, standing, &piece, false)?;
        write_counts(&mut out, 0, 0);
        self.add(room, out)
    }
}

/// What stripped state says of how a room is called.
#[derive(Default)]
struct Outside {
    name: Option<String>,
    avatar: Option<String>,
}

impl Outside {
    /// Reads it; what has not the shape that it should have says nothing.
    fn of(state: &str) -> Self {
        let events: Vec<serde_json::Value> = serde_json::from_str(state).unwrap_or_default();
        let text = |kind: &str, field: &str| {
            let event = events
                .iter()
                .find(|event| event.get("type").and_then(|it| it.as_str()) == Some(kind))?;
            let text = event.get("content")?.get(field)?.as_str()?;
            (!text.is_empty()).then(|| text.to_owned())
        };
        Self {
            name: text("m.room.name", "name").or_else(|| text("m.room.canonical_alias", "alias")),
            avatar: text("m.room.avatar", "url"),
        }
    }
}
