//! Groups of digits and letters with their separators: what an identifier, a card or an account may be.

use crate::identity::shape_of_byte;

/// Words joined by single separators.
pub(crate) struct Chain {
    pub(crate) ends: [usize; Chain::GROUPS],
    pub(crate) lengths: [u8; Chain::GROUPS],
    pub(crate) shapes: [Option<u128>; Chain::GROUPS],
    /// Letters or digits up to and with each group.
    pub(crate) sizes: [u8; Chain::GROUPS],
    pub(crate) digits_only: [bool; Chain::GROUPS],
    pub(crate) count: usize,
}

impl Chain {
    /// Most groups of a candidate.
    pub(crate) const GROUPS: usize = 9;
    /// Most characters of a candidate.
    pub(crate) const LONGEST: usize = 42;

    /// Reads on from the word `start..first_end`.
    pub(crate) fn read(text: &[u8], start: usize, first_end: usize) -> Self {
        let mut chain = Self {
            ends: [0; Self::GROUPS],
            lengths: [0; Self::GROUPS],
            shapes: [None; Self::GROUPS],
            sizes: [0; Self::GROUPS],
            digits_only: [true; Self::GROUPS],
            count: 0,
        };
        let (mut at, mut end, mut shape, mut characters, mut size, mut digits_only) =
            (start, first_end, Some(0u128), 0, 0, true);
        loop {
            for byte in &text[at..end] {
                shape = shape.and_then(|shape| Some(shape << 3 | shape_of_byte(*byte)?));
                digits_only &= byte.is_ascii_digit();
            }
            characters += end - at;
            size += end - at;
            if characters > Self::LONGEST {
                break;
            }
            let place = chain.count;
            chain.ends[place] = end;
            chain.lengths[place] = (end - at) as u8;
            chain.shapes[place] = shape;
            chain.sizes[place] = size as u8;
            chain.digits_only[place] = digits_only;
            chain.count += 1;
            if chain.count == Self::GROUPS {
                break;
            }
            // `(` opens and `)` closes the check digit of Hong Kong's cards.
            let separator = match text.get(end) {
                Some(b'-' | b' ' | b'.' | b'/' | b'+' | b'_' | b'(') => 1,
                Some(0xc2) if text.get(end + 1) == Some(&0xa0) => 2,
                _ => break,
            };
            let closing = text[end] == b'(';
            shape = shape.and_then(|shape| Some(shape << 3 | shape_of_byte(text[end + separator - 1])?));
            characters += 1;
            at = end + separator;
            end = at;
            while end < text.len() && text[end].is_ascii_alphanumeric() {
                end += 1;
            }
            if end == at || end - at > 14 {
                break;
            }
            if closing {
                if end - at == 1 && text.get(end) == Some(&b')') && chain.count < Self::GROUPS {
                    let inner = shape_of_byte(text[at]).zip(shape_of_byte(b')'));
                    chain.ends[chain.count] = end + 1;
                    chain.lengths[chain.count] = 1;
                    chain.shapes[chain.count] =
                        shape.zip(inner).map(|(shape, (digit, close))| shape << 6 | digit << 3 | close);
                    chain.sizes[chain.count] = size as u8 + 1;
                    chain.digits_only[chain.count] = false;
                    chain.count += 1;
                }
                break;
            }
        }
        chain
    }
}

#[cfg(test)]
mod tests {
    use super::Chain;

    #[test]
    fn groups_end_at_anything_but_one_separator() {
        let text = b"123-45-6789, 1";
        let chain = Chain::read(text, 0, 3);
        assert_eq!(chain.count, 3);
        assert_eq!(&chain.lengths[..3], &[3, 2, 4]);
        assert_eq!(&chain.ends[..3], &[3, 6, 11]);
        assert_eq!(Chain::read(b"12  34", 0, 2).count, 1);
        assert_eq!(Chain::read(b"A123456(3)", 0, 7).count, 2);
    }
}
