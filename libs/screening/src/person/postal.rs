//! Postal codes: their forms by country.
//!
//! Forms are facts of CLDR (`postalCodeData.xml`, release 26, the last that had them) and of the Universal Postal Union's
//! addressing guides; the first digits of American codes by state are those of USPS Publication 65.

use super::words::is_free_at;

/// Countries that write streets and codes alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Area {
    /// United States, United Kingdom, Canada, Australia, New Zealand, Ireland, India.
    English,
    /// Germany, Austria, Switzerland.
    German,
    /// Netherlands, Belgium.
    Dutch,
    /// France, Belgium, Switzerland.
    French,
    /// Spain.
    Spanish,
    /// Italy.
    Italian,
    /// Portugal, Brazil.
    Portuguese,
    /// Norway, Denmark, Sweden, Iceland.
    Scandinavian,
    /// Finland.
    Finnish,
    /// Poland.
    Polish,
    /// Hungary.
    Hungarian,
    /// Czechia, Slovakia.
    Czech,
    /// Others, whose codes are not checked.
    Other,
}

impl Area {
    /// Forms of its codes: `9` a digit, `A` a capital letter.
    fn forms(self) -> &'static [&'static str] {
        match self {
            Self::German | Self::French => &["99999", "9999"],
            Self::Dutch => &["9999 AA", "9999AA", "9999"],
            Self::Spanish | Self::Italian | Self::Finnish => &["99999"],
            Self::Portuguese => &["9999-999", "99999-999"],
            Self::Scandinavian => &["999 99", "99999", "9999", "999"],
            Self::Polish => &["99-999"],
            Self::Hungarian => &["9999"],
            Self::Czech => &["999 99", "99999"],
            Self::English | Self::Other => &[],
        }
    }

    /// First two digits that its codes of five digits can have.
    fn fits(self, code: &[u8]) -> bool {
        let first = usize::from(code[0] & 15) * 10 + usize::from(code[1] & 15);
        match (self, code.len()) {
            (Self::Spanish, _) => (1..=52).contains(&first),
            (Self::French, 5) => (1..=98).contains(&first),
            (Self::German, 5) => first >= 1,
            (Self::German | Self::French | Self::Dutch | Self::Hungarian, 4) => first >= 10,
            _ => true,
        }
    }
}

/// States of the United States with the first digits of their ZIP codes.
const STATES: &[(&str, &str)] = &[
    ("0", "CT MA ME NH NJ RI VT PR VI"),
    ("1", "DE NY PA"),
    ("2", "DC MD NC SC VA WV"),
    ("3", "AL FL GA MS TN"),
    ("4", "IN KY MI OH"),
    ("5", "IA MN MT ND SD WI"),
    ("6", "IL KS MO NE"),
    ("7", "AR LA OK TX"),
    ("8", "AZ CO ID NM NV UT WY"),
    ("9", "AK CA HI OR WA GU AS MP"),
];
/// Forms of codes that stand behind the town: Canada, United Kingdom, Ireland.
const CANADA: &[&str] = &["A9A 9A9", "A9A9A9"];
const KINGDOM: &[&str] = &["A9 9AA", "A99 9AA", "AA9 9AA", "AA99 9AA", "A9A 9AA", "AA9A 9AA"];
const IRELAND: &[&str] = &["A99 AA99", "A99 A999", "A99 AAA9", "A99 A9A9"];
const AUSTRALIA: &[&str] = &["NSW", "VIC", "QLD", "SA", "WA", "TAS", "NT", "ACT"];

/// The end of what has this form at byte `at`.
fn form_at(text: &[u8], at: usize, form: &str) -> Option<usize> {
    let window = text.get(at..at + form.len())?;
    let fits = window.iter().zip(form.bytes()).all(|(byte, form)| match form {
        b'9' => byte.is_ascii_digit(),
        b'A' => byte.is_ascii_uppercase(),
        _ => *byte == form,
    });
    fits.then_some(at + form.len())
}

/// The end of a code that stands before its town, such as `10115` or `D-10115`.
pub(super) fn before_town(text: &str, at: usize, area: Area) -> Option<usize> {
    let bytes = text.as_bytes();
    let prefix = bytes
        .get(at..)?
        .iter()
        .take(3)
        .position(|byte| *byte == b'-')
        .filter(|dash| (1..=2).contains(dash) && bytes[at..at + dash].iter().all(u8::is_ascii_uppercase));
    let from = at + prefix.map_or(0, |dash| dash + 1);
    let end = area.forms().iter().find_map(|form| {
        let end = form_at(bytes, from, form)?;
        is_free_at(text, end).then_some(end)
    })?;
    area.fits(&bytes[from..end]).then_some(end)
}

/// The end of a code that stands behind its town, with the state before it: `DC 20500`, `NW1 6XE`, `NSW 2000`.
pub(super) fn behind_town(text: &str, at: usize) -> Option<usize> {
    let bytes = text.as_bytes();
    let free = |end: usize| is_free_at(text, end).then_some(end);
    let canadian = CANADA.iter().find_map(|form| form_at(bytes, at, form).and_then(free));
    if let Some(end) = canadian.filter(|_| !b"DFIOQUWZ".contains(&bytes[at])) {
        return Some(end);
    }
    let british = KINGDOM.iter().find_map(|form| form_at(bytes, at, form).and_then(free));
    if let Some(end) = british.filter(|end| bytes[end - 2..*end].iter().all(|letter| !b"CIKMOV".contains(letter))) {
        return Some(end);
    }
    if let Some(end) = IRELAND.iter().find_map(|form| form_at(bytes, at, form).and_then(free)) {
        return Some(end);
    }
    let australian = AUSTRALIA.iter().find_map(|state| {
        let rest = text.get(at..)?.strip_prefix(state)?;
        form_at(bytes, text.len() - rest.len(), " 9999").and_then(free)
    });
    if australian.is_some() {
        return australian;
    }
    american(bytes, at).and_then(free)
}

/// `DC 20500`, `DC, 20500-0003`.
fn american(text: &[u8], at: usize) -> Option<usize> {
    let state = form_at(text, at, "AA")?;
    let gap = text[state..].iter().take(2).take_while(|byte| matches!(byte, b' ' | b',')).count();
    let zip = (gap > 0).then_some(state + gap)?;
    let end = form_at(text, zip, "99999")?;
    let name = std::str::from_utf8(&text[at..state]).ok()?;
    let digit = char::from(text[zip]);
    let known = STATES.iter().any(|(first, states)| first.starts_with(digit) && states.split(' ').any(|s| s == name));
    known.then(|| form_at(text, end, "-9999").unwrap_or(end))
}

/// `AA 61487`: the state of military post and its code; these begin with 0 (AE), 3 (AA) or 9 (AP).
pub(super) fn military(text: &str, at: usize) -> Option<usize> {
    let rest = text.get(at..)?;
    let post = ["AA ", "AE ", "AP "].iter().any(|state| rest.starts_with(state));
    let end = form_at(text.as_bytes(), at + 3, "99999").filter(|_| post)?;
    is_free_at(text, end).then_some(end)
}

/// Four to six digits that may be a code, where nothing says of which country.
pub(super) fn some_code(text: &str, at: usize) -> Option<usize> {
    let digits = text.as_bytes().get(at..)?.iter().take(7).take_while(|byte| byte.is_ascii_digit()).count();
    ((4..=6).contains(&digits) && is_free_at(text, at + digits)).then_some(at + digits)
}

#[cfg(test)]
mod tests {
    use super::{Area, before_town, behind_town, military};

    #[test]
    fn codes_have_the_form_of_their_country() {
        for (code, area) in [
            ("10115 Berlin", Area::German),
            ("D-10115 Berlin", Area::German),
            ("1010 Wien", Area::German),
            ("1016 DW Amsterdam", Area::Dutch),
            ("75002 Paris", Area::French),
            ("28013 Madrid", Area::Spanish),
            ("1100-053 Lisboa", Area::Portuguese),
            ("00-950 Warszawa", Area::Polish),
            ("114 55 Stockholm", Area::Scandinavian),
        ] {
            assert!(before_town(code, 0, area).is_some(), "{code}");
        }
        assert_eq!(before_town("99013 Madrid", 0, Area::Spanish), None);
        assert_eq!(before_town("00115 Berlin", 0, Area::German), None);
        assert_eq!(before_town("101150 Berlin", 0, Area::German), None);
    }

    #[test]
    fn codes_behind_towns_agree_with_their_state() {
        for code in ["DC 20500", "CA 94105-1234", "NW1 6XE", "SW1A 1AA", "K1A 0B1", "NSW 2000", "D02 X285"] {
            assert_eq!(behind_town(code, 0), Some(code.len()), "{code}");
        }
        for none in ["CA 20500", "XX 12345", "NW1 6XC", "D1A 0B1", "DC 205000", "SA 20"] {
            assert_eq!(behind_town(none, 0), None, "{none}");
        }
        assert_eq!(military("AE 09012", 0), Some(8));
    }
}
