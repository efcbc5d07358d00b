//! Telephone numbers: the numbering plans of libphonenumber (through the `phonenumber` crate), matched here.
//!
//! That crate parses a number in tens of microseconds; a data set of gigabytes has no such time. So its plans are
//! compiled once into one expression for each country code, and the digits are matched against that.

use crate::matching::{Context, Match};
use crate::{Kind, ScreeningError};
use regex::bytes::Regex;
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::OnceLock;

/// A country by its ISO 3166 code, whose national numbers are to be understood.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Region([u8; 2]);

impl Region {
    /// Reads two letters of either case that name a country with a numbering plan.
    ///
    /// ```
    /// use carrel_screening::Region;
    ///
    /// assert_eq!(Region::parse("de").unwrap().as_str(), "DE");
    /// assert!(Region::parse("ZZ").is_none());
    /// ```
    pub fn parse(code: &str) -> Option<Self> {
        let bytes: [u8; 2] = code.to_ascii_uppercase().into_bytes().try_into().ok()?;
        plans().regions.contains_key(&bytes).then_some(Self(bytes))
    }

    /// The code in upper case.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or("??")
    }
}

impl fmt::Debug for Region {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

struct Plan {
    code: u16,
    /// Digit or digits dialled before a national number, `0` in most countries.
    trunk: String,
    pattern: OnceLock<Option<Regex>>,
    expression: String,
    /// What else is dialled in front, such as codes of carriers and, in Mexico and Argentina, of mobile numbers.
    prefix: Option<Prefix>,
}

struct Prefix {
    pattern: OnceLock<Option<Regex>>,
    expression: String,
    /// What stands for the prefix in the number itself, with `$1` for what it captured.
    becomes: String,
}

/// Regions that share the national numbers of another one: the French overseas departments.
const SHARED: [(&[u8; 2], &[u8; 2]); 7] =
    [(b"GP", b"FR"), (b"GF", b"FR"), (b"MQ", b"FR"), (b"RE", b"FR"), (b"YT", b"FR"), (b"BL", b"FR"), (b"MF", b"FR")];

struct CodePlan {
    expression: String,
    pattern: OnceLock<Option<Regex>>,
    lengths: u32,
    /// The main country, whose prefixes people also write behind the code.
    main: Option<[u8; 2]>,
}

struct Plans {
    regions: BTreeMap<[u8; 2], Plan>,
    codes: BTreeMap<u16, CodePlan>,
}

fn compiled<'p>(cell: &'p OnceLock<Option<Regex>>, expression: &str) -> Option<&'p Regex> {
    cell.get_or_init(|| Regex::new(&format!("^(?-u:(?:{expression}))$")).ok()).as_ref()
}

fn plans() -> &'static Plans {
    static PLANS: OnceLock<Plans> = OnceLock::new();
    PLANS.get_or_init(|| {
        let mut plans = Plans { regions: BTreeMap::new(), codes: BTreeMap::new() };
        for metadata in phonenumber::metadata::DATABASE.iter() {
            let general = metadata.descriptors().general();
            // The expressions of the plans contain white space for reading.
            let expression: String =
                general.national_number().as_str().chars().filter(|c| !c.is_whitespace()).collect();
            let code = metadata.country_code();
            let of_code = plans.codes.entry(code).or_insert_with(|| CodePlan {
                expression: String::new(),
                pattern: OnceLock::new(),
                lengths: 0,
                main: None,
            });
            if !of_code.expression.is_empty() {
                of_code.expression.push('|');
            }
            of_code.expression.extend(["(?:", expression.as_ref(), ")"]);
            for length in general.possible_length() {
                of_code.lengths |= 1 << (*length).min(31);
            }
            if let Ok(id) = <[u8; 2]>::try_from(metadata.id().as_bytes())
                && id.iter().all(u8::is_ascii_uppercase)
            {
                if of_code.main.is_none() || metadata.is_main_country_for_code() {
                    of_code.main = Some(id);
                }
                let trunk = metadata.national_prefix().unwrap_or_default().to_owned();
                let prefix = metadata.national_prefix_for_parsing().map(|prefix| Prefix {
                    pattern: OnceLock::new(),
                    expression: prefix.as_str().chars().filter(|c| !c.is_whitespace()).collect(),
                    // `$1` alone would swallow the digits behind it.
                    becomes: metadata.national_prefix_transform_rule().unwrap_or_default().replace("$1", "${1}"),
                });
                plans.regions.insert(id, Plan { code, trunk, pattern: OnceLock::new(), expression, prefix });
            }
        }
        plans
    })
}

/// Prepares the plans, so that no first document waits for them.
pub(crate) fn prepare() -> Result<(), ScreeningError> {
    if plans().codes.is_empty() { Err(ScreeningError::NumberingPlans) } else { Ok(()) }
}

/// How far the digits behind a `+` are a telephone number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum International {
    /// The numbering plan has it.
    Valid,
    /// The country exists and its numbers can be this long.
    Possible,
    No,
}

fn international(digits: &[u8]) -> International {
    let plans = plans();
    for length in 1..=3.min(digits.len().saturating_sub(1)) {
        let (code, national) = digits.split_at(length);
        let code = code.iter().fold(0u16, |sum, byte| sum * 10 + u16::from(byte - b'0'));
        if code == 0 {
            return International::No;
        }
        if let Some(plan) = plans.codes.get(&code) {
            if compiled(&plan.pattern, &plan.expression).is_some_and(|p| p.is_match(national)) {
                return International::Valid;
            }
            // Italy keeps its 0; elsewhere a 0 behind the country code is a habit.
            if let Some(rest) = national.strip_prefix(b"0")
                && compiled(&plan.pattern, &plan.expression).is_some_and(|p| p.is_match(rest))
            {
                return International::Valid;
            }
            if behind_prefix(plan, national).is_some() {
                return International::Valid;
            }
            let possible = (7..=15).contains(&digits.len()) && plan.lengths >> national.len().min(31) & 1 == 1;
            return if possible { International::Possible } else { International::No };
        }
    }
    International::No
}

/// The national number that people write behind a code with a prefix that is only dialled inside of the country.
fn behind_prefix(plan: &CodePlan, national: &[u8]) -> Option<Vec<u8>> {
    let main = plans().regions.get(&plan.main?)?;
    main.prefix.as_ref().and_then(|prefix| prefix.strip(national, main))
}

impl Prefix {
    /// The significant number when `digits` begin with this prefix.
    fn strip(&self, digits: &[u8], plan: &Plan) -> Option<Vec<u8>> {
        let pattern = self.pattern.get_or_init(|| Regex::new(&format!("^(?-u:(?:{}))", self.expression)).ok());
        let captures = pattern.as_ref()?.captures(digits)?;
        let mut significant = Vec::with_capacity(digits.len());
        // A rule is for prefixes that captured something, such as the area code between two parts of a prefix.
        if captures.get(captures.len() - 1).is_some() && captures.len() > 1 {
            captures.expand(self.becomes.as_bytes(), &mut significant);
        }
        significant.extend_from_slice(&digits[captures.get(0)?.end()..]);
        compiled(&plan.pattern, &plan.expression)?.is_match(&significant).then_some(significant)
    }
}

/// The national significant number of `digits` as dialled inside the region.
fn significant<'d>(plan: &Plan, digits: &'d [u8]) -> Option<Cow<'d, [u8]>> {
    let pattern = compiled(&plan.pattern, &plan.expression)?;
    if pattern.is_match(digits) {
        return Some(Cow::Borrowed(digits));
    }
    let trunk = digits.strip_prefix(plan.trunk.as_bytes()).filter(|_| !plan.trunk.is_empty());
    if let Some(rest) = trunk.filter(|rest| pattern.is_match(rest)) {
        return Some(Cow::Borrowed(rest));
    }
    plan.prefix.as_ref()?.strip(digits, plan).map(Cow::Owned)
}

/// The country code and national significant number of `digits` as written inside the region: as dialled, or behind the
/// country's own code without its plus.
fn national(digits: &[u8], region: Region) -> Option<(u16, Cow<'_, [u8]>)> {
    let plan = plans().regions.get(&region.0)?;
    if let Some(found) = significant(plan, digits) {
        return Some((plan.code, found));
    }
    let code = plan.code.to_string();
    if let Some(found) = digits.strip_prefix(code.as_bytes()).and_then(|rest| significant(plan, rest)) {
        return Some((plan.code, found));
    }
    let (_, shared) = SHARED.iter().find(|(id, _)| **id == region.0)?;
    let plan = plans().regions.get(*shared)?;
    significant(plan, digits).map(|found| (plan.code, found))
}

/// The number in the form of ITU-T E.164 (`+` and digits), if it is valid in its country; national numbers are
/// read in the regions' order.
///
/// ```
/// use carrel_screening::{Region, phone_e164};
///
/// let germany = Region::parse("DE").unwrap();
/// assert_eq!(phone_e164("+44 (0)20 7946 0958", &[]).as_deref(), Some("+442079460958"));
/// assert_eq!(phone_e164("030 901820", &[germany]).as_deref(), Some("+4930901820"));
/// assert_eq!(phone_e164("12", &[germany]), None);
/// ```
pub fn phone_e164(value: &str, regions: &[Region]) -> Option<String> {
    let value = value.trim();
    let written = Written::read(value.as_bytes(), 0)?;
    if written.end < value.len() && written.extension_from.is_none() {
        return None;
    }
    let digits = written.digits();
    if written.international && international(digits) == International::Valid {
        // Leave out the trunk 0 where the plan does not know it.
        return Some(format!("+{}", without_trunk(digits)));
    }
    if written.international && written.exit.is_empty() {
        return None;
    }
    // Digits that begin like an international call may be a national number whose area code is 11.
    let dialled = [written.exit, digits].concat();
    let digits = dialled.as_slice();
    let (code, rest) = regions.iter().find_map(|region| national(digits, *region))?;
    Some(format!("+{code}{}", String::from_utf8_lossy(&rest)))
}

fn without_trunk(digits: &[u8]) -> String {
    for length in 1..=3.min(digits.len()) {
        let (code, rest) = digits.split_at(length);
        let Some(plan) =
            std::str::from_utf8(code).ok().and_then(|c| c.parse().ok()).and_then(|c: u16| plans().codes.get(&c))
        else {
            continue;
        };
        if !compiled(&plan.pattern, &plan.expression).is_some_and(|p| p.is_match(rest))
            && let Some(shorter) = rest.strip_prefix(b"0")
        {
            let fits = compiled(&plan.pattern, &plan.expression).is_some_and(|p| p.is_match(shorter));
            if fits {
                return String::from_utf8_lossy(&[code, shorter].concat()).into_owned();
            }
        }
        if !compiled(&plan.pattern, &plan.expression).is_some_and(|p| p.is_match(rest))
            && let Some(significant) = behind_prefix(plan, rest)
        {
            return String::from_utf8_lossy(&[code, &significant].concat()).into_owned();
        }
        break;
    }
    String::from_utf8_lossy(digits).into_owned()
}

/// A number as it stands in a text.
struct Written {
    end: usize,
    digits: [u8; 16],
    length: usize,
    groups: [u8; 12],
    group_count: usize,
    separator: u8,
    mixed_separators: bool,
    parenthesis: bool,
    international: bool,
    /// Digits dialled to leave the country, which `digits` no longer hold.
    exit: &'static [u8],
    extension_from: Option<usize>,
}

impl Written {
    fn digits(&self) -> &[u8] {
        &self.digits[..self.length]
    }

    /// Reads from a `+`, `(` or digit at `start`; ends at the last digit (or extension).
    fn read(text: &[u8], start: usize) -> Option<Self> {
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
    fn looks_like_date(&self) -> bool {
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

/// The number that begins at byte `start` (a `+`, a `(` or the first digit of a word).
pub(crate) fn at(text: &[u8], start: usize, context: Context, regions: &[Region]) -> Option<Match> {
    let before = start.checked_sub(1).map_or(b' ', |at| text[at]);
    if before.is_ascii_alphanumeric()
        || matches!(before, b'+' | b'_' | b'$' | b'#' | b'=' | b'%') && text[start] != b'+'
    {
        return None;
    }
    if b".-/".contains(&before) && start >= 2 && text[start - 2].is_ascii_alphanumeric() && !context.has(Context::PHONE)
    {
        return None;
    }
    let first = start + usize::from(text[start] == b'(');
    if crate::network::ipv4_at(text, first).is_some() {
        return None;
    }
    let number = Written::read(text, start)?;
    // An area code stands in the parentheses, not the whole number.
    if text[start] == b'(' && text.get(first + usize::from(number.groups[0])) != Some(&b')') {
        return None;
    }
    let after = text.get(number.end).copied().unwrap_or(b' ');
    if after.is_ascii_alphanumeric() || matches!(after, b'%' | b'_') || after == b':' && !context.has(Context::PHONE) {
        return None;
    }
    let named = context.has(Context::PHONE);
    let found =
        |confidence, validated| Some(Match { kind: Kind::PHONE, start, end: number.end, confidence, validated });
    let digits = number.digits();
    // Digits that begin like an international call may be a national number whose area code is 11.
    if named && !number.exit.is_empty() && international(digits) != International::Valid {
        let dialled = [number.exit, digits].concat();
        if regions.iter().any(|region| national(&dialled, *region).is_some()) {
            return found(85, true);
        }
    }
    if number.international {
        return match international(digits) {
            International::Valid if named => found(98, true),
            // Digits that begin with 00 may be anything; what has its own check digits is surer.
            International::Valid => found(if text[start] == b'+' { 90 } else { 75 }, true),
            International::Possible if text[start] == b'+' || named => found(if named { 75 } else { 60 }, false),
            _ => None,
        };
    }
    // With the country's code and without its plus, numbers are longer than any dialled inside of the country.
    if named && (13..=15).contains(&digits.len()) && regions.iter().any(|region| national(digits, *region).is_some()) {
        return found(85, true);
    }
    if !(6..=12).contains(&digits.len()) || number.looks_like_date() || one_value(digits) {
        return None;
    }
    if regions.iter().any(|region| national(digits, *region).is_some()) && (named || number.group_count > 1) {
        return found(if named { 92 } else { 70 }, true);
    }
    let american = || Region::parse("US").is_some_and(|us| digits.len() >= 10 && national(digits, us).is_some());
    let groups = &number.groups[..number.group_count];
    let tidy = groups.len() >= 2 && groups.iter().all(|length| (1..=7).contains(length)) && !number.mixed_separators;
    if named {
        let plausible =
            digits.len() >= 7 && (groups.len() == 1 || tidy || number.parenthesis || number.mixed_separators);
        return plausible.then_some(()).and_then(|()| found(if american() { 85 } else { 70 }, american()));
    }
    // Without a word beside it only forms that little else has.
    let area_in_parentheses = number.parenthesis && text[start] == b'(' && digits.len() >= 8 && groups.len() >= 2;
    let north_american = matches!(groups, [3, 3, 4] | [1, 3, 3, 4]) && american();
    let trunk_zero = digits[0] == b'0' && digits.len() >= 9 && groups.len() >= 3 && tidy && digits[1] != b'0';
    if area_in_parentheses || north_american {
        return found(65, north_american);
    }
    trunk_zero.then_some(()).and_then(|()| found(50, false))
}

fn one_value(digits: &[u8]) -> bool {
    crate::checks::one_digit_only(digits)
}

#[cfg(test)]
mod tests {
    use super::{Region, phone_e164};

    #[test]
    fn plans_agree_with_the_library_on_its_own_examples() {
        for metadata in phonenumber::metadata::DATABASE.iter() {
            let Some(region) = Region::parse(metadata.id()) else { continue };
            let Some(example) = metadata.descriptors().general().example() else { continue };
            let whole = format!("+{}{example}", metadata.country_code());
            assert_eq!(phone_e164(&whole, &[]).as_deref(), Some(whole.as_str()), "{region:?}");
            assert_eq!(phone_e164(example, &[region]).as_deref(), Some(whole.as_str()), "{region:?}");
        }
    }

    #[test]
    fn writing_does_not_matter() {
        let us = [Region::parse("US").unwrap()];
        for written in [
            "(212) 555-2368",
            "212-555-2368",
            "1 212 555 2368",
            "+1.212.555.2368",
            "001 212 555 2368",
            "212.555.2368 x12",
        ] {
            assert_eq!(phone_e164(written, &us).as_deref(), Some("+12125552368"), "{written}");
        }
        let region = |code| [Region::parse(code).unwrap()];
        for (written, code, expected) in [
            ("5491143214321", "AR", "+5491143214321"),
            ("0 11 15 4321-4321", "AR", "+5491143214321"),
            ("5511912345678", "BR", "+5511912345678"),
            ("55 (17) 96332-2155", "BR", "+5517963322155"),
            ("0612457898", "GP", "+33612457898"),
            ("0690 12 34 56", "GP", "+590690123456"),
        ] {
            assert_eq!(phone_e164(written, &region(code)).as_deref(), Some(expected), "{written} in {code}");
        }
        for other in ["123-45-6789", "+12", "call me"] {
            assert_eq!(phone_e164(other, &us), None, "{other}");
        }
    }
}
