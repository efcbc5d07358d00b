//! The numbering plans: which digits are a number of which country, however they are dialled there.

use crate::ScreeningError;
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

/// What was dialled in front in plans that ended, and stands in what was written until then: Mexico's trunk 01 and 02, 044
/// and 045 before mobiles, and 1 behind the country's code before mobiles, all until August 2019.
const ENDED: [(&[u8; 2], &str); 1] = [(b"MX", "0(?:[12]|4[45])|1")];

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
                let dialled = metadata.national_prefix_for_parsing().map(ToString::to_string);
                let ended = ENDED.iter().find(|(region, _)| **region == id).map(|(_, ended)| (*ended).to_owned());
                let prefix = dialled.or(ended).map(|expression| Prefix {
                    pattern: OnceLock::new(),
                    expression: expression.chars().filter(|c| !c.is_whitespace()).collect(),
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
pub(super) enum International {
    /// The numbering plan has it.
    Valid,
    /// The country exists and its numbers can be this long.
    Possible,
    No,
}

pub(super) fn international(digits: &[u8]) -> International {
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
pub(super) fn national(digits: &[u8], region: Region) -> Option<(u16, Cow<'_, [u8]>)> {
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

/// The number behind its country code, without what the plan does not have behind it.
pub(super) fn without_trunk(digits: &[u8]) -> String {
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
