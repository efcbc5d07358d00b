//! Baselines: frozen lists of document versions, each with a digest over its members.

use crate::access::Actor;
use crate::digest::Digest;
use crate::ids::{BaselineId, CollectionId, DocumentId, VersionId};
use crate::search::Filter;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

/// A frozen list of document versions. It never changes.
#[derive(Clone, Debug, PartialEq)]
pub struct Baseline {
    /// Its id.
    pub id: BaselineId,
    /// Unique in the workspace.
    pub name: String,
    /// Free text.
    pub description: String,
    /// SHA-256 of the manifest ([`manifest`]).
    pub digest: Digest,
    /// Members.
    pub documents: u32,
    /// The collections that were frozen; empty is the whole workspace.
    pub collections: Vec<CollectionId>,
    /// What else restricted the choice.
    pub filter: Filter,
    /// When it was frozen.
    pub created_at: DateTime<Utc>,
    /// Who froze it.
    pub created_by: Actor,
}

/// One document of a baseline, in the version that was frozen. Its fields in this order are a line of the manifest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Member {
    /// The document.
    pub document_id: DocumentId,
    /// Where it lay.
    pub collection_id: CollectionId,
    /// The sender's own id of the document.
    pub external_id: String,
    /// Name of the document.
    pub name: String,
    /// The version.
    pub version_id: VersionId,
    /// Its number.
    pub number: u32,
    /// Bytes of the original.
    pub size: u64,
    /// SHA-256 of the original.
    pub sha256: Digest,
    /// BLAKE3 of the original.
    pub blake3: Digest,
    /// SHA-256 of the text (UTF-8) that citations point into.
    pub rendition_sha256: Digest,
}

/// What became of a document between two baselines.
#[expect(clippy::large_enum_variant, reason = "a page holds 200 of them at most")]
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// Only the later one holds it.
    Added(Member),
    /// Only the earlier one holds it.
    Removed(Member),
    /// Both hold it, in different versions.
    Changed {
        /// The earlier version.
        before: Member,
        /// The later version.
        after: Member,
    },
}

/// The manifest: one line of JSON (RFC 8259, no spaces, fields in the order of [`Member`]) for each member, ordered by
/// document id. Its SHA-256 is the baseline's digest.
///
/// # Errors
/// Never for members that were read from JSON or from a database.
pub fn manifest(members: &[Member]) -> Result<Vec<u8>, serde_json::Error> {
    let mut ordered: Vec<&Member> = members.iter().collect();
    ordered.sort_by_key(|member| member.document_id);
    let mut out = Vec::with_capacity(members.len() * 400);
    for member in ordered {
        serde_json::to_writer(&mut out, member)?;
        out.push(b'\n');
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::{Member, manifest};
    use crate::digest::Digest;
    use crate::ids::{CollectionId, DocumentId, VersionId};
    use uuid::Uuid;

    fn member(no: u128) -> Member {
        Member {
            document_id: DocumentId(Uuid::from_u128(no)),
            collection_id: CollectionId(Uuid::from_u128(1)),
            external_id: "a \"b\"".to_owned(),
            name: "ä".to_owned(),
            version_id: VersionId(Uuid::from_u128(no + 100)),
            number: 2,
            size: 3,
            sha256: Digest([1; 32]),
            blake3: Digest([2; 32]),
            rendition_sha256: Digest([3; 32]),
        }
    }

    #[test]
    fn the_order_of_members_does_not_matter_and_the_form_is_fixed() {
        let written = manifest(&[member(2), member(1)]).unwrap();
        assert_eq!(written, manifest(&[member(1), member(2)]).unwrap());
        let first = String::from_utf8(written).unwrap().lines().next().unwrap().to_owned();
        assert!(
            first.starts_with(r#"{"document_id":"00000000-0000-0000-0000-000000000001","collection_id":"#),
            "{first}"
        );
        assert!(first.contains(r#""external_id":"a \"b\"","name":"ä","version_id""#), "{first}");
        assert_eq!(serde_json::from_str::<Member>(&first).unwrap(), member(1));
    }

    #[test]
    fn unknown_fields_are_refused() {
        let line = serde_json::to_string(&member(1)).unwrap().replace("\"number\"", "\"nummer\"");
        assert!(serde_json::from_str::<Member>(&line).is_err());
    }
}
