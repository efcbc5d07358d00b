//! Telephone numbers: the numbering plans of libphonenumber (through the `phonenumber` crate), matched here.
//!
//! That crate parses a number in tens of microseconds; a data set of gigabytes has no such time. So its plans are
//! compiled once into one expression for each country code, and the digits are matched against that.

mod plans;
mod written;

pub use plans::Region;
pub(crate) use plans::prepare;

use crate::Kind;
use crate::matching::{Context, Match};
use plans::{International, international, national, without_trunk};
use written::Written;

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

    /// Digits that only mobiles had behind their country's code, or that are dialled inside of the country alone.
    #[test]
    fn mobiles_of_older_plans_are_the_numbers_of_today() {
        let scanner = crate::Scanner::new(crate::Options::default()).unwrap();
        let key = crate::WorkspaceKey::new([7; 32]);
        for (written, expected) in [
            // Mexico: a 1 until August 2019.
            ("+52 1 55 1234 5678", "+525512345678"),
            ("+5215512345678", "+525512345678"),
            ("0052 1 33 1234 5678", "+523312345678"),
            ("+52 (1) 222 123 4567", "+522221234567"),
            ("+52 55 1234 5678", "+525512345678"),
            // Argentina: a 9 from abroad, which belongs to the number; 15 behind the area code at home.
            ("+54 9 11 2345-6789", "+5491123456789"),
            ("+54 9 343 555 1212", "+5493435551212"),
            ("+54 11 15-2345-6789", "+5491123456789"),
            ("+54 11 2345-6789", "+541123456789"),
            // Brazil: mobiles had eight digits until 2016.
            ("+55 11 91234-5678", "+5511912345678"),
        ] {
            assert_eq!(phone_e164(written, &[]).as_deref(), Some(expected), "{written}");
            let found = scanner.detect(&format!("Call {written}, from nine to five"), &key);
            let phones: Vec<_> = found.iter().filter(|found| found.kind == crate::Kind::PHONE).collect();
            assert!(matches!(phones[..], [phone] if phone.validated), "{written}: {found:?}");
        }
        let mexico = [Region::parse("MX").unwrap()];
        for written in ["044 55 1234 5678", "045 55 1234 5678", "01 55 1234 5678", "1 55 1234 5678", "55 1234 5678"] {
            assert_eq!(phone_e164(written, &mexico).as_deref(), Some("+525512345678"), "{written}");
        }
        // A 1 before what is no Mexican number stays one.
        assert_eq!(phone_e164("+52 1 55 1234", &[]), None);
    }
}
