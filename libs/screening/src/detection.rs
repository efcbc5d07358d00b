//! A detection: where a value is, what it is, and a digest by which it can be recognised; never the value.

use crate::kind::{Category, Kind, Severity};
use crate::mask;
use crate::matching::Match;
use carrel_domain::text::Span;
use hmac::{Hmac, KeyInit, Mac};
use serde::{Deserialize, Serialize};
use sha2::Sha256;
use std::fmt;

/// The key of a workspace's digests. Without it a digest cannot be tried against guesses, so two workspaces
/// cannot compare what they hold, and a stolen table does not give away telephone numbers.
#[derive(Clone)]
pub struct WorkspaceKey(Hmac<Sha256>, [u8; 32]);

impl WorkspaceKey {
    /// A key of 32 random bytes.
    pub fn new(key: [u8; 32]) -> Self {
        // A key of this length always fits; the other arm cannot be reached.
        let mac = Hmac::new_from_slice(&key).unwrap_or_else(|_| Hmac::new(&[0; 64].into()));
        Self(mac, key)
    }

    /// HMAC-SHA-256 over the kind and the normalised value.
    ///
    /// The value is brought to one form first (separators out, e-mail addresses to their mailbox), so that two
    /// ways of writing have one digest.
    pub fn digest(&self, kind: Kind, value: &str) -> ValueDigest {
        let mut mac = self.0.clone();
        mac.update(kind.id().as_bytes());
        mac.update(&[0]);
        mac.update(crate::normalise::value(kind, value).as_bytes());
        ValueDigest(mac.finalize().into_bytes().into())
    }

    /// The digests that `value` has as each kind: by these it is found without knowing what it was taken for.
    pub fn digests(&self, value: &str) -> Vec<ValueDigest> {
        let kinds: std::collections::BTreeSet<Kind> = Kind::all().collect();
        let digests: std::collections::BTreeSet<ValueDigest> =
            kinds.into_iter().map(|kind| self.digest(kind, value)).collect();
        digests.into_iter().collect()
    }

    /// A key derived for digests of whole rows.
    pub(crate) fn for_rows(&self) -> [u8; 32] {
        blake3::derive_key("carrel-screening 2026 digests of rows", &self.1)
    }
}

impl fmt::Debug for WorkspaceKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("WorkspaceKey(…)")
    }
}

/// The keyed digest of a value, written as 64 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ValueDigest([u8; 32]);

impl ValueDigest {
    /// The 32 bytes.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl From<[u8; 32]> for ValueDigest {
    fn from(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }
}

impl fmt::Display for ValueDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for ValueDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl Serialize for ValueDigest {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for ValueDigest {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
        let wrong = || serde::de::Error::custom("a digest is 64 hexadecimal digits");
        if text.len() != 64 || !text.is_ascii() {
            return Err(wrong());
        }
        let mut bytes = [0; 32];
        for (byte, pair) in bytes.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
            let pair = std::str::from_utf8(pair).map_err(|_| wrong())?;
            *byte = u8::from_str_radix(pair, 16).map_err(|_| wrong())?;
        }
        Ok(Self(bytes))
    }
}

/// One match. It holds no value: `Debug`, `Serialize` and reports show kind, place, mask and digest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Detection {
    /// What it is.
    pub kind: Kind,
    /// What policies speak about.
    pub category: Category,
    /// How grave it is.
    pub severity: Severity,
    /// Where it is, in code points.
    pub span: Span,
    /// Percent.
    pub confidence: u8,
    /// A checksum, a numbering plan or a mark that only this kind has agreed.
    pub validated: bool,
    /// The value for human eyes, with at most a few characters left.
    pub mask: String,
    /// By which the same value is recognised elsewhere in the workspace.
    pub digest: ValueDigest,
}

impl Detection {
    pub(crate) fn of(found: &Match, text: &str, key: &WorkspaceKey, mut code_point: impl FnMut(usize) -> u32) -> Self {
        // A match always begins and ends between characters; were one not to, its mask would say nothing.
        let value = text.get(found.start..found.end).unwrap_or_default();
        let start = code_point(found.start);
        let end = code_point(found.end);
        Self {
            kind: found.kind,
            category: found.kind.category(),
            severity: found.kind.severity(),
            span: Span { start, end },
            confidence: found.confidence,
            validated: found.validated,
            mask: mask::display(found.kind, value),
            digest: key.digest(found.kind, value),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{ValueDigest, WorkspaceKey};
    use crate::Kind;

    #[test]
    fn digests_depend_on_key_kind_and_value_but_not_on_writing() {
        let (one, other) = (WorkspaceKey::new([1; 32]), WorkspaceKey::new([2; 32]));
        let digest = one.digest(Kind::CARD, "4111 1111 1111 1111");
        assert_eq!(digest, one.digest(Kind::CARD, "4111-1111-1111-1111"));
        assert_ne!(digest, other.digest(Kind::CARD, "4111 1111 1111 1111"));
        assert_ne!(digest, one.digest(Kind::PHONE, "4111 1111 1111 1111"));
        assert_ne!(digest, one.digest(Kind::CARD, "4111 1111 1111 1112"));
        let text = serde_json::to_string(&digest).unwrap();
        assert_eq!(serde_json::from_str::<ValueDigest>(&text).unwrap(), digest);
        assert_eq!(format!("{one:?}"), "WorkspaceKey(…)");
    }
}
