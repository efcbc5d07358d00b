//! What happens to a document when something was found in it.

use crate::detection::Detection;
use crate::kind::{Category, Kind};
use crate::{ScreeningError, mask};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What a policy does with a detection; later ones win over earlier ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// The value stays.
    Allow,
    /// Models and the index see dots in its place.
    Mask,
    /// The version waits for a reviewer.
    Hold,
}

impl Action {
    /// The name in reports and policies.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::Mask => "mask",
            Self::Hold => "hold",
        }
    }
}

/// What was decided about a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Nothing was found.
    Clean,
    /// Something was found and may stay.
    Allowed,
    /// Something is hidden from models and the index.
    Masked,
    /// A reviewer must look before anything else happens.
    Held,
}

impl Verdict {
    /// True when a reviewer must look first.
    pub fn is_held(self) -> bool {
        self == Self::Held
    }

    /// The name in reports.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Clean => "clean",
            Self::Allowed => "allowed",
            Self::Masked => "masked",
            Self::Held => "held",
        }
    }
}

/// The rules of a workspace or collection.
///
/// ```
/// use carrel_screening::{Action, Category, Kind, Policy};
///
/// let workspace = Policy::default().with(Category::Contact, Action::Mask);
/// let collection = Policy::inheriting().with_kind(Kind::EMAIL, Action::Allow);
/// let both = workspace.overridden_by(&collection);
/// assert_eq!(both.action(Kind::EMAIL, 90), Action::Allow);
/// assert_eq!(both.action(Kind::PHONE, 90), Action::Mask);
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Policy {
    /// Action for each category; a category that is missing is allowed.
    #[serde(default)]
    pub categories: BTreeMap<Category, Action>,
    /// Exceptions for single kinds.
    #[serde(default)]
    pub kinds: BTreeMap<Kind, Action>,
    /// Detections below this confidence (percent) are reported and allowed.
    #[serde(default)]
    pub min_confidence: Option<u8>,
}

/// Confidence from which a policy acts where it names none.
pub const MIN_CONFIDENCE: u8 = 60;

impl Default for Policy {
    /// Credentials, hashes, accounts, cards and identifiers are masked; the rest is allowed.
    fn default() -> Self {
        let masked = [Category::Financial, Category::NationalId, Category::Credential, Category::PasswordHash];
        Self { categories: masked.map(|category| (category, Action::Mask)).into(), ..Self::inheriting() }
    }
}

impl Policy {
    /// A policy without rules: what a collection has that follows its workspace.
    pub fn inheriting() -> Self {
        Self { categories: BTreeMap::new(), kinds: BTreeMap::new(), min_confidence: None }
    }

    /// With this action for a category.
    pub fn with(mut self, category: Category, action: Action) -> Self {
        self.categories.insert(category, action);
        self
    }

    /// With this action for one kind.
    pub fn with_kind(mut self, kind: Kind, action: Action) -> Self {
        self.kinds.insert(kind, action);
        self
    }

    /// This policy with the rules of `other` put over it. A rule of `other` for a category also replaces this
    /// policy's exceptions inside that category.
    pub fn overridden_by(&self, other: &Self) -> Self {
        let mut both = self.clone();
        both.kinds.retain(|kind, _| !other.categories.contains_key(&kind.category()));
        both.categories.extend(&other.categories);
        both.kinds.extend(&other.kinds);
        both.min_confidence = other.min_confidence.or(self.min_confidence);
        both
    }

    /// What happens to a detection of this kind and confidence.
    pub fn action(&self, kind: Kind, confidence: u8) -> Action {
        if confidence < self.min_confidence.unwrap_or(MIN_CONFIDENCE) {
            return Action::Allow;
        }
        let by_kind = self.kinds.get(&kind).copied();
        by_kind.or_else(|| self.categories.get(&kind.category()).copied()).unwrap_or(Action::Allow)
    }

    /// Decides over a text's detections.
    pub fn apply(&self, text: &str, detections: Vec<Detection>) -> Screened {
        let decisions: Vec<Decision> = detections
            .into_iter()
            .map(|detection| Decision { action: self.action(detection.kind, detection.confidence), detection })
            .collect();
        Screened::decided(text, decisions)
    }
}

/// A detection and what happens to it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Decision {
    /// What happens.
    pub action: Action,
    /// What was found.
    #[serde(flatten)]
    pub detection: Detection,
}

/// A text after its policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Screened {
    /// The gravest action as a verdict.
    pub verdict: Verdict,
    /// Every detection with its action, in order of position.
    pub decisions: Vec<Decision>,
    /// The text for models and the index: as many code points as the original, so spans agree. `None` when the
    /// original may be used.
    pub masked: Option<String>,
}

/// How a reviewer lets go what was held.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Release {
    /// What was held stays hidden from models and the index.
    #[default]
    Masked,
    /// What was held may be seen; what is masked stays masked.
    Plain,
}

impl Release {
    /// The name in reports.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Masked => "masked",
            Self::Plain => "plain",
        }
    }
}

impl Screened {
    /// What the decisions make of a text.
    fn decided(text: &str, decisions: Vec<Decision>) -> Self {
        let verdict = match decisions.iter().map(|decision| decision.action).max() {
            None => Verdict::Clean,
            Some(Action::Allow) => Verdict::Allowed,
            Some(Action::Mask) => Verdict::Masked,
            Some(Action::Hold) => Verdict::Held,
        };
        // What is held is masked as well: a release says what may be seen.
        let hidden = decisions.iter().filter(|decision| decision.action > Action::Allow);
        let spans: Vec<_> = hidden.map(|decision| decision.detection.span).collect();
        let masked = (!spans.is_empty()).then(|| mask::spans(text, spans));
        Self { verdict, decisions, masked }
    }

    /// The same text after a reviewer let it go: nothing is held any more.
    ///
    /// ```
    /// use carrel_screening::{Action, Category, Options, Policy, Release, Scanner, Verdict, WorkspaceKey};
    ///
    /// let scanner = Scanner::new(Options::default()).unwrap();
    /// let policy = Policy::default().with(Category::Contact, Action::Hold);
    /// let text = "ann@example.org";
    /// let held = policy.apply(text, scanner.detect(text, &WorkspaceKey::new([1; 32])));
    /// assert_eq!(held.clone().released(text, Release::Masked).verdict, Verdict::Masked);
    /// assert_eq!(held.released(text, Release::Plain).masked, None);
    /// ```
    pub fn released(mut self, text: &str, release: Release) -> Self {
        for decision in &mut self.decisions {
            if decision.action == Action::Hold {
                decision.action = match release {
                    Release::Masked => Action::Mask,
                    Release::Plain => Action::Allow,
                };
            }
        }
        Self::decided(text, self.decisions)
    }

    /// Hides what this text hides wherever else the same characters stand, such as in headings that repeat it.
    ///
    /// # Errors
    /// [`ScreeningError::Table`] when the values are too many for a search.
    pub fn redactor(&self, text: &str) -> Result<mask::Redactor, ScreeningError> {
        let hidden = self.decisions.iter().filter(|decision| decision.action > Action::Allow);
        mask::Redactor::new(text, hidden.map(|decision| decision.detection.span))
    }
}

#[cfg(test)]
mod tests {
    use super::{Action, Policy, Verdict};
    use crate::{Category, Kind, Options, Scanner, WorkspaceKey};

    #[test]
    fn verdicts_follow_the_gravest_action() {
        let scanner = Scanner::new(Options::default()).unwrap();
        let key = WorkspaceKey::new([3; 32]);
        let text = "ann@example.org paid with 4111 1111 1111 1111 ✓";
        let found = scanner.detect(text, &key);
        let screened = Policy::default().apply(text, found.clone());
        assert_eq!(screened.verdict, Verdict::Masked);
        let masked = screened.masked.unwrap();
        assert_eq!(masked, "ann@example.org paid with •••• •••• •••• •••• ✓");
        assert_eq!(masked.chars().count(), text.chars().count());
        let strict = Policy::default().with(Category::Contact, Action::Hold);
        assert_eq!(strict.apply(text, found.clone()).verdict, Verdict::Held);
        let lax = Policy::inheriting();
        let screened = lax.apply(text, found);
        assert_eq!((screened.verdict, screened.masked), (Verdict::Allowed, None));
        assert_eq!(lax.apply("nothing", Vec::new()).verdict, Verdict::Clean);
    }

    #[test]
    fn unsure_detections_are_allowed_and_exceptions_yield_to_the_narrower_policy() {
        let policy = Policy::default().with(Category::Contact, Action::Mask).with_kind(Kind::PHONE, Action::Hold);
        assert_eq!(policy.action(Kind::PHONE, 50), Action::Allow);
        assert_eq!(policy.action(Kind::PHONE, 90), Action::Hold);
        let collection = Policy::inheriting().with(Category::Contact, Action::Allow);
        assert_eq!(policy.overridden_by(&collection).action(Kind::PHONE, 90), Action::Allow);
        let json = serde_json::to_string(&policy).unwrap();
        assert_eq!(serde_json::from_str::<Policy>(&json).unwrap(), policy);
        assert!(serde_json::from_str::<Policy>(r#"{"categorys":{}}"#).is_err());
    }
}
