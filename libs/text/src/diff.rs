//! What differs between two texts, word by word.

use carrel_domain::text::Span;
use imara_diff::{Algorithm, Diff, InternedInput};
use unicode_segmentation::UnicodeSegmentation;

/// Unchanged code points between two changes that are shown as one change: a lone "the" between two replaced words says
/// nothing.
const BRIDGE: u32 = 4;
/// Words on both sides together that are compared word by word at once.
const WORDS: usize = 20_000;
/// Bytes that cannot hold more words than that.
const SHORT: usize = WORDS;

/// A stretch that differs. At least one side is not empty; an empty side says where the other one stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Difference {
    /// What went, in the earlier text.
    pub before: Span,
    /// What came, in the later text.
    pub after: Span,
}

/// Compares two texts word by word (words and marks as in UAX #29, stretches of white space as one), in the order of the
/// texts. What lies between two differences is equal in both.
///
/// Long texts are compared line by line first, and word by word where lines differ. A stretch of more than twenty thousand
/// words in which no line agrees is one difference; so the time stays linear in the texts, whatever they are.
///
/// ```
/// use carrel_text::diff;
///
/// let found = diff("Each leaf shall close in 105 s.", "Each gate leaf shall close in 110 s.");
/// assert_eq!(found.len(), 2);
/// assert_eq!(found[0].after.slice("Each gate leaf shall close in 110 s."), Some("gate "));
/// assert_eq!(found[1].before.slice("Each leaf shall close in 105 s."), Some("105"));
/// ```
pub fn diff(before: &str, after: &str) -> Vec<Difference> {
    let mut out = Vec::new();
    if is_short(before, after) {
        compare(&words(before), &words(after), Span { start: 0, end: 0 }, &mut out);
        return out;
    }
    let (old, new): (Vec<&str>, Vec<&str>) =
        (before.split_inclusive('\n').collect(), after.split_inclusive('\n').collect());
    let mut lines = Vec::new();
    compare(&old, &new, Span { start: 0, end: 0 }, &mut lines);
    for part in lines {
        let (Some(left), Some(right)) = (part.before.slice(before), part.after.slice(after)) else { continue };
        if is_short(left, right) {
            let from = Span { start: part.before.start, end: part.after.start };
            compare(&words(left), &words(right), from, &mut out);
        } else {
            out.push(part);
        }
    }
    out
}

fn is_short(before: &str, after: &str) -> bool {
    before.len() + after.len() <= SHORT
        || before.split_word_bounds().take(WORDS).count() + after.split_word_bounds().take(WORDS).count() < WORDS
}

/// Appends the differences of two lists of pieces that begin at `from.start` of the earlier text and `from.end` of the
/// later one.
fn compare(old: &[&str], new: &[&str], from: Span, out: &mut Vec<Difference>) {
    let mut input = InternedInput::default();
    input.update_before(old.iter().copied());
    input.update_after(new.iter().copied());
    let mut found = Diff::compute(Algorithm::Histogram, &input);
    found.postprocess_no_heuristic(&input);
    let (old, new) = (starts(old, from.start), starts(new, from.end));
    let at = |starts: &[u32], piece: u32| starts.get(piece as usize).copied().unwrap_or_default();
    for hunk in found.hunks() {
        let next = Difference {
            before: Span { start: at(&old, hunk.before.start), end: at(&old, hunk.before.end) },
            after: Span { start: at(&new, hunk.after.start), end: at(&new, hunk.after.end) },
        };
        match out.last_mut() {
            Some(last) if next.before.start - last.before.end < BRIDGE => {
                last.before.end = next.before.end;
                last.after.end = next.after.end;
            }
            _ => out.push(next),
        }
    }
}

fn words(text: &str) -> Vec<&str> {
    text.split_word_bounds().collect()
}

/// Where each piece starts, and where the last one ends.
fn starts(pieces: &[&str], first: u32) -> Vec<u32> {
    let mut at = first;
    let mut starts = Vec::with_capacity(pieces.len() + 1);
    for piece in pieces {
        starts.push(at);
        at += u32::try_from(piece.chars().count()).unwrap_or(u32::MAX);
    }
    starts.push(at);
    starts
}

#[cfg(test)]
mod tests {
    use super::diff;
    use carrel_domain::text::Span;
    use proptest::prelude::*;

    /// The later text, made of the earlier one and the differences.
    fn apply(before: &str, after: &str) -> String {
        let mut out = String::new();
        let mut at = 0;
        for change in diff(before, after) {
            out.push_str(Span { start: at, end: change.before.start }.slice(before).unwrap());
            out.push_str(change.after.slice(after).unwrap());
            at = change.before.end;
        }
        let end = before.chars().count() as u32;
        out.push_str(Span { start: at, end }.slice(before).unwrap());
        out
    }

    #[test]
    fn equal_texts_do_not_differ() {
        assert!(diff("", "").is_empty());
        assert!(diff("one two", "one two").is_empty());
    }

    #[test]
    fn one_side_may_be_empty() {
        assert_eq!(diff("", "né").first().unwrap().after, Span { start: 0, end: 2 });
        assert_eq!(diff("né", "").first().unwrap().before, Span { start: 0, end: 2 });
    }

    #[test]
    fn a_changed_number_is_one_difference() {
        let (before, after) = ("It took 1,500.00 EUR.", "It took 1,750.00 EUR.");
        let found = diff(before, after);
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].before.slice(before), Some("1,500.00"));
    }

    #[test]
    fn hostile_texts_of_a_megabyte_end() {
        for (before, after) in [("a b ", "b a c "), ("a\n", "b\n"), ("a b\n", "b a\n"), ("\n", "\n\n")] {
            let (before, after) = (before.repeat(1_000_000 / before.len()), after.repeat(1_000_000 / after.len()));
            assert_eq!(apply(&before, &after), after);
        }
    }

    proptest! {
        #[test]
        fn differences_lead_from_one_text_to_the_other(
            before in "([a-c]{1,2}|[ \n]|é|𝄞|1\\.5|。){0,40}",
            after in "([a-c]{1,2}|[ \n]|é|𝄞|1\\.5|。){0,40}",
        ) {
            prop_assert_eq!(apply(&before, &after), after);
        }
    }
}
