//! A match before it has a digest, and the words around it.

use crate::Kind;

/// A match in bytes of the text. It knows where the value is and never holds it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Match {
    pub(crate) kind: Kind,
    /// First byte.
    pub(crate) start: usize,
    /// One past the last byte.
    pub(crate) end: usize,
    /// Percent.
    pub(crate) confidence: u8,
    pub(crate) validated: bool,
}

/// What the words beside a value (or its column's heading) announce, one bit each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Context(pub(crate) u128);

impl Context {
    pub(crate) const PHONE: Self = Self(1);
    pub(crate) const CARD: Self = Self(1 << 1);
    pub(crate) const HASH: Self = Self(1 << 2);
    pub(crate) const ROUTING: Self = Self(1 << 3);
    pub(crate) const VERSION: Self = Self(1 << 4);
    pub(crate) const MAC: Self = Self(1 << 5);
    /// Identifiers take the bits from here on, in the order of their table.
    pub(crate) const FIRST_IDENTITY: u32 = 6;

    pub(crate) fn identity(index: usize) -> Self {
        Self(1 << (Self::FIRST_IDENTITY + index as u32))
    }

    pub(crate) fn has(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    pub(crate) fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

/// Keeps the best of matches that overlap: higher confidence first, then the longer one. Sorted by position.
pub(crate) fn without_overlaps(matches: &mut Vec<Match>) {
    if matches.len() < 2 {
        return;
    }
    matches.sort_by_key(|found| (found.start, std::cmp::Reverse(found.end)));
    let mut kept = 0;
    let mut from = 0;
    while from < matches.len() {
        // A cluster: each overlaps what came before it.
        let (mut to, mut end) = (from + 1, matches[from].end);
        while to < matches.len() && matches[to].start < end {
            end = end.max(matches[to].end);
            to += 1;
        }
        let first = kept;
        if to - from > 1 {
            matches[from..to].sort_by_key(|found| std::cmp::Reverse((found.confidence, found.end - found.start)));
        }
        for at in from..to {
            let found = matches[at];
            if matches[first..kept].iter().all(|better| found.end <= better.start || better.end <= found.start) {
                matches[kept] = found;
                kept += 1;
            }
        }
        matches[first..kept].sort_by_key(|found| found.start);
        from = to;
    }
    matches.truncate(kept);
}

#[cfg(test)]
mod tests {
    use super::{Match, without_overlaps};
    use crate::Kind;

    #[test]
    fn the_surer_match_wins_its_place() {
        let found = |start, end, confidence| Match { kind: Kind::PHONE, start, end, confidence, validated: true };
        let mut matches = vec![found(5, 9, 50), found(0, 6, 40), found(8, 20, 90), found(30, 40, 10)];
        without_overlaps(&mut matches);
        assert_eq!(matches, [found(0, 6, 40), found(8, 20, 90), found(30, 40, 10)]);
    }
}
