//! What a membership event means for the indexes: who is in a room, in which rooms a user is, how many there are, and what
//! somebody who is not in the room may know of it.

use event::Pdu;
use ruma::UserId;
use serde_json::Value;
use store::rows::rooms::{MemberRow, MembershipRow};
use store::{Json, Pos, UserNo, tables};

use crate::compose::Composer;
use crate::error::Result;
use crate::head::Known;
use crate::membership::Membership;

/// The state that somebody invited, or knocking, gets to see (client-server API, *Stripped state*).
pub(crate) const STRIPPED: [&str; 7] = [
    "m.room.create",
    "m.room.join_rules",
    "m.room.name",
    "m.room.avatar",
    "m.room.topic",
    "m.room.canonical_alias",
    "m.room.encryption",
];

/// What a membership event says.
#[derive(Debug, Default)]
pub(crate) struct Said {
    pub(crate) membership: Option<Membership>,
    pub(crate) display_name: Option<String>,
    pub(crate) avatar_url: Option<String>,
    pub(crate) is_direct: bool,
}

impl Said {
    /// Reads it, taking as absent what has the wrong type.
    pub(crate) fn by(content: &str) -> Self {
        let content: Value = serde_json::from_str(content).unwrap_or_default();
        let text = |name| content.get(name).and_then(Value::as_str);
        Self {
            membership: text("membership").and_then(Membership::named),
            display_name: text("displayname")
                .filter(|name| !name.is_empty())
                .map(str::to_owned),
            avatar_url: text("avatar_url")
                .filter(|url| !url.is_empty())
                .map(str::to_owned),
            is_direct: content.get("is_direct").and_then(Value::as_bool) == Some(true),
        }
    }
}

impl Composer {
    /// Brings the indexes in step with a membership that has become state.
    pub(crate) fn set_membership(
        &mut self,
        user: UserNo,
        known: &Known,
        by: UserNo,
        pos: Pos,
    ) -> Result<()> {
        let said = Said::by(known.pdu.content_str());
        let new = said.membership.unwrap_or(Membership::Leave);
        let old = self.membership(user)?;
        let inside = old.as_ref().filter(|row| !row.outside);
        let was = inside.map(|row| Membership::of_code(row.membership));
        let remote = known
            .pdu
            .state_key()
            .and_then(|key| key.split_once(':'))
            .is_none_or(|(_, server)| server != self.rooms.server_name().as_str());
        let room = self.desk.head.room;

        let member = MemberRow {
            event: known.no,
            display_name: said.display_name.clone(),
        };
        if let Some(was) = was {
            self.tx
                .delete(tables::MEMBERS, &(room, was.code(), remote, user));
        }
        self.tx
            .put(tables::MEMBERS, &(room, new.code(), remote, user), &member)?;
        let row = membership_row(said, new, old.as_ref(), known, (by, pos));
        self.tx.put(tables::MEMBERSHIPS, &(user, room), &row)?;
        self.desk.memberships.insert(user, row);
        self.count(was, -1, remote);
        self.count(Some(new), 1, remote);
        self.count_server(known.pdu.state_key(), was, Some(new));
        if !remote {
            let was = old.map(|row| Membership::of_code(row.membership));
            self.set_stripped(user, was, new, &known.pdu)?;
            self.tx.delete(tables::OUTSIDE, &(room, user));
        }
        Ok(())
    }

    /// Forgets a membership that is not part of the state any more.
    pub(crate) fn unset_membership(&mut self, user: &UserId) -> Result<()> {
        let Some(no) = self.tx.user_no(user)? else {
            return Ok(());
        };
        let row = self.membership(no)?.filter(|row| !row.outside);
        let Some(row) = row else {
            return Ok(());
        };
        let (room, remote) = (self.desk.head.room, !self.rooms.is_ours(user));
        let was = Membership::of_code(row.membership);
        self.tx
            .delete(tables::MEMBERS, &(room, was.code(), remote, no));
        self.tx.delete(tables::MEMBERSHIPS, &(no, room));
        self.tx.delete(tables::STRIPPED, &(no, room));
        self.count(Some(was), -1, remote);
        self.count_server(Some(user.as_str()), Some(was), None);
        Ok(())
    }

    fn count(&mut self, membership: Option<Membership>, by: i64, remote: bool) {
        let summary = &mut self.desk.head.summary;
        match membership {
            Some(Membership::Join) => {
                summary.joined = summary.joined.saturating_add_signed(by);
                if !remote {
                    summary.joined_here = summary.joined_here.saturating_add_signed(by);
                }
            }
            Some(Membership::Invite) => {
                summary.invited = summary.invited.saturating_add_signed(by);
            }
            _ => {}
        }
    }

    /// Keeps count of the servers in the room.
    fn count_server(
        &mut self,
        user: Option<&str>,
        was: Option<Membership>,
        new: Option<Membership>,
    ) {
        let joined = |membership| i64::from(membership == Some(Membership::Join));
        let by = joined(new) - joined(was);
        let server = user.and_then(|user| user.split_once(':'));
        if let (Some((_, server)), true) = (server, by != 0) {
            *self.desk.servers.entry(server.to_owned()).or_default() += by;
        }
    }

    /// Keeps for the invited and the knocking what they may know now; a later name is none of their business.
    fn set_stripped(
        &mut self,
        user: UserNo,
        was: Option<Membership>,
        new: Membership,
        own: &Pdu,
    ) -> Result<()> {
        let outside = |membership| matches!(membership, Membership::Invite | Membership::Knock);
        let key = (user, self.desk.head.room);
        if outside(new) {
            let stripped = self.stripped(own)?;
            self.tx.put(tables::STRIPPED, &key, &Json::new(stripped))?;
        } else if was.is_some_and(outside) {
            self.tx.delete(tables::STRIPPED, &key);
        }
        Ok(())
    }

    fn stripped(&self, own: &Pdu) -> Result<String> {
        let mut events = Vec::with_capacity(9);
        for event_type in STRIPPED {
            events.extend(self.state(event_type, "")?.map(|known| known.pdu));
        }
        if Some(own.sender().as_str()) != own.state_key() {
            let inviter = self.state("m.room.member", own.sender().as_str())?;
            events.extend(inviter.map(|known| known.pdu));
        }
        events.push(own.clone());
        let mut out = String::from("[");
        for event in &events {
            if out.len() > 1 {
                out.push(',');
            }
            write_stripped(event, &mut out);
        }
        out.push(']');
        Ok(out)
    }
}

fn membership_row(
    said: Said,
    new: Membership,
    old: Option<&MembershipRow>,
    known: &Known,
    (by, pos): (UserNo, Pos),
) -> MembershipRow {
    let was_joined = old.is_some_and(|old| old.membership == Membership::Join.code());
    let is_joined = new == Membership::Join;
    let stays_out = matches!(new, Membership::Leave | Membership::Ban);
    MembershipRow {
        membership: new.code(),
        event: known.no,
        since: pos,
        by,
        joined_at: is_joined.then(|| {
            old.filter(|_| was_joined)
                .and_then(|old| old.joined_at)
                .unwrap_or(pos)
        }),
        left_at: match (was_joined, is_joined) {
            (_, true) => None,
            (true, false) => Some(pos),
            (false, false) => old.and_then(|old| old.left_at),
        },
        forgotten: stays_out && old.is_some_and(|old| old.forgotten),
        display_name: said.display_name,
        avatar_url: said.avatar_url,
        is_direct: said.is_direct,
        outside: false,
    }
}

pub(crate) fn write_stripped(event: &Pdu, out: &mut String) {
    let text = |text: &str| Value::from(text).to_string();
    out.push_str("{\"content\":");
    out.push_str(event.content_str());
    out.push_str(",\"sender\":");
    out.push_str(&text(event.sender().as_str()));
    out.push_str(",\"state_key\":");
    out.push_str(&text(event.state_key().unwrap_or_default()));
    out.push_str(",\"type\":");
    out.push_str(&text(event.event_type()));
    out.push('}');
}
