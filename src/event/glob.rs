//! Globs over one text, without regard to case: whole values, and word by word for message bodies.
//!
//! Every search runs forward only, so the time is that of reading the text: a pattern of a thousand stars is no worse than one. `?` inside a
//! pattern is matched by a bit per pattern character, which costs the text times a 64th of the pattern.
//! A plain word, which is what nearly all keyword rules are, is looked up in the sorted words of the body and reads no text at all.

use crate::effort;
use memchr::memmem;
use std::borrow::Cow;
use std::collections::HashMap;
use std::ops::Range;

/// What "case-insensitive" means here: equal after this.
pub(crate) fn fold(text: &str) -> Cow<'_, str> {
    effort::spend(text.len());
    if text
        .bytes()
        .all(|byte| byte.is_ascii() && !byte.is_ascii_uppercase())
    {
        text.into()
    } else {
        text.to_lowercase().into()
    }
}

/// Whether the pattern matches all of an already folded text.
pub(crate) fn matches(pattern: &str, text: &str) -> bool {
    let pattern = fold(pattern);
    let mut pieces = pattern.split('*');
    let first = pieces.next().unwrap_or_default();
    let Some(last) = pieces.next_back() else {
        return starts(first, text) == Some(text.len());
    };
    let Some(start) = starts(first, text) else {
        return false;
    };
    let Some(end) = ends(last, text) else {
        return false;
    };
    let Some(between) = text.get(start..end) else {
        return false;
    };
    in_order(pieces, between, 0).is_some()
}

/// Whether the pattern matches some part of the body that starts and ends at a word boundary.
pub(crate) fn matches_words(pattern: &str, body: &Haystack) -> bool {
    let pattern = fold(pattern);
    if pattern.is_empty() {
        return body.text.is_empty();
    }
    if !pattern.contains(['*', '?']) {
        return body.has(&pattern);
    }
    if !pattern
        .bytes()
        .all(|byte| matches!(byte, b'*' | b'?') || body.has_byte(byte))
    {
        return false;
    }
    let mut pieces = pattern.split('*');
    let first = pieces.next().unwrap_or_default();
    let Some(last) = pieces.next_back() else {
        return find(first, &body.text, 0, Bounds::BOTH).is_some();
    };
    let Some(start) = find(
        first,
        &body.text,
        0,
        Bounds {
            start: true,
            end: false,
        },
    ) else {
        return false;
    };
    let Some(middle) = in_order(pieces, &body.text, start) else {
        return false;
    };
    find(
        last,
        &body.text,
        middle,
        Bounds {
            start: false,
            end: true,
        },
    )
    .is_some()
}

/// Whether the body contains these words as they stand, between word boundaries.
pub(crate) fn contains_words(words: &str, body: &Haystack) -> bool {
    !words.is_empty() && body.has(&fold(words))
}

/// A folded message body with its different words.
pub(crate) struct Haystack {
    text: String,
    /// Where each different word stands (first time), sorted by the word.
    words: Vec<Range<usize>>,
    bytes: [bool; 256],
}

impl Haystack {
    pub(crate) fn new(folded: &str) -> Self {
        let word = |range: &Range<usize>| folded.get(range.clone());
        let mut words = word_ranges(folded);
        words.sort_unstable_by(|a, b| word(a).cmp(&word(b)).then(a.start.cmp(&b.start)));
        words.dedup_by(|a, b| word(a) == word(b));
        let mut bytes = [false; 256];
        for byte in folded.bytes() {
            if let Some(seen) = bytes.get_mut(usize::from(byte)) {
                *seen = true;
            }
        }
        Self {
            text: folded.to_owned(),
            words,
            bytes,
        }
    }

    fn has_byte(&self, byte: u8) -> bool {
        self.bytes.get(usize::from(byte)).is_some_and(|seen| *seen)
    }

    fn has_word(&self, word: &str) -> bool {
        self.words
            .binary_search_by(|range| {
                effort::spend(word.len());
                self.text.get(range.clone()).unwrap_or_default().cmp(word)
            })
            .is_ok()
    }

    /// A text without wildcards, between boundaries. Each word in it is then a whole word of the body, so most texts are refused by one look at the list.
    fn has(&self, needle: &str) -> bool {
        let words = word_ranges(needle);
        if !words.iter().all(|range| {
            needle
                .get(range.clone())
                .is_some_and(|word| self.has_word(word))
        }) {
            return false;
        }
        matches!(words.as_slice(), [only] if only.len() == needle.len())
            || find(needle, &self.text, 0, Bounds::BOTH).is_some()
    }
}

/// The longest runs of word characters.
fn word_ranges(text: &str) -> Vec<Range<usize>> {
    effort::spend(text.len());
    let mut ranges = Vec::new();
    let mut start = None;
    for (at, byte) in text.bytes().enumerate() {
        match (is_word(byte), start) {
            (true, None) => start = Some(at),
            (false, Some(from)) => {
                ranges.push(from..at);
                start = None;
            }
            _ => {}
        }
    }
    ranges.extend(start.map(|from| from..text.len()));
    ranges
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

/// The start, the end, and beside any character that no word has.
fn is_boundary(text: &str, at: usize) -> bool {
    let word_at = |at: usize| text.as_bytes().get(at).is_some_and(|byte| is_word(*byte));
    at.checked_sub(1).is_none_or(|before| !word_at(before)) || !word_at(at)
}

/// Which ends of a match must be word boundaries.
#[derive(Clone, Copy)]
struct Bounds {
    start: bool,
    end: bool,
}

impl Bounds {
    const NONE: Self = Self {
        start: false,
        end: false,
    };
    const BOTH: Self = Self {
        start: true,
        end: true,
    };
}

/// Finds the pieces between stars, each as early as possible after the one before; where the last one ends.
fn in_order<'p>(pieces: impl Iterator<Item = &'p str>, text: &str, from: usize) -> Option<usize> {
    pieces
        .filter(|piece| !piece.is_empty())
        .try_fold(from, |at, piece| find(piece, text, at, Bounds::NONE))
}

/// If the text starts with the piece: where the piece ends.
fn starts(piece: &str, text: &str) -> Option<usize> {
    effort::spend(piece.len());
    let mut rest = text.chars();
    for wanted in piece.chars() {
        let found = rest.next()?;
        if wanted != '?' && wanted != found {
            return None;
        }
    }
    Some(text.len() - rest.as_str().len())
}

/// If the text ends with the piece: where the piece starts.
fn ends(piece: &str, text: &str) -> Option<usize> {
    effort::spend(piece.len());
    let mut rest = text.chars();
    for wanted in piece.chars().rev() {
        let found = rest.next_back()?;
        if wanted != '?' && wanted != found {
            return None;
        }
    }
    Some(rest.as_str().len())
}

/// The end of the earliest match of a piece (no stars in it) that starts at or after `from`. An empty piece lies beside a star, which reaches any boundary.
fn find(piece: &str, text: &str, from: usize, bounds: Bounds) -> Option<usize> {
    if piece.is_empty() {
        return Some(from);
    }
    let rest = text.get(from..)?;
    let anchor = piece
        .split('?')
        .max_by_key(|literal| literal.len())
        .unwrap_or_default();
    let hit = memmem::find(rest.as_bytes(), anchor.as_bytes());
    effort::spend(piece.len() + hit.map_or(rest.len(), |hit| hit + anchor.len()));
    let hit = hit?;
    if anchor.len() != piece.len() {
        return Scan::new(piece).run(text, from, bounds);
    }
    let (start, end) = (from + hit, from + hit + piece.len());
    if (!bounds.start || is_boundary(text, start)) && (!bounds.end || is_boundary(text, end)) {
        return Some(end);
    }
    Scan::new(piece).run(text, start, bounds)
}

/// Bit-parallel search: bit *i* of the state says that the first *i* + 1 characters of the piece end here.
struct Scan {
    length: usize,
    /// For a character, the places of the piece it fits; `any` are those of `?`.
    ascii: Vec<Vec<u64>>,
    others: HashMap<char, Vec<u64>>,
    any: Vec<u64>,
}

impl Scan {
    fn new(piece: &str) -> Self {
        let length = piece.chars().count();
        effort::spend(128 + length);
        let mut any = vec![0; length.div_ceil(64)];
        for (at, _) in piece
            .chars()
            .enumerate()
            .filter(|(_, wanted)| *wanted == '?')
        {
            set(&mut any, at);
        }
        let (mut ascii, mut others) = (vec![Vec::new(); 128], HashMap::new());
        for (at, wanted) in piece
            .chars()
            .enumerate()
            .filter(|(_, wanted)| *wanted != '?')
        {
            let places = match ascii.get_mut(wanted as usize) {
                Some(places) => places,
                None => others.entry(wanted).or_insert_with(Vec::new),
            };
            if places.is_empty() {
                places.clone_from(&any);
            }
            set(places, at);
        }
        Self {
            length,
            ascii,
            others,
            any,
        }
    }

    fn places(&self, found: char) -> &[u64] {
        let places = self
            .ascii
            .get(found as usize)
            .or_else(|| self.others.get(&found));
        places
            .filter(|places| !places.is_empty())
            .unwrap_or(&self.any)
    }

    fn run(&self, text: &str, from: usize, bounds: Bounds) -> Option<usize> {
        let (last_word, last_bit) = ((self.length - 1) / 64, (self.length - 1) % 64);
        let mut state = vec![0_u64; self.any.len()];
        for (at, found) in text.get(from..)?.char_indices() {
            let at = from + at;
            effort::spend(state.len());
            let mut carry = u64::from(!bounds.start || is_boundary(text, at));
            for (word, places) in state.iter_mut().zip(self.places(found)) {
                let next = (*word << 1) | carry;
                carry = *word >> 63;
                *word = next & places;
            }
            let end = at + found.len_utf8();
            let full = state
                .get(last_word)
                .is_some_and(|word| word >> last_bit & 1 == 1);
            if full && (!bounds.end || is_boundary(text, end)) {
                return Some(end);
            }
        }
        None
    }
}

fn set(bits: &mut [u64], at: usize) {
    if let Some(word) = bits.get_mut(at / 64) {
        *word |= 1 << (at % 64);
    }
}
