//! What has been counted for one user in one room, kept so that a new event costs one event and a receipt costs nothing.
//!
//! The newest unread events are remembered one by one, so that a receipt or a redaction can take back exactly what it concerns;
//! older ones only as sums per thread. Pure: what an event counts for is decided by the caller.

use std::collections::VecDeque;

use store::rows::sync::{CountedEvent, CountedSum, UnreadRow};
use store::{EventNo, Pos};

/// Unread events remembered one by one.
pub(crate) const REMEMBERED: usize = 256;

/// The root of a thread, or none for the main timeline.
pub type Thread = Option<EventNo>;

/// How many events are unread.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// That notify.
    pub notify: u64,
    /// That are shown as mentions.
    pub highlight: u64,
    /// That a person would want to read, notified of or not (MSC2654).
    pub unread: u64,
}

impl Counts {
    /// Whether there are none.
    pub fn is_zero(&self) -> bool {
        *self == Self::default()
    }

    pub(crate) fn add(&mut self, other: Self) {
        self.notify += other.notify;
        self.highlight += other.highlight;
        self.unread += other.unread;
    }
}

/// How far a user has read, by their receipts and the place where they joined.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Marks {
    /// Everything up to here.
    pub all: Pos,
    /// The main timeline.
    pub main: Pos,
    /// Threads.
    pub threads: Vec<(EventNo, Pos)>,
}

impl Marks {
    /// Notes that a thread has been read.
    pub(crate) fn read(&mut self, root: EventNo, upto: Pos) {
        match self.threads.iter_mut().find(|(other, _)| *other == root) {
            Some((_, pos)) => *pos = upto.max(*pos),
            None => self.threads.push((root, upto)),
        }
    }

    /// How far a thread has been read.
    pub fn of(&self, thread: Thread) -> Pos {
        let own = match thread {
            None => self.main,
            Some(root) => self
                .threads
                .iter()
                .find(|(other, _)| *other == root)
                .map_or(Pos::ZERO, |(_, pos)| *pos),
        };
        own.max(self.all)
    }
}

/// What an event counts for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Weight {
    pub(crate) thread: Thread,
    pub(crate) notify: bool,
    pub(crate) highlight: bool,
    pub(crate) unread: bool,
}

impl Weight {
    fn counts(self) -> Counts {
        Counts {
            notify: self.notify.into(),
            highlight: self.highlight.into(),
            unread: self.unread.into(),
        }
    }

    pub(crate) const fn is_nothing(self) -> bool {
        !self.notify && !self.highlight && !self.unread
    }
}

/// The sums are of no use any more: count again from the beginning.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Stale;

/// What has been counted.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Memo {
    /// Counted up to here.
    pub(crate) upto: Pos,
    /// For the rules as of here.
    pub(crate) rules: Pos,
    /// Counted since this was last written down.
    pub(crate) unsaved: u64,
    /// The last event that made a difference.
    pub(crate) changed: Pos,
    recent: VecDeque<(Pos, EventNo, Weight)>,
    older: Vec<Sum>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Sum {
    thread: Thread,
    counts: Counts,
    /// The thread had been read up to here.
    from: Pos,
    /// The last event in the sum.
    upto: Pos,
}

impl Memo {
    /// Nothing counted yet; counting begins after `from`.
    pub(crate) fn new(from: Pos, rules: Pos) -> Self {
        Self {
            upto: from,
            rules,
            ..Self::default()
        }
    }

    /// Its size, in events.
    pub(crate) fn weight(&self) -> u64 {
        (self.recent.len() + self.older.len()) as u64
    }

    /// Counts an event that has not been read.
    pub(crate) fn count(&mut self, pos: Pos, event: EventNo, weight: Weight, marks: &Marks) {
        if weight.is_nothing() || pos <= marks.of(weight.thread) {
            return;
        }
        if self.recent.len() >= REMEMBERED
            && let Some((pos, _, weight)) = self.recent.pop_front()
        {
            self.sum_up(pos, weight, marks.of(weight.thread));
        }
        self.recent.push_back((pos, event, weight));
        self.changed = pos;
    }

    fn sum_up(&mut self, pos: Pos, weight: Weight, from: Pos) {
        match self
            .older
            .iter_mut()
            .find(|sum| sum.thread == weight.thread)
        {
            Some(sum) => {
                sum.counts.add(weight.counts());
                sum.upto = pos;
            }
            None => self.older.push(Sum {
                thread: weight.thread,
                counts: weight.counts(),
                from,
                upto: pos,
            }),
        }
    }

    /// The user has said something in this thread, and so has read it.
    pub(crate) fn spoke(&mut self, pos: Pos, thread: Thread) {
        let before = self.weight();
        self.recent.retain(|(_, _, weight)| weight.thread != thread);
        self.older.retain(|sum| sum.thread != thread);
        if self.weight() < before {
            self.changed = pos;
        }
    }

    /// An event has lost its content, and counts no more. One that has become part of a sum stays counted until it is read.
    pub(crate) fn redacted(&mut self, pos: Pos, event: EventNo) {
        // Whether it was ever counted depends on when that was, so it is as if it had been.
        self.recent.retain(|(_, other, _)| *other != event);
        self.changed = pos;
    }

    /// Takes away what has been read.
    pub(crate) fn read(&mut self, marks: &Marks) -> Result<(), Stale> {
        for sum in &self.older {
            let read = marks.of(sum.thread);
            if read > sum.from && read < sum.upto {
                return Err(Stale);
            }
        }
        self.older.retain(|sum| marks.of(sum.thread) < sum.upto);
        self.recent
            .retain(|(pos, _, weight)| *pos > marks.of(weight.thread));
        Ok(())
    }

    /// Whether nothing in it has been read.
    pub(crate) fn is_read_upto(&self, marks: &Marks) -> bool {
        self.older
            .iter()
            .all(|sum| marks.of(sum.thread) <= sum.from)
            && self
                .recent
                .iter()
                .all(|(pos, _, weight)| *pos > marks.of(weight.thread))
    }

    /// What is unread, thread by thread.
    pub(crate) fn by_thread(&self) -> Vec<(Thread, Counts)> {
        let mut counts: Vec<(Thread, Counts)> = self
            .older
            .iter()
            .map(|sum| (sum.thread, sum.counts))
            .collect();
        for (_, _, weight) in &self.recent {
            match counts
                .iter_mut()
                .find(|(thread, _)| *thread == weight.thread)
            {
                Some((_, counts)) => counts.add(weight.counts()),
                None => counts.push((weight.thread, weight.counts())),
            }
        }
        counts
    }

    /// As it is written down.
    pub(crate) fn to_row(&self) -> UnreadRow {
        let event = |(pos, event, weight): &(Pos, EventNo, Weight)| CountedEvent {
            pos: *pos,
            event: *event,
            thread: weight.thread,
            kind: u8::from(weight.notify)
                | u8::from(weight.highlight) << 1
                | u8::from(weight.unread) << 2,
        };
        let sum = |sum: &Sum| CountedSum {
            thread: sum.thread,
            notify: sum.counts.notify,
            highlight: sum.counts.highlight,
            unread: sum.counts.unread,
            from: sum.from,
            upto: sum.upto,
        };
        UnreadRow {
            upto: self.upto,
            rules: self.rules,
            recent: self.recent.iter().map(event).collect(),
            older: self.older.iter().map(sum).collect(),
        }
    }

    /// As it was written down.
    pub(crate) fn of_row(row: UnreadRow) -> Self {
        let event = |it: CountedEvent| {
            let bit = |bit: u8| it.kind & bit != 0;
            (
                it.pos,
                it.event,
                Weight {
                    thread: it.thread,
                    notify: bit(1),
                    highlight: bit(2),
                    unread: bit(4),
                },
            )
        };
        let sum = |it: CountedSum| Sum {
            thread: it.thread,
            counts: Counts {
                notify: it.notify,
                highlight: it.highlight,
                unread: it.unread,
            },
            from: it.from,
            upto: it.upto,
        };
        Self {
            upto: row.upto,
            rules: row.rules,
            unsaved: 0,
            changed: row.upto,
            recent: row.recent.into_iter().map(event).collect(),
            older: row.older.into_iter().map(sum).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn weight(thread: Thread, notify: bool) -> Weight {
        Weight {
            thread,
            notify,
            highlight: false,
            unread: true,
        }
    }

    #[derive(Debug, Clone)]
    enum Step {
        Event(Thread, bool),
        Receipt(Option<Thread>, u64),
        Spoke(Thread),
    }

    fn thread() -> impl Strategy<Value = Thread> {
        (0..3_u64).prop_map(|root| (root > 0).then(|| EventNo::new(root)))
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            8 => (thread(), any::<bool>()).prop_map(|(thread, notify)| Step::Event(thread, notify)),
            1 => (proptest::option::of(thread()), 0..30_u64).prop_map(|(thread, back)| Step::Receipt(thread, back)),
            1 => thread().prop_map(Step::Spoke),
        ]
    }

    /// Counts by looking at everything, each time.
    fn recount(
        events: &[(Pos, Thread, bool)],
        spoke: &[(Pos, Thread)],
        marks: &Marks,
        thread: Thread,
    ) -> Counts {
        let own = spoke
            .iter()
            .filter(|(_, other)| *other == thread)
            .map(|(pos, _)| *pos)
            .max();
        let read = marks.of(thread).max(own.unwrap_or_default());
        let mut counts = Counts::default();
        for (pos, other, notify) in events {
            if *other == thread && *pos > read {
                counts.add(weight(thread, *notify).counts());
            }
        }
        counts
    }

    proptest! {
        #[test]
        fn counting_on_equals_counting_again(steps in proptest::collection::vec(step(), 0..800)) {
            let (mut memo, mut marks) = (Memo::default(), Marks::default());
            let (mut events, mut spoke) = (Vec::new(), Vec::new());
            for (at, step) in (1..).zip(steps) {
                let pos = Pos::new(at);
                match step {
                    Step::Event(thread, notify) => {
                        events.push((pos, thread, notify));
                        memo.count(pos, EventNo::new(at), weight(thread, notify), &marks);
                    }
                    Step::Receipt(which, back) => {
                        let to = Pos::new(at.saturating_sub(back));
                        match which {
                            None => marks.all = marks.all.max(to),
                            Some(None) => marks.main = marks.main.max(to),
                            Some(Some(root)) => marks.read(root, to),
                        }
                    }
                    Step::Spoke(thread) => {
                        spoke.push((pos, thread));
                        memo.spoke(pos, thread);
                    }
                }
                memo.upto = pos;
                memo = Memo::of_row(memo.to_row());
                if memo.read(&marks).is_err() {
                    memo = Memo::default();
                    let mut said = spoke.iter().peekable();
                    for (pos, thread, notify) in &events {
                        while let Some((_, thread)) = said.next_if(|(at, _)| at < pos) {
                            memo.spoke(Pos::MAX, *thread);
                        }
                        memo.count(*pos, EventNo::new(pos.get()), weight(*thread, *notify), &marks);
                    }
                    said.for_each(|(pos, thread)| memo.spoke(*pos, *thread));
                }
                for thread in [None, Some(EventNo::new(1)), Some(EventNo::new(2))] {
                    let found = memo.by_thread().into_iter().find(|(other, _)| *other == thread);
                    let counted = found.map(|(_, counts)| counts).unwrap_or_default();
                    prop_assert_eq!(counted, recount(&events, &spoke, &marks, thread));
                }
            }
        }
    }

    #[test]
    fn a_redacted_event_counts_no_more() {
        let (mut memo, marks) = (Memo::default(), Marks::default());
        memo.count(Pos::new(1), EventNo::new(1), weight(None, true), &marks);
        memo.count(Pos::new(2), EventNo::new(2), weight(None, true), &marks);
        memo.redacted(Pos::new(3), EventNo::new(1));
        assert_eq!(
            memo.by_thread(),
            [(
                None,
                Counts {
                    notify: 1,
                    highlight: 0,
                    unread: 1
                }
            )]
        );
    }
}
