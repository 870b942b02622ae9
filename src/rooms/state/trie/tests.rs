//! What a tree of state promises, against a map that is copied.

use std::collections::{BTreeMap, HashMap};

use proptest::prelude::*;
use store::{EventNo, NodeNo, StateKeyNo};

use super::*;

/// Nodes in a list; counts what is read.
#[derive(Default)]
struct Shelf {
    nodes: HashMap<NodeNo, Vec<u8>>,
    bytes: usize,
    read: std::cell::Cell<usize>,
}

impl Nodes for Shelf {
    fn node(&self, no: NodeNo) -> Result<Node> {
        self.read.set(self.read.get() + 1);
        Ok(Node::decode(&self.nodes[&no]).unwrap())
    }

    fn slot(&self, no: NodeNo, nibble: u8) -> Result<Option<Slot>> {
        self.read.set(self.read.get() + 1);
        Ok(find_slot(&self.nodes[&no], nibble).unwrap())
    }
}

impl Grow for Shelf {
    fn add(&mut self, node: Node) -> Result<NodeNo> {
        let no = NodeNo::new(self.nodes.len() as u64 + 1);
        let bytes = node.encode();
        assert_eq!(Node::decode(&bytes).unwrap(), node);
        self.bytes += bytes.len();
        self.nodes.insert(no, bytes);
        Ok(no)
    }
}

type Map = BTreeMap<u64, u64>;

fn changes(list: &[(u64, Option<u64>)]) -> Vec<(StateKeyNo, Option<EventNo>)> {
    list.iter()
        .map(|(key, event)| (StateKeyNo::new(*key), event.map(EventNo::new)))
        .collect()
}

fn contents(shelf: &Shelf, root: Root) -> Map {
    let all = all(shelf, root).unwrap();
    all.iter()
        .map(|(key, event)| (key.get(), event.get()))
        .collect()
}

/// One change of each key, as a batch has it.
fn batch() -> impl Strategy<Value = Vec<(u64, Option<u64>)>> {
    let change = (0_u64..60, prop::option::weighted(0.8, 1_u64..1_000));
    prop::collection::vec(change, 0..20).prop_map(|list| {
        let by_key: BTreeMap<u64, Option<u64>> = list.into_iter().collect();
        by_key.into_iter().collect()
    })
}

proptest! {
    #[test]
    fn a_tree_holds_what_a_map_holds(batches in prop::collection::vec(batch(), 0..12)) {
        let (mut shelf, mut root, mut map) = (Shelf::default(), None, Map::new());
        for batch in batches {
            let (old_root, old_map) = (root, map.clone());
            root = apply(&mut shelf, root, &changes(&batch)).unwrap();
            for (key, event) in &batch {
                match event {
                    Some(event) => { map.insert(*key, *event); }
                    None => { map.remove(key); }
                }
            }
            prop_assert_eq!(contents(&shelf, root), map.clone());
            prop_assert_eq!(contents(&shelf, old_root), old_map.clone(), "the old state is still there");
            for key in 0..60 {
                let found = get(&shelf, root, StateKeyNo::new(key)).unwrap().map(EventNo::get);
                prop_assert_eq!(found, map.get(&key).copied());
            }
            let found: BTreeMap<u64, (Option<u64>, Option<u64>)> = diff(&shelf, old_root, root).unwrap()
                .into_iter()
                .map(|d| (d.key.get(), (d.old.map(EventNo::get), d.new.map(EventNo::get))))
                .collect();
            let expected = (0..60)
                .map(|key| (key, (old_map.get(&key).copied(), map.get(&key).copied())))
                .filter(|(_, (old, new))| old != new)
                .collect();
            prop_assert_eq!(found, expected);
        }
    }

    #[test]
    fn the_shape_does_not_tell_the_order(map in prop::collection::btree_map(0_u64..500, 1_u64..1_000, 0..60), seed in any::<u64>()) {
        let mut order: Vec<(u64, u64)> = map.iter().map(|(key, event)| (*key, *event)).collect();
        order.sort_by_key(|(key, _)| key.wrapping_mul(seed | 1));
        let mut one = Shelf::default();
        let mut step = None;
        for (key, event) in &order {
            // On the way another key comes and goes.
            step = apply(&mut one, step, &changes(&[(*key, Some(*event)), (777, Some(1))])).unwrap();
            step = apply(&mut one, step, &changes(&[(777, None)])).unwrap();
        }
        let list: Vec<_> = map.iter().map(|(key, event)| (*key, Some(*event))).collect();
        let whole = apply(&mut one, None, &changes(&list)).unwrap();
        prop_assert_eq!(shape(&one, step), shape(&one, whole));
        prop_assert!(diff(&one, step, whole).unwrap().is_empty());
    }
}

fn shape(shelf: &Shelf, root: Root) -> String {
    fn write(shelf: &Shelf, slot: Slot, out: &mut String) {
        match slot {
            Slot::Leaf(key, event) => out.push_str(&format!("{key}={event} ")),
            Slot::Branch(no) => {
                out.push('(');
                for (at, slot) in shelf.node(no).unwrap().slots {
                    out.push_str(&format!("{at}:"));
                    write(shelf, slot, out);
                }
                out.push(')');
            }
        }
    }
    let mut out = String::new();
    if let Some(root) = root {
        write(shelf, Slot::Branch(root), &mut out);
    }
    out
}

#[test]
fn nothing_is_written_for_what_is_there_already() {
    let mut shelf = Shelf::default();
    let root = apply(&mut shelf, None, &changes(&[(1, Some(1)), (2, Some(2))])).unwrap();
    let nodes = shelf.nodes.len();
    let same = apply(&mut shelf, root, &changes(&[(2, Some(2)), (3, None)])).unwrap();
    assert_eq!((same, shelf.nodes.len()), (root, nodes));
}

#[test]
fn damage_is_noticed() {
    let mut shelf = Shelf::default();
    let list: Vec<_> = (0..200).map(|key| (key, Some(key + 1))).collect();
    apply(&mut shelf, None, &changes(&list)).unwrap();
    for bytes in shelf.nodes.values() {
        for cut in 0..bytes.len() {
            assert!(Node::decode(&bytes[..cut]).is_none());
        }
    }
}

/// The figures that `docs/architecture.md` quotes.
#[test]
fn a_hundred_thousand_members_cost_little_per_event() {
    let mut shelf = Shelf::default();
    let mut root = None;
    let list: Vec<_> = (0..100_000)
        .map(|key| (key, Some(key + 1_000_000)))
        .collect();
    for chunk in list.chunks(1_000) {
        root = apply(&mut shelf, root, &changes(chunk)).unwrap();
    }
    let (bytes, nodes) = (shelf.bytes, shelf.nodes.len());
    let before = root;
    let events = 1_000;
    for event in 0..events {
        let key = event * 97 % 100_000;
        root = apply(
            &mut shelf,
            root,
            &changes(&[(key, Some(2_000_000 + event))]),
        )
        .unwrap();
    }
    let per_event = (shelf.bytes - bytes) / events as usize;
    let nodes_per_event = (shelf.nodes.len() - nodes) as f64 / events as f64;
    println!("{per_event} bytes and {nodes_per_event} nodes per state event at 100,000 members");
    assert!(per_event < 500, "{per_event} bytes per state event");

    let last = apply(&mut shelf, root, &changes(&[(5, Some(3_000_000))])).unwrap();
    shelf.read.set(0);
    assert_eq!(diff(&shelf, root, last).unwrap().len(), 1);
    println!(
        "{} nodes read to compare two states that differ in one key",
        shelf.read.get()
    );
    assert!(shelf.read.get() <= 12);
    shelf.read.set(0);
    assert_eq!(diff(&shelf, before, root).unwrap().len(), events as usize);
    assert!(shelf.read.get() <= 12 * events as usize);
    shelf.read.set(0);
    get(&shelf, last, StateKeyNo::new(5)).unwrap();
    println!("{} nodes read per lookup", shelf.read.get());
    assert!(shelf.read.get() <= 6);
}
