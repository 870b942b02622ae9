//! An event from here: draft → tips → auth events → sign → judge → append. All of it on a room's head, in the room's lane,
//! and without waiting for anything. What an accepted event writes stands in `intake/append.rs`.

use std::collections::HashMap;

use event::limits::PREV_EVENTS;
use event::{Draft, Pdu, Rules, Verdict, auth};
use ruma::{OwnedUserId, UserId};
use serde_json::value::RawValue;
use store::rows::rooms::{HeadRow, MembershipRow};
use store::{EventNo, NodeNo, StateKeyNo, Tx, UserNo, tables};

use crate::Rooms;
use crate::ask::Txn;
use crate::error::{Error, Result};
use crate::head::{Head, Known};
use crate::members::Standing;
use crate::servers;
use crate::state::now;
use crate::state::trie::{self, Grow, Node, Nodes, Root, Slot};
use crate::stored::Stored;
use crate::summary::Summary;

/// One decision about a room, or about several that become visible together: what it reads, and the batch it becomes.
pub(crate) struct Composer {
    pub(crate) rooms: Rooms,
    pub(crate) tx: Tx,
    pub(crate) desk: Desk,
}

/// A room under decision. What this batch sets is seen by what follows in it.
pub(crate) struct Desk {
    pub(crate) head: Head,
    /// What the head was, for the batch to assert; nothing for a new room.
    was: Option<HeadRow>,
    summary_was: Summary,
    /// Type and key to event, of the state that this batch sets.
    state: HashMap<(String, String), EventNo>,
    pdus: HashMap<EventNo, Pdu>,
    /// Number to type and key, of the state that this batch names.
    pub(crate) keys: HashMap<StateKeyNo, (String, String)>,
    nodes: HashMap<NodeNo, Node>,
    pub(crate) memberships: HashMap<UserNo, MembershipRow>,
    /// By how many its joined users become more or fewer, for each server.
    pub(crate) servers: HashMap<String, i64>,
    changed: bool,
    /// Whether something that heads remember was changed behind their back.
    pub(crate) head_is_stale: bool,
}

impl Desk {
    pub(crate) fn of(head: Head) -> Self {
        Self {
            was: Some(head.row.clone()),
            summary_was: head.summary.clone(),
            ..Self::newborn(head)
        }
    }

    pub(crate) fn newborn(head: Head) -> Self {
        Self {
            head,
            was: None,
            summary_was: Summary::default(),
            state: HashMap::new(),
            pdus: HashMap::new(),
            keys: HashMap::new(),
            nodes: HashMap::new(),
            memberships: HashMap::new(),
            servers: HashMap::new(),
            changed: false,
            head_is_stale: false,
        }
    }
}

impl Composer {
    pub(crate) fn new(rooms: &Rooms, head: Head) -> Self {
        Self {
            rooms: rooms.clone(),
            tx: rooms.store().tx(),
            desk: Desk::of(head),
        }
    }

    /// Composes an event and appends it.
    pub(crate) fn send(&mut self, draft: Draft, txn: Option<&Txn>) -> Result<Known> {
        let pdu = self.compose(draft)?;
        self.append(pdu, txn)
    }

    /// Composes a state event and appends it, unless it says what the same sender has said there already.
    pub(crate) fn send_state(&mut self, draft: Draft) -> Result<(Known, bool)> {
        let key = draft.state_key.clone().unwrap_or_default();
        let present = self.state(&draft.event_type, &key)?;
        let pdu = self.compose(draft)?;
        if let Some(present) = present
            && present.pdu.sender() == pdu.sender()
            && present.pdu.content_str() == pdu.content_str()
        {
            return Ok((present, true));
        }
        Ok((self.append(pdu, None)?, false))
    }

    /// Gives a draft its place, signs it and judges it.
    pub(crate) fn compose(&mut self, draft: Draft) -> Result<Pdu> {
        let mut auth = Vec::with_capacity(6);
        let types = auth::auth_types(
            self.rules(),
            &draft.event_type,
            &draft.sender,
            draft.state_key.as_deref(),
            &draft.content,
        );
        for (event_type, state_key) in &types {
            if let Some(known) = self.state(event_type, state_key)? {
                auth.push(known.pdu);
            }
        }
        drop(types);
        seal(&self.rooms, &self.desk.head, draft, auth)
    }

    /// The rules of the room.
    pub(crate) fn rules(&self) -> &'static Rules {
        self.desk.head.rules
    }

    /// The state that the next event will find.
    pub(crate) fn state(&self, event_type: &str, state_key: &str) -> Result<Option<Known>> {
        let desk = &self.desk;
        if let Some(remembered) = desk.head.remembered(event_type, state_key) {
            return Ok(remembered);
        }
        let Some(no) = self.state_no(event_type, state_key)? else {
            return Ok(None);
        };
        Ok(Some(Known {
            no,
            pdu: self.event(no)?,
        }))
    }

    /// The number of the event that the next one will find as state.
    pub(crate) fn state_no(&self, event_type: &str, state_key: &str) -> Result<Option<EventNo>> {
        let desk = &self.desk;
        let pair = (event_type.to_owned(), state_key.to_owned());
        match desk.state.get(&pair) {
            Some(no) => Ok(Some(*no)),
            None if desk.was.is_none() => Ok(None),
            None => now::find(&self.tx, desk.head.room, event_type, state_key),
        }
    }

    /// How a user will stand to the room when the next event comes.
    pub(crate) fn membership(&self, user: UserNo) -> Result<Option<MembershipRow>> {
        if let Some(row) = self.desk.memberships.get(&user) {
            return Ok(Some(row.clone()));
        }
        if self.desk.was.is_none() {
            // What there may be is an invitation from outside, which the room itself tells better.
            return Ok(None);
        }
        Ok(self
            .tx
            .get(tables::MEMBERSHIPS, &(user, self.desk.head.room))?)
    }

    /// The same, by user ID.
    pub(crate) fn standing(&self, user: &UserId) -> Result<Option<Standing>> {
        match self.tx.user_no(user)? {
            Some(user) => Ok(self.membership(user)?.map(Standing::of)),
            None => Ok(None),
        }
    }

    /// A draft of an event of this room.
    pub(crate) fn draft(
        &self,
        sender: &UserId,
        event_type: &str,
        state_key: Option<&str>,
        content: &impl serde::Serialize,
        timestamp: Option<u64>,
    ) -> Result<Draft> {
        Ok(Draft {
            room_id: Some(self.desk.head.room_id.clone()),
            sender: sender.to_owned(),
            event_type: event_type.to_owned(),
            state_key: state_key.map(str::to_owned),
            content: raw(content)?,
            redacts: None,
            origin_server_ts: timestamp.unwrap_or_else(|| self.rooms.now()),
        })
    }

    /// The power levels that the next event will be judged by.
    pub(crate) fn levels(&self) -> auth::levels::PowerLevels<'_> {
        levels(&self.desk.head)
    }

    /// Takes note of an event that this batch appends.
    pub(crate) fn note(&mut self, known: &Known) {
        let desk = &mut self.desk;
        desk.changed = true;
        desk.pdus.insert(known.no, known.pdu.clone());
    }

    /// Takes note that an event has become present state.
    pub(crate) fn note_state(&mut self, known: &Known) {
        if let Some((event_type, state_key)) = known.pdu.state_pair() {
            let pair = (event_type.to_owned(), state_key.to_owned());
            self.desk.state.insert(pair, known.no);
            self.desk.head.note_state(known);
        }
    }

    /// Sets one key of the present state's tree.
    pub(crate) fn grow(&mut self, key: StateKeyNo, event: Option<EventNo>) -> Result<()> {
        let root = self.desk.head.row.root;
        self.desk.head.row.root = self.with_changes(root, &[(key, event)])?;
        Ok(())
    }

    /// The state that results from changing another one.
    pub(crate) fn with_changes(
        &mut self,
        root: Root,
        changes: &[(StateKeyNo, Option<EventNo>)],
    ) -> Result<Root> {
        let mut growing = Growing {
            tx: &mut self.tx,
            nodes: &mut self.desk.nodes,
        };
        trie::apply(&mut growing, root, changes)
    }

    /// The nodes of states, those of this batch among them.
    pub(crate) fn nodes(&self) -> impl Nodes + '_ {
        Grown {
            tx: &self.tx,
            nodes: &self.desk.nodes,
        }
    }

    /// An event of this room that is stored, or that this batch appends.
    pub(crate) fn event(&self, no: EventNo) -> Result<Pdu> {
        match self.desk.pdus.get(&no) {
            Some(pdu) => Ok(pdu.clone()),
            None => Stored::get(&self.tx, no)?.pdu(&self.desk.head.room_id),
        }
    }

    /// Marks the batch as worth committing though it appends no event.
    pub(crate) fn touch(&mut self) {
        self.desk.changed = true;
    }

    /// Puts another room on the desk; the one before is put aside, to be brought back in the same way.
    pub(crate) fn turn_to(&mut self, desk: Desk) -> Desk {
        std::mem::replace(&mut self.desk, desk)
    }

    /// Writes the room's head and summary, and asserts that the head was what the decision began with.
    pub(crate) fn close(&mut self) -> Result<()> {
        servers::count(&mut self.tx, self.desk.head.room, &self.desk.servers)?;
        let Desk {
            head,
            was,
            summary_was,
            changed,
            ..
        } = &self.desk;
        if !changed {
            return Ok(());
        }
        self.tx
            .expect(tables::ROOM_HEADS, &head.room, was.as_ref())?;
        self.tx.put(tables::ROOM_HEADS, &head.room, &head.row)?;
        if head.summary != *summary_was {
            self.tx.put(tables::SUMMARIES, &head.room, &head.summary)?;
        }
        Ok(())
    }

    /// The batch, and the head to go on with; nothing if there is nothing to write.
    pub(crate) fn finish(mut self) -> Result<Option<(Tx, Option<Head>)>> {
        if !self.desk.changed {
            return Ok(None);
        }
        self.close()?;
        let desk = self.desk;
        Ok(Some((self.tx, (!desk.head_is_stale).then_some(desk.head))))
    }
}

/// The power levels that a head knows.
pub(crate) fn levels(head: &Head) -> auth::levels::PowerLevels<'_> {
    let power_levels = head.power_levels.as_ref().map(|known| &known.pdu);
    auth::levels::PowerLevels::of(power_levels, &head.create.pdu, head.rules)
}

/// Seals a draft onto a room's tips, or as many of them as an event may name, and judges it by the state events that authorise it.
pub(crate) fn seal(rooms: &Rooms, head: &Head, draft: Draft, mut auth: Vec<Pdu>) -> Result<Pdu> {
    let own = rooms.own();
    let references = |pdus: &[Pdu]| -> Result<Vec<_>> {
        let list = pdus.iter().map(|pdu| pdu.reference(head.rules));
        Ok(list.collect::<Result<Vec<_>, _>>()?)
    };
    let pdu = draft.seal(
        head.rules,
        references(head.tips.get(..PREV_EVENTS).unwrap_or(&head.tips))?,
        references(&auth)?,
        head.row.depth.saturating_add(1),
        &own.key,
        &own.server_name,
    )?;
    // Rules always ask for the create event, though in some versions nobody names it.
    let create = head.create.pdu.event_id();
    if !auth.iter().any(|pdu| pdu.event_id() == create) {
        auth.push(head.create.pdu.clone());
    }
    match event::judge(&pdu, auth.as_slice(), head.rules) {
        Verdict::Allowed => Ok(pdu),
        Verdict::Denied(reason) => Err(Error::Forbidden(reason.to_string())),
    }
}

/// A value as raw JSON.
pub(crate) fn raw(value: &impl serde::Serialize) -> Result<Box<RawValue>> {
    serde_json::value::to_raw_value(value)
        .map_err(|error| Error::BadEvent(format!("content that is no JSON: {error}")))
}

/// A user ID of which only the text is known, if it is one.
pub(crate) fn user(text: &str) -> Option<OwnedUserId> {
    OwnedUserId::try_from(text).ok()
}

/// Nodes of this batch, before those that are stored.
struct Grown<'d> {
    tx: &'d Tx,
    nodes: &'d HashMap<NodeNo, Node>,
}

impl Nodes for Grown<'_> {
    fn node(&self, no: NodeNo) -> Result<Node> {
        match self.nodes.get(&no) {
            Some(node) => Ok(node.clone()),
            None => self.tx.node(no),
        }
    }

    fn slot(&self, no: NodeNo, nibble: u8) -> Result<Option<Slot>> {
        match self.nodes.get(&no) {
            Some(node) => Ok(node.at(nibble)),
            None => self.tx.slot(no, nibble),
        }
    }
}

/// The same, being added to.
struct Growing<'d> {
    tx: &'d mut Tx,
    nodes: &'d mut HashMap<NodeNo, Node>,
}

impl Growing<'_> {
    fn grown(&self) -> Grown<'_> {
        Grown {
            tx: self.tx,
            nodes: self.nodes,
        }
    }
}

impl Nodes for Growing<'_> {
    fn node(&self, no: NodeNo) -> Result<Node> {
        self.grown().node(no)
    }

    fn slot(&self, no: NodeNo, nibble: u8) -> Result<Option<Slot>> {
        self.grown().slot(no, nibble)
    }
}

impl Grow for Growing<'_> {
    fn add(&mut self, node: Node) -> Result<NodeNo> {
        let no = self.tx.new_node();
        self.tx
            .put(tables::STATE_NODES, &no, node.encode().as_slice())?;
        self.nodes.insert(no, node);
        Ok(no)
    }
}
