//! Keys, tokens, passwords and their hashes.
//!
//! A [`Rule`] is a line of a table: literals that announce it (looked for in one pass over the text), an
//! expression that is tried only there, the least entropy of the value, and a checksum where its service defines
//! one. Values without such a mark are found by the words beside them (`assignment`).

pub(crate) mod assignment;
mod cloud;
mod development;
mod entropy;
mod hashes;
mod keys;
mod platforms;
pub(crate) mod urls;
pub(crate) mod wallets;

pub(crate) use entropy::entropy;

use crate::kind::{Category, Kind};

/// How a service's values look.
pub(crate) struct Rule {
    pub(crate) kind: Kind,
    /// Name of the service as people know it.
    pub(crate) service: &'static str,
    /// Lower-case literals of which one stands at (or `behind` bytes after) the start of every value.
    pub(crate) literals: &'static [&'static str],
    /// Expression over bytes; group 1, where there is one, is the value.
    pub(crate) pattern: &'static str,
    /// How many bytes before the literal the expression may begin.
    pub(crate) behind: usize,
    /// Least Shannon entropy of the value, bits a character.
    pub(crate) entropy: f32,
    /// The checksum that the service puts into its values.
    pub(crate) checksum: Option<fn(&[u8]) -> bool>,
    /// Percent, without a checksum.
    pub(crate) confidence: u8,
    /// How far behind the literal's start the expression may look; bounds the work that a hostile text causes.
    pub(crate) reach: usize,
    /// Literal behind which the value ends with its line, for armoured keys.
    pub(crate) closing: Option<&'static str>,
}

/// Farthest end of most values.
const REACH: usize = 2048;

const fn token(
    id: &'static str,
    service: &'static str,
    literals: &'static [&'static str],
    pattern: &'static str,
    entropy: f32,
) -> Rule {
    let kind = Kind::new(id, Category::Credential);
    Rule {
        kind,
        service,
        literals,
        pattern,
        behind: 0,
        entropy,
        checksum: None,
        confidence: 95,
        reach: REACH,
        closing: None,
    }
}

/// A value that only the word beside it gives away: less sure than one with a mark of its own.
const fn named(
    id: &'static str,
    service: &'static str,
    literals: &'static [&'static str],
    pattern: &'static str,
    entropy: f32,
) -> Rule {
    Rule { confidence: 80, ..token(id, service, literals, pattern, entropy) }
}

const fn hash(id: &'static str, name: &'static str, literals: &'static [&'static str], pattern: &'static str) -> Rule {
    let kind = Kind::new(id, Category::PasswordHash);
    Rule {
        kind,
        service: name,
        literals,
        pattern,
        behind: 0,
        entropy: 0.0,
        checksum: None,
        confidence: 95,
        reach: REACH,
        closing: None,
    }
}

/// Every rule.
pub(crate) fn rules() -> impl Iterator<Item = &'static Rule> {
    [cloud::RULES, development::RULES, platforms::RULES, keys::RULES, hashes::RULES].into_iter().flatten()
}

/// Names of the services whose keys are known, sorted.
pub fn services() -> Vec<&'static str> {
    let credentials = rules().filter(|rule| rule.kind.category() == Category::Credential);
    let set: std::collections::BTreeSet<_> = credentials.map(|rule| rule.service).collect();
    set.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::{rules, services};

    #[test]
    fn at_least_forty_services_are_known() {
        assert!(services().len() >= 60, "{}", services().len());
    }

    #[test]
    fn literals_are_lower_case_and_expressions_compile() {
        for rule in rules() {
            assert!(rule.literals.iter().all(|literal| *literal == literal.to_ascii_lowercase()), "{}", rule.kind);
            assert!(
                !rule.literals.is_empty() && rule.literals.iter().all(|literal| literal.len() >= 2),
                "{}",
                rule.kind
            );
            regex::bytes::Regex::new(rule.pattern).unwrap();
        }
    }
}
