//! How dangerous a row is, and why.
//!
//! Every factor has a weight; a row's score is 100 × (1 - Π (1 - weight)) over its factors, so that each adds and
//! none alone reaches the top. The whole set uses the same sum with every weight scaled by the square root of the
//! factor's share of rows: what one row in a hundred has counts a tenth.

use crate::kind::{Category, Kind};
use serde::Serialize;
use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// Rows that are named.
const NAMED: usize = 20;

/// Why a row is dangerous.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Factor {
    /// An e-mail address or telephone number.
    Contact,
    /// A person's name or postal address.
    Person,
    /// An address of a machine.
    Network,
    /// A wallet's address.
    Wallet,
    /// A bank account.
    BankAccount,
    /// A payment card.
    PaymentCard,
    /// A state's identifier.
    NationalId,
    /// A password's hash.
    PasswordHash,
    /// A password, key or token in the open.
    Credential,
    /// A password that falls to guessing.
    WeakPassword,
    /// A password that is in a known breach.
    BreachedPassword,
    /// A contact with a password or hash: a login that can be tried elsewhere.
    Login,
    /// A contact with a card, account or identifier: enough to impersonate somebody.
    Impersonation,
}

impl Factor {
    /// Every factor with its weight in percent, in order.
    pub const ALL: [(Self, u8); 13] = [
        (Self::Contact, 10),
        (Self::Person, 10),
        (Self::Network, 5),
        (Self::Wallet, 10),
        (Self::BankAccount, 25),
        (Self::PaymentCard, 45),
        (Self::NationalId, 40),
        (Self::PasswordHash, 30),
        (Self::Credential, 55),
        (Self::WeakPassword, 25),
        (Self::BreachedPassword, 30),
        (Self::Login, 30),
        (Self::Impersonation, 25),
    ];

    pub(super) fn of(kind: Kind) -> Self {
        match kind.category() {
            Category::Contact => Self::Contact,
            Category::Person => Self::Person,
            Category::Network => Self::Network,
            Category::Wallet => Self::Wallet,
            Category::Financial if kind == Kind::CARD => Self::PaymentCard,
            Category::Financial => Self::BankAccount,
            Category::NationalId => Self::NationalId,
            Category::PasswordHash => Self::PasswordHash,
            Category::Credential => Self::Credential,
        }
    }

    /// The name in reports.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Contact => "contact",
            Self::Person => "person",
            Self::Network => "network",
            Self::Wallet => "wallet",
            Self::BankAccount => "bank_account",
            Self::PaymentCard => "payment_card",
            Self::NationalId => "national_id",
            Self::PasswordHash => "password_hash",
            Self::Credential => "credential",
            Self::WeakPassword => "weak_password",
            Self::BreachedPassword => "breached_password",
            Self::Login => "login",
            Self::Impersonation => "impersonation",
        }
    }
}

/// A set of factors.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Factors(u16);

impl Factors {
    pub(super) fn add(&mut self, factor: Factor) {
        self.0 |= 1 << factor as u16;
    }

    fn has(self, factor: Factor) -> bool {
        self.0 >> factor as u16 & 1 == 1
    }

    /// Adds what factors mean together.
    fn with_combinations(mut self) -> Self {
        if self.has(Factor::Contact) {
            if self.has(Factor::Credential) || self.has(Factor::PasswordHash) {
                self.add(Factor::Login);
            }
            if self.has(Factor::PaymentCard) || self.has(Factor::BankAccount) || self.has(Factor::NationalId) {
                self.add(Factor::Impersonation);
            }
        }
        self
    }

    fn list(self) -> Vec<Factor> {
        Factor::ALL.into_iter().map(|(factor, _)| factor).filter(|factor| self.has(*factor)).collect()
    }

    fn score(self) -> u8 {
        combine(Factor::ALL.into_iter().filter(|(factor, _)| self.has(*factor)).map(|(_, weight)| f64::from(weight)))
    }
}

/// 100 × (1 - Π (1 - weight)) for weights in percent, rounded.
fn combine(weights: impl Iterator<Item = f64>) -> u8 {
    let safe: f64 = weights.map(|weight| 1.0 - weight / 100.0).product();
    (100.0 * (1.0 - safe)).round() as u8
}

/// A row and why it is dangerous.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RiskyRow {
    /// Number of the row, from 1.
    pub row: u64,
    /// 0 to 100.
    pub score: u8,
    /// What it has.
    pub factors: Vec<Factor>,
}

/// How many rows have a factor.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct FactorCount {
    /// The factor.
    pub factor: Factor,
    /// Its weight in a row's score, percent.
    pub weight: u8,
    /// Rows that have it.
    pub rows: u64,
}

/// The risk of a whole set.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RiskReport {
    /// 0 to 100 for the whole set.
    pub score: u8,
    /// Mean of the rows' scores.
    pub mean: f64,
    /// Highest of the rows' scores.
    pub highest: u8,
    /// Rows with scores of 0-9, 10-19, …, 90-100.
    pub histogram: [u64; 10],
    /// What contributes, gravest first.
    pub factors: Vec<FactorCount>,
    /// The twenty most dangerous rows, the first ones among equals.
    pub riskiest: Vec<RiskyRow>,
}

/// Adds rows up.
#[derive(Default)]
pub(super) struct Tally {
    rows: u64,
    sum: u64,
    highest: u8,
    histogram: [u64; 10],
    counts: [u64; Factor::ALL.len()],
    riskiest: BinaryHeap<Reverse<(u8, Reverse<u64>, Factors)>>,
}

impl Tally {
    pub(super) fn row(&mut self, row: u64, factors: Factors) {
        self.rows += 1;
        let factors = factors.with_combinations();
        let score = factors.score();
        self.sum += u64::from(score);
        self.highest = self.highest.max(score);
        self.histogram[usize::from(score / 10).min(9)] += 1;
        if factors.0 == 0 {
            return;
        }
        for (factor, _) in Factor::ALL {
            self.counts[factor as usize] += u64::from(factors.has(factor));
        }
        let full = self.riskiest.len() == NAMED;
        if full && self.riskiest.peek().is_some_and(|Reverse((least, ..))| *least >= score) {
            return;
        }
        self.riskiest.push(Reverse((score, Reverse(row), factors)));
        if full {
            self.riskiest.pop();
        }
    }

    pub(super) fn finish(self) -> RiskReport {
        let share = |count: u64| (count as f64 / self.rows.max(1) as f64).sqrt();
        let scaled =
            Factor::ALL.into_iter().map(|(factor, weight)| f64::from(weight) * share(self.counts[factor as usize]));
        let mut factors: Vec<FactorCount> = Factor::ALL
            .into_iter()
            .map(|(factor, weight)| FactorCount { factor, weight, rows: self.counts[factor as usize] })
            .filter(|count| count.rows > 0)
            .collect();
        factors.sort_by(|a, b| (f64::from(b.weight) * share(b.rows)).total_cmp(&(f64::from(a.weight) * share(a.rows))));
        let riskiest = self.riskiest.into_sorted_vec().into_iter();
        RiskReport {
            score: combine(scaled),
            mean: (self.sum as f64 / self.rows.max(1) as f64 * 10.0).round() / 10.0,
            highest: self.highest,
            histogram: self.histogram,
            factors,
            riskiest: riskiest
                .map(|Reverse((score, Reverse(row), factors))| RiskyRow { row, score, factors: factors.list() })
                .collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Factor, Factors, Tally};

    fn factors(list: &[Factor]) -> Factors {
        let mut factors = Factors::default();
        for factor in list {
            factors.add(*factor);
        }
        factors
    }

    #[test]
    fn more_factors_mean_more_risk_and_contacts_make_it_worse() {
        let score = |list: &[Factor]| factors(list).with_combinations().score();
        assert_eq!(score(&[]), 0);
        assert_eq!(score(&[Factor::Contact]), 10);
        assert_eq!(score(&[Factor::Credential]), 55);
        // 1 - 0.9 × 0.45 × 0.7: the login counts beside its parts.
        assert_eq!(score(&[Factor::Contact, Factor::Credential]), 72);
        let all: Vec<Factor> = Factor::ALL.into_iter().map(|(factor, _)| factor).collect();
        assert!(score(&all) > 95);
    }

    #[test]
    fn the_riskiest_rows_are_named_in_order() {
        let mut tally = Tally::default();
        for row in 1..=100 {
            tally.row(
                row,
                factors(if row % 50 == 0 {
                    &[Factor::PaymentCard]
                } else if row % 3 == 0 {
                    &[Factor::Contact]
                } else {
                    &[]
                }),
            );
        }
        let report = tally.finish();
        assert_eq!(report.riskiest.len(), 20);
        assert_eq!(report.riskiest.iter().take(3).map(|row| row.row).collect::<Vec<_>>(), [50, 100, 3]);
        assert_eq!(report.histogram.iter().sum::<u64>(), 100);
        assert_eq!(report.highest, 45);
        assert!(report.score > 0 && report.score < 45, "{}", report.score);
    }
}
