//! Documents found inside of documents become documents of their own: attachments of mails, members of archives.

use crate::extract::scratch;
use crate::{Pipeline, from_operation};
use carrel_domain::VersionId;
use carrel_domain::archive::Document;
use carrel_extract::ChildDocument;
use carrel_operations::{Once, OperationError, Upload};
use carrel_queue::{JobContext, JobError};
use carrel_storage::documents;
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;
use tokio_util::io::ReaderStream;

/// Longest id that a document may have, in characters.
const LONGEST_ID: usize = 1_024;
/// The field of a document's metadata that says where it was found.
const FOUND_IN: &str = "found_in";

/// How many documents `document` was found within.
pub(crate) fn depth(document: &Document) -> u32 {
    let depth = document.metadata.get(FOUND_IN).and_then(|found| found.get("depth")).and_then(Value::as_u64);
    depth.and_then(|depth| u32::try_from(depth).ok()).unwrap_or(0)
}

/// The version that was uploaded itself, in which `document`, of which `version` is read, was found at whatever depth.
fn root(document: &Document, version: VersionId) -> VersionId {
    let root = document.metadata.get(FOUND_IN).and_then(|found| found.get("upload")).and_then(Value::as_str);
    root.and_then(|text| text.parse().ok()).unwrap_or(version)
}

impl Pipeline {
    /// Adds what was found inside of a version to the collection of its document; answers how many there are. The same
    /// children again change nothing, so a job that runs twice adds them once. Fails when the upload would hold more
    /// documents at all depths than it may; then none of them is added.
    pub(crate) async fn add_children(
        &self,
        cx: &JobContext,
        parent: &Document,
        version: VersionId,
        children: &[ChildDocument],
    ) -> Result<u32, JobError> {
        let operations = &self.0.operations;
        let mut added = 0;
        let mut taken = BTreeSet::new();
        let upload = root(parent, version);
        self.count(cx, version, upload, children).await?;
        for child in children {
            cx.check_cancelled()?;
            let Some(path) = child.path.as_ref().filter(|_| child.bytes > 0) else { continue };
            let ids = (1..).map(|copy| id_within(&parent.external_id, &child.name, copy));
            let external_id = ids.into_iter().find(|id| taken.insert(id.clone()));
            let file = tokio::fs::File::open(path).await.map_err(scratch)?;
            let operation = cx.operation();
            let staged = operations.stage_upload(&operation, ReaderStream::new(file)).await.map_err(from_operation)?;
            let found = json!({
                "document_id": parent.id, "version_id": version, "path": child.name,
                "depth": depth(parent).saturating_add(1), "upload": upload,
            });
            let sent = Upload {
                collection: parent.collection,
                file_name: child.name.clone(),
                external_id,
                title: None,
                media_type: Some(child.media_type.clone()),
                metadata: Some(Map::from_iter([(FOUND_IN.to_owned(), found)])),
                within: Some(version),
            };
            match operations.add_document(&operation, &sent, staged, Once::without_key()).await {
                Ok(_) => added += 1,
                // The collection went while its documents were read, or the document is being erased.
                Err(OperationError::NotFound(_) | OperationError::BeingErased) => return Ok(added),
                Err(error) => return Err(from_operation(error)),
            }
        }
        Ok(added)
    }
}

impl Pipeline {
    async fn count(
        &self,
        cx: &JobContext,
        version: VersionId,
        upload: VersionId,
        children: &[ChildDocument],
    ) -> Result<(), JobError> {
        let number = u32::try_from(children.iter().filter(|child| child.bytes > 0).count()).unwrap_or(u32::MAX);
        let limit = self.0.upkeep.descendants;
        if number == 0 {
            return Ok(());
        }
        let mut transaction = cx.begin().await?;
        if !documents::count_children(&mut transaction, version, upload, number, limit).await? {
            transaction.rollback().await?;
            let message =
                format!("documents inside of one upload, at all depths: more than the {limit} that are allowed");
            return Err(JobError::fail("too_many", message));
        }
        transaction.commit().await?;
        Ok(())
    }
}

/// The id of a child: its path below the id of its parent; the end of a long one.
fn id_within(parent: &str, name: &str, copy: u32) -> String {
    let whole = if copy == 1 { format!("{parent}/{name}") } else { format!("{parent}/{name} ({copy})") };
    let length = whole.chars().count();
    whole.chars().skip(length.saturating_sub(LONGEST_ID)).collect()
}

#[cfg(test)]
mod tests {
    use super::id_within;

    #[test]
    fn ids_tell_where_a_child_lay_and_stay_bounded() {
        assert_eq!(id_within("mail.eml", "a/b.pdf", 1), "mail.eml/a/b.pdf");
        assert_eq!(id_within("mail.eml", "b.pdf", 2), "mail.eml/b.pdf (2)");
        let long = id_within(&"p".repeat(1_000), &"ü".repeat(100), 1);
        assert_eq!(long.chars().count(), 1_024);
        assert!(long.ends_with('ü'));
    }
}
