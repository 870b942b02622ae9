//! Repeatable randomness, good enough to choose what a check does next.

/// SplitMix64.
pub(super) struct Random(u64);

impl Random {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub(super) fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit.max(1)
    }

    pub(super) fn one_in(&mut self, chances: u64) -> bool {
        self.below(chances) == 0
    }

    /// Few bytes from a small alphabet, with both ends of the range of a byte in it, so that keys meet.
    pub(super) fn key(&mut self) -> Vec<u8> {
        const BYTES: [u8; 5] = [0x00, 0x01, b'k', 0xFE, 0xFF];
        let len = 1 + self.below(4);
        (0..len)
            .map(|_| {
                BYTES
                    .get(self.below(5) as usize)
                    .copied()
                    .unwrap_or_default()
            })
            .collect()
    }

    pub(super) fn value(&mut self) -> Vec<u8> {
        let len = if self.one_in(20) {
            self.below(20_000)
        } else {
            self.below(40)
        };
        let byte = self.next() as u8;
        vec![byte; len as usize]
    }
}
