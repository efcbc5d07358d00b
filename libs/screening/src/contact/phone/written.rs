//! Telephone numbers as they stand in a text.

/// A number as it stands in a text.
pub(super) struct Written {
    pub(super) end: usize,
    pub(super) digits: [u8; 16],
    pub(super) length: usize,
    pub(super) groups: [u8; 12],
    pub(super) group_count: usize,
    pub(super) separator: u8,
    pub(super) mixed_separators: bool,
    pub(super) parenthesis: bool,
    pub(super) international: bool,
    /// Digits dialled to leave the country, which `digits` no longer hold.
    pub(super) exit: &'static [u8],
    pub(super) extension_from: Option<usize>,
}

impl Written {
    /// The digits, without those that leave the country.
    pub(super) fn digits(&self) -> &[u8] {
        &self.digits[..self.length]
    }

    /// Reads from a `+`, `(` or digit at `start`; ends at the last digit (or extension).
    pub(super) fn read(text: &[u8], start: usize) -> Option<Self> {
        let mut number = Self {
            end: start,
            digits: [0; 16],
            length: 0,
            groups: [0; 12],
            group_count: 0,
            separator: 0,
            mixed_separators: false,
            parenthesis: false,
            international: false,
            exit: b"",
            extension_from: None,
        };
        let mut at = start;
        if text.get(at) == Some(&b'+') {
            number.international = true;
            at += 1;
            if text.get(at) == Some(&b' ') {
                at += 1;
            }
        }
        let mut group = 0u8;
        let mut gap = 0;
        while at < text.len() {
            let byte = text[at];
            match byte {
                b'0'..=b'9' => {
                    // The trunk prefix in `+44 (0)20` is not dialled from abroad.
                    let trunk = number.international
                        && byte == b'0'
                        && at > 0
                        && text[at - 1] == b'('
                        && text.get(at + 1) == Some(&b')');
                    if !trunk {
                        if number.length >= 15 + 2 * usize::from(number.length > 1 && number.digits.starts_with(b"00"))
                            || number.length == 16
                        {
                            return None;
                        }
                        number.digits[number.length] = byte;
                        number.length += 1;
                    }
                    if gap > 0 || number.group_count == 0 {
                        if number.group_count == number.groups.len() {
                            return None;
                        }
                        number.group_count += 1;
                        group = 0;
                    }
                    group += 1;
                    number.groups[number.group_count - 1] = group;
                    number.end = at + 1;
                    gap = 0;
                }
                b' ' | b'-' | b'.' | b'/' | b'(' | b')' => {
                    gap += 1;
                    number.parenthesis |= byte == b'(';
                    if gap > 3 || byte != b'(' && byte != b')' && gap > 1 && text[at - 1] == byte {
                        break;
                    }
                    let next_is_digit = text.get(at + 1).is_some_and(u8::is_ascii_digit);
                    if !b"()".contains(&byte) && next_is_digit && gap == 1 {
                        number.mixed_separators |= number.separator != 0 && number.separator != byte;
                        number.separator = byte;
                    }
                }
                // No-break space and the hyphens U+2010 to U+2013.
                0xc2 if text.get(at + 1) == Some(&0xa0) => {
                    gap += 1;
                    at += 1;
                }
                0xe2 if text.get(at + 1) == Some(&0x80) && matches!(text.get(at + 2), Some(0x90..=0x93)) => {
                    gap += 1;
                    at += 2;
                }
                _ => break,
            }
            at += 1;
        }
        number.read_extension(text);
        if !number.international {
            let prefix =
                [&b"00"[..], b"011"].into_iter().find(|p| number.digits().starts_with(p) && number.length > 10);
            if let Some(prefix) = prefix {
                number.international = true;
                number.exit = prefix;
                number.digits.copy_within(prefix.len().., 0);
                number.length -= prefix.len();
            }
        }
        (number.length >= 3).then_some(number)
    }

    /// `x123`, `ext. 123` or `#123` behind the number.
    fn read_extension(&mut self, text: &[u8]) {
        let rest = &text[self.end..text.len().min(self.end + 12)];
        let trimmed = rest.trim_ascii_start();
        let skipped = rest.len() - trimmed.len();
        for word in [&b"ext. "[..], b"ext.", b"ext ", b"ext", b"x", b"#"] {
            if trimmed.len() > word.len() && trimmed[..word.len()].eq_ignore_ascii_case(word) {
                let digits = trimmed[word.len()..].iter().take_while(|byte| byte.is_ascii_digit()).count();
                if (1..=6).contains(&digits) {
                    self.extension_from = Some(self.end);
                    self.end += skipped + word.len() + digits;
                }
                return;
            }
        }
    }

    /// `2026-11-21`, `21.11.2026`, `11/21/26`: a day, and no telephone number.
    pub(super) fn looks_like_date(&self) -> bool {
        if self.international || self.parenthesis {
            return false;
        }
        let digits = self.digits();
        let century = |at: usize| matches!(digits.get(at..at + 2), Some(b"19" | b"20"));
        match self.groups[..self.group_count] {
            [4, 1..=2, 1..=2, ..] => century(0),
            [day @ 1..=2, month @ 1..=2, 4] => century(usize::from(day + month)),
            [2, 2, 2] => self.separator != b'-' && digits[0] <= b'3' && digits[2] <= b'3',
            [4, 4] => century(0) && century(4),
            _ => false,
        }
    }
}
