//! The two orders of resolution 2 and 2.1: reverse topological power ordering, and mainline ordering.

use super::Source;
use super::desk::Desk;
use super::keys::{Slot, SlotSet, Table};
use super::mutation::{Mutation, on};
use crate::Pdu;
use crate::auth::levels::{Level, PowerLevels};
use ruma::OwnedEventId;
use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};

/// What is remembered of an event while it is being sorted.
pub(super) struct Entry {
    pub(super) event: Slot,
    timestamp: i64,
    event_id: OwnedEventId,
}

impl Entry {
    pub(super) fn new(event: Slot, pdu: &Pdu) -> Self {
        Self {
            event,
            timestamp: pdu.timestamp(),
            event_id: pdu.event_id().to_owned(),
        }
    }
}

/// Puts power events in order: those they stand on first, then the greater power, the earlier time, the smaller id.
pub(super) fn by_power<S: Source>(
    desk: &mut Desk<'_, S>,
    entries: Vec<Entry>,
) -> Result<Vec<Slot>, S::Error> {
    let levels = sender_levels(desk, &entries)?;
    let mut entries: Vec<_> = entries.into_iter().zip(levels).collect();
    entries.sort_unstable_by(|(a, a_level), (b, b_level)| {
        let power = flip(Mutation::PowerReversed, b_level.cmp(a_level));
        let power = if on(Mutation::PowerIgnored) {
            std::cmp::Ordering::Equal
        } else {
            power
        };
        power
            .then_with(|| flip(Mutation::PowerTimeReversed, a.timestamp.cmp(&b.timestamp)))
            .then_with(|| flip(Mutation::PowerIdReversed, a.event_id.cmp(&b.event_id)))
    });
    let sorted: Vec<_> = entries.into_iter().map(|(entry, _)| entry.event).collect();
    if on(Mutation::TopologyIgnored) {
        return Ok(sorted);
    }
    topological(desk, &sorted)
}

/// Kahn's algorithm over events that are already in the order to prefer; so a place in the list is all the heap has to compare.
fn topological<S: Source>(
    desk: &mut Desk<'_, S>,
    preferred: &[Slot],
) -> Result<Vec<Slot>, S::Error> {
    let mut index = Table::new();
    for (at, event) in preferred.iter().enumerate() {
        index.put(*event, at);
    }
    let mut followers: Vec<Vec<usize>> = vec![Vec::new(); preferred.len()];
    let mut waiting = vec![0_usize; preferred.len()];
    for (at, id) in preferred.iter().enumerate() {
        for behind in desk
            .behind(*id)?
            .iter()
            .filter_map(|event| index.get(*event))
        {
            if let (Some(list), Some(count)) = (followers.get_mut(*behind), waiting.get_mut(at)) {
                list.push(at);
                *count += 1;
            }
        }
    }
    let mut ready: BinaryHeap<_> = waiting
        .iter()
        .enumerate()
        .filter(|(_, count)| **count == 0)
        .map(|(at, _)| Reverse(at))
        .collect();
    let mut sorted = Vec::with_capacity(preferred.len());
    while let Some(Reverse(at)) = ready.pop() {
        sorted.extend(preferred.get(at));
        for follower in followers
            .get_mut(at)
            .map(std::mem::take)
            .unwrap_or_default()
        {
            if let Some(count) = waiting.get_mut(follower) {
                *count -= 1;
                if *count == 0 {
                    ready.push(Reverse(follower));
                }
            }
        }
    }
    Ok(sorted)
}

/// The level of each event's sender according to the event's own auth events. Events with the same power levels are done together, so each
/// power-levels event is read once.
fn sender_levels<S: Source>(
    desk: &mut Desk<'_, S>,
    entries: &[Entry],
) -> Result<Vec<Level>, S::Error> {
    let mut groups: HashMap<Option<Slot>, Vec<usize>> = HashMap::new();
    for (at, entry) in entries.iter().enumerate() {
        groups
            .entry(desk.levels_behind(entry.event)?)
            .or_default()
            .push(at);
    }
    let create = match desk.create()? {
        Some(create) => desk.event(create)?,
        None => None,
    };
    let mut levels = vec![Level::Int(0); entries.len()];
    let Some(create) = create else {
        return Ok(levels);
    };
    for (power_levels, members) in groups {
        let power_levels = match power_levels {
            Some(event) => desk.event(event)?,
            None => None,
        };
        let view = PowerLevels::of(
            power_levels.as_ref().map(|known| &known.pdu),
            &create.pdu,
            desk.rules,
        );
        for at in members {
            if let (Some(level), Some(entry)) = (levels.get_mut(at), entries.get(at))
                && let Some(known) = desk.event(entry.event)?
            {
                *level = view.user(known.pdu.sender());
                if on(Mutation::CreatorsAreMortal) && *level == Level::Infinite {
                    *level = Level::Int(0);
                }
            }
        }
    }
    Ok(levels)
}

/// Puts events in the order of the power levels they were sent under, as these stand in the mainline of the given ones: older first, then earlier
/// time, then smaller id.
pub(super) fn by_mainline<S: Source>(
    desk: &mut Desk<'_, S>,
    entries: Vec<Entry>,
    power_levels: Option<Slot>,
) -> Result<Vec<Slot>, S::Error> {
    let mut mainline = Mainline::of(desk, power_levels)?;
    let mut sorted = Vec::with_capacity(entries.len());
    for entry in entries {
        let position = if on(Mutation::MainlineIgnored) {
            0
        } else {
            mainline.position(desk, entry.event)?
        };
        sorted.push((position, entry));
    }
    sorted.sort_unstable_by(|(a_position, a), (b_position, b)| {
        flip(Mutation::MainlineReversed, b_position.cmp(a_position))
            .then_with(|| {
                flip(
                    Mutation::MainlineTimeReversed,
                    a.timestamp.cmp(&b.timestamp),
                )
            })
            .then_with(|| flip(Mutation::MainlineIdReversed, a.event_id.cmp(&b.event_id)))
    });
    Ok(sorted.into_iter().map(|(_, entry)| entry.event).collect())
}

/// The position of power-levels events: 0 is where the mainline begins. Off it, that of the first one behind which is on it; without one, the greatest.
struct Mainline(Table<Slot, usize>);

impl Mainline {
    const NOWHERE: usize = usize::MAX;

    fn of<S: Source>(desk: &mut Desk<'_, S>, power_levels: Option<Slot>) -> Result<Self, S::Error> {
        let mut positions = Table::new();
        let mut length = 0;
        let mut next = power_levels;
        while let Some(event) = next
            && !positions.contains(event)
        {
            positions.put(event, length);
            length += 1;
            next = desk.levels_behind(event)?;
        }
        Ok(Self(positions))
    }

    /// What is passed on the way is remembered, so that a thousand events behind a side branch do not walk it a thousand times.
    fn position<S: Source>(
        &mut self,
        desk: &mut Desk<'_, S>,
        event: Slot,
    ) -> Result<usize, S::Error> {
        let mut passed = SlotSet::default();
        let mut next = desk.levels_behind(event)?;
        let mut position = Self::NOWHERE;
        while let Some(event) = next {
            if let Some(known) = self.0.get(event) {
                position = *known;
                break;
            }
            if !passed.insert(event) {
                break;
            }
            next = desk.levels_behind(event)?;
        }
        for event in passed.as_slice() {
            self.0.put(*event, position);
        }
        Ok(position)
    }
}

fn flip(mutation: Mutation, order: std::cmp::Ordering) -> std::cmp::Ordering {
    if on(mutation) { order.reverse() } else { order }
}
