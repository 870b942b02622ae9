//! What a redaction does to the event it names: its content goes, for every reader and from the disk (client-server API,
//! *Redactions*; room versions, *Handling redactions*).

use event::auth::levels::Level;
use event::{Pdu, redact};
use ruma::UserId;
use store::rows::rooms::{MemberRow, MembershipRow};
use store::{Change, EventNo, UserNo, tables};

use super::append::spans;
use super::members::Said;
use crate::compose::Composer;
use crate::error::Result;
use crate::head::Known;
use crate::membership::Membership;
use crate::state::now;
use crate::stored::Stored;

impl Composer {
    /// Carries out a redaction that has been appended, if its sender may redact what it names.
    pub(crate) fn redacted(&mut self, redaction: &Known) -> Result<()> {
        let Some(target) = redaction.pdu.redacts(self.rules()) else {
            return Ok(());
        };
        let room = self.desk.head.room;
        let found = Stored::find_any(&self.tx, room, &target)?;
        if found.as_ref().is_none_or(Stored::is_outlier) {
            let key = (room, target.as_str());
            self.tx.put(tables::REDACTED_UNSEEN, &key, &redaction.no)?;
        }
        let Some(target) = found else {
            return Ok(());
        };
        let target_pdu = target.pdu(&self.desk.head.room_id)?;
        if target.redacted_by().is_some() || !self.may_redact(&redaction.pdu, &target_pdu) {
            return Ok(());
        }
        self.strip(target, &target_pdu, redaction.no)
    }

    /// What is left of an event that comes after the redaction of it, and that redaction; nothing if there is none.
    pub(crate) fn redacted_before(&self, target: &Pdu) -> Result<Option<(Pdu, EventNo)>> {
        let key = (self.desk.head.room, target.event_id().as_str());
        let Some(no) = self.tx.get(tables::REDACTED_UNSEEN, &key)? else {
            return Ok(None);
        };
        if self.may_redact(&self.event(no)?, target) {
            Ok(Some((target.redact(self.rules())?, no)))
        } else {
            Ok(None)
        }
    }

    /// Whoever has the level may redact anything, and a server what came from it.
    pub(crate) fn may_redact(&self, redaction: &Pdu, target: &Pdu) -> bool {
        let levels = self.levels();
        levels.user(redaction.sender()) >= Level::Int(levels.redact())
            || redaction.sender().server_name() == target.sender().server_name()
    }

    fn strip(&mut self, target: Stored, full: &Pdu, by: EventNo) -> Result<()> {
        let no = target.no();
        let json = redact::redact(full.json(), self.rules())?;
        let mut row = target.into_row();
        self.unrelate(&row)?;
        let pdu = Pdu::from_stored(
            full.event_id().to_owned(),
            full.room_id().to_owned(),
            json.as_str(),
        )?;
        row.spans = spans(&json)?;
        row.json = json;
        row.redacted_by = Some(by);
        row.relates = None;
        self.tx.put(tables::EVENTS, &no, &row)?;
        self.tx.log(Change::Redaction {
            room: self.desk.head.room,
            event: no,
        });
        if let Some((event_type, state_key)) = pdu.state_pair()
            && now::find(&self.tx, self.desk.head.room, event_type, state_key)? == Some(no)
        {
            self.strip_state(no, &pdu)?;
        }
        Ok(())
    }

    /// What had been copied from the content into indexes goes too.
    fn strip_state(&mut self, no: EventNo, pdu: &Pdu) -> Result<()> {
        self.desk.head_is_stale = true;
        let member = pdu
            .state_key()
            .and_then(|key| <&UserId>::try_from(key).ok());
        let (true, Some(member)) = (pdu.event_type() == "m.room.member", member) else {
            self.summarise(pdu);
            return Ok(());
        };
        let Some(user) = self.tx.user_no(member)? else {
            return Ok(());
        };
        let Some(row) = self.membership(user)? else {
            return Ok(());
        };
        self.strip_member(no, pdu, (user, member), &row)
    }

    fn strip_member(
        &mut self,
        no: EventNo,
        pdu: &Pdu,
        (user, id): (UserNo, &UserId),
        row: &MembershipRow,
    ) -> Result<()> {
        let room = self.desk.head.room;
        let said = Said::by(pdu.content_str());
        let row = MembershipRow {
            display_name: said.display_name.clone(),
            avatar_url: said.avatar_url,
            ..row.clone()
        };
        let remote = !self.rooms.is_ours(id);
        let code = Membership::of_code(row.membership).code();
        let member = MemberRow {
            event: no,
            display_name: said.display_name,
        };
        self.tx
            .put(tables::MEMBERS, &(room, code, remote, user), &member)?;
        self.tx.put(tables::MEMBERSHIPS, &(user, room), &row)?;
        self.desk.memberships.insert(user, row);
        Ok(())
    }
}
