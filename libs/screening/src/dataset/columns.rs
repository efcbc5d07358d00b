//! What a column holds: by its heading, by its values, or by both.

use crate::kind::{Category, Kind};
use crate::scanner::{Hints, Scanner};
use crate::{ValueDigest, WorkspaceKey, mask};
use serde::Serialize;

/// Masked examples of each kind in a column.
const EXAMPLES: usize = 3;
/// Kinds that one column can have; further ones are added to its last.
const KINDS: usize = 24;

/// What a heading says that no detector of values can.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Meaning {
    /// Passwords in the open.
    Password,
    /// Names of accounts.
    Username,
    /// Names of persons.
    PersonName,
    /// Postal addresses or their parts.
    PostalAddress,
    /// Days of birth.
    BirthDate,
    /// Gender.
    Gender,
    /// Salaries, balances, prices.
    Money,
    /// Health.
    Health,
}

impl Meaning {
    /// Words of headings; the first row that matches counts.
    const WORDS: [(Self, &'static [&'static str]); 8] = [
        (
            Self::Password,
            &[
                "password",
                "passwd",
                "passwort",
                "kennwort",
                "contraseña",
                "senha",
                "pwd",
                "pw",
                "psw",
                "pswd",
                "passcode",
                "pass",
                "passphrase",
                "credential",
                "secret",
            ],
        ),
        (
            Self::Username,
            &["username", "user_name", "login", "nickname", "screen_name", "benutzername", "account_name"],
        ),
        (Self::BirthDate, &["birth", "dob", "geburt", "naissance", "nacimiento", "birthday"]),
        (
            Self::PostalAddress,
            &[
                "address",
                "street",
                "city",
                "zip",
                "postcode",
                "postal",
                "strasse",
                "straße",
                "ort",
                "plz",
                "adresse",
                "direccion",
                "dirección",
            ],
        ),
        (
            Self::PersonName,
            &[
                "name",
                "first_name",
                "last_name",
                "surname",
                "vorname",
                "nachname",
                "nom",
                "prenom",
                "prénom",
                "apellido",
                "nombre",
            ],
        ),
        (Self::Gender, &["gender", "sex", "geschlecht"]),
        (Self::Health, &["diagnosis", "patient", "medication", "blood", "disease", "icd"]),
        (Self::Money, &["salary", "income", "balance", "amount", "price", "gehalt"]),
    ];

    fn of(heading: &str) -> Option<Self> {
        let mut spaced = String::new();
        let mut lower = false;
        for character in heading.chars() {
            if lower && character.is_uppercase() {
                spaced.push('_');
            }
            lower = character.is_lowercase();
            spaced.extend(character.to_lowercase());
        }
        let parts: Vec<&str> = spaced.split(|c: char| !c.is_alphanumeric()).filter(|part| !part.is_empty()).collect();
        // `e-mail address`, `ip address`, `mac address` and `hash` are no places and no passwords.
        let other = ["mail", "email", "ip", "mac", "hash", "hashed", "wallet", "file", "domain", "company", "product"];
        if parts.iter().any(|part| other.contains(part)) {
            return None;
        }
        let whole = parts.join("_");
        let says = |words: &[&str]| words.iter().any(|word| whole == *word || parts.contains(word));
        Self::WORDS.into_iter().find(|(_, words)| says(words)).map(|(meaning, _)| meaning)
    }

    /// The name in reports.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Password => "password",
            Self::Username => "username",
            Self::PersonName => "person_name",
            Self::PostalAddress => "postal_address",
            Self::BirthDate => "birth_date",
            Self::Gender => "gender",
            Self::Money => "money",
            Self::Health => "health",
        }
    }
}

/// What a column is taken for.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case", tag = "by")]
pub enum Class {
    /// Its values are of this kind.
    Values {
        /// The kind.
        kind: Kind,
        /// Share of the filled cells that are wholly of this kind, 0 to 1.
        share: f64,
        /// The heading says so too.
        heading_agrees: bool,
    },
    /// Its heading says so; its values cannot be checked.
    Heading {
        /// What it says.
        meaning: Meaning,
    },
    /// Running text or anything else in which values were found.
    Mixed,
    /// Nothing was found.
    Plain,
}

/// A masked example.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Example {
    /// Number of the row, from 1.
    pub row: u64,
    /// The value for human eyes.
    pub mask: String,
    /// By which the same value is recognised elsewhere.
    pub digest: ValueDigest,
}

/// How often a kind occurs in a column.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct KindCount {
    /// What it is.
    pub kind: Kind,
    /// What policies speak about.
    pub category: Category,
    /// Cells that are wholly such a value.
    pub cells: u64,
    /// Values found inside longer cells.
    pub inside: u64,
    /// Of both, values whose checksum or plan agreed.
    pub validated: u64,
    /// The first three different ones.
    pub examples: Vec<Example>,
}

/// A column's part of the report.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ColumnReport {
    /// Heading, path, or `#` and the place.
    pub name: String,
    /// What it is taken for.
    pub class: Class,
    /// Cells that are not empty.
    pub filled: u64,
    /// What was found, most frequent first.
    pub kinds: Vec<KindCount>,
}

/// A column while it is read.
pub(super) struct Column {
    name: String,
    pub(super) hints: Hints,
    pub(super) meaning: Option<Meaning>,
    pub(super) filled: u64,
    kinds: Vec<KindCount>,
}

impl Column {
    pub(super) fn new(name: &str, scanner: &Scanner) -> Self {
        let named = !name.starts_with('#');
        Self {
            name: name.to_owned(),
            hints: if named { scanner.hints(name) } else { Hints::default() },
            meaning: if named { Meaning::of(name) } else { None },
            filled: 0,
            kinds: Vec::new(),
        }
    }

    pub(super) fn count(
        &mut self,
        kind: Kind,
        whole: bool,
        validated: bool,
        row: u64,
        value: &str,
        key: &WorkspaceKey,
    ) {
        let place = match self.kinds.iter().position(|count| count.kind == kind) {
            Some(place) => place,
            None if self.kinds.len() == KINDS => KINDS - 1,
            None => {
                let category = kind.category();
                self.kinds.push(KindCount { kind, category, cells: 0, inside: 0, validated: 0, examples: Vec::new() });
                self.kinds.len() - 1
            }
        };
        let count = &mut self.kinds[place];
        if whole {
            count.cells += 1;
        } else {
            count.inside += 1;
        }
        count.validated += u64::from(validated);
        // Later values are not worth a digest each: three different ones come among the first dozen, or never.
        if count.examples.len() < EXAMPLES && count.cells + count.inside <= 4 * EXAMPLES as u64 {
            let digest = key.digest(kind, value);
            if count.examples.iter().all(|example| example.digest != digest) {
                count.examples.push(Example { row, mask: mask::display(kind, value), digest });
            }
        }
    }

    pub(super) fn finish(mut self, scanner: &Scanner) -> ColumnReport {
        self.kinds.sort_by_key(|count| std::cmp::Reverse(count.cells + count.inside));
        let class = self.class(scanner);
        // A key of a JSON object, or the first row of a table without headings, may itself be a value.
        let found = scanner.detect(&self.name, &WorkspaceKey::new([0; 32]));
        ColumnReport { name: mask::text(&self.name, &found), class, filled: self.filled, kinds: self.kinds }
    }

    fn class(&self, scanner: &Scanner) -> Class {
        let best = self.kinds.iter().max_by_key(|count| count.cells);
        if let Some(best) = best {
            let share = best.cells as f64 / self.filled.max(1) as f64;
            let expected = scanner.expecting(best.kind);
            let heading_agrees = self.hints.0.has(expected.0) || self.name.to_lowercase().contains(best.kind.id());
            if share >= 0.5 || heading_agrees && share >= 0.2 {
                return Class::Values { kind: best.kind, share: (share * 1000.0).round() / 1000.0, heading_agrees };
            }
        }
        match self.meaning {
            Some(meaning) => Class::Heading { meaning },
            None if self.kinds.is_empty() => Class::Plain,
            None => Class::Mixed,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Meaning;

    #[test]
    fn headings_mean_what_values_cannot_show() {
        for (heading, meaning) in [
            ("Password", Some(Meaning::Password)),
            ("userPass", Some(Meaning::Password)),
            ("password_hash", None),
            ("firstName", Some(Meaning::PersonName)),
            ("user_name", Some(Meaning::Username)),
            ("e-mail address", None),
            ("Street", Some(Meaning::PostalAddress)),
            ("date_of_birth", Some(Meaning::BirthDate)),
            ("colour", None),
        ] {
            assert_eq!(Meaning::of(heading), meaning, "{heading}");
        }
    }
}
