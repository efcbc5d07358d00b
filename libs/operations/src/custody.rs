//! Custody: labels and their scans, legal holds.

use crate::collections::micros;
use crate::error::invalid;
use crate::{Answer, CursorKey, Listing, Once, OperationError, Operations, Resource, labels};
use carrel_domain::archive::Document;
use carrel_domain::custody::{CustodyEvent, CustodyKind, Hold, HoldSubject, Release};
use carrel_domain::{CollectionId, DocumentId, HoldId, OperationContext, Scope};
use carrel_storage::{StorageError, access, custody, documents};
use serde_json::json;
use uuid::Uuid;

/// What was scanned.
#[derive(Clone, Debug)]
pub struct Scan {
    /// What the label's code says.
    pub code: String,
    /// What happened.
    pub kind: CustodyKind,
    /// Where.
    pub place: Option<String>,
    /// What else is to be said.
    pub note: Option<String>,
}

impl Operations {
    /// A document's label: a picture (SVG) to print and stick on the paper.
    pub async fn label(&self, context: &OperationContext, id: DocumentId) -> Result<String, OperationError> {
        context.require(Scope::DocumentsRead)?;
        let mut transaction = self.database.begin(context.workspace).await?;
        let document =
            documents::get(&mut transaction, id).await?.ok_or(OperationError::NotFound(Resource::Document))?;
        let details = json!({ "version": document.latest.id, "sha256": document.latest.digests.sha256 });
        access::audit(&mut transaction, context, "get_label", Some(id.0), details).await?;
        transaction.commit().await?;
        let mark = self.tokens.label_mark(context.workspace, id);
        labels::draw(&labels::code(id, &mark), &document)
    }

    /// Records what a scanned label says.
    pub async fn scan_label(
        &self,
        context: &OperationContext,
        scan: &Scan,
        once: Once<'_, (CustodyEvent, Document)>,
    ) -> Result<Answer<(CustodyEvent, Document)>, OperationError> {
        context.require(Scope::CustodyWrite)?;
        check_text("place", scan.place.as_deref(), 200)?;
        check_text("note", scan.note.as_deref(), 2_000)?;
        let (document, mark) = labels::read(&scan.code).ok_or(OperationError::LabelUnreadable)?;
        if !self.tokens.is_label_mark(context.workspace, document, mark) {
            return Err(OperationError::LabelForged);
        }
        let event = CustodyEvent {
            id: self.new_id(),
            document,
            kind: scan.kind,
            place: scan.place.clone(),
            note: scan.note.clone(),
            at: micros(context.now),
            by: context.actor.clone(),
        };
        let mut transaction = self.database.begin(context.workspace).await?;
        if let Some(reply) = once.claim(&mut transaction, context.now).await? {
            return Ok(Answer::Repeated(reply));
        }
        let found =
            documents::get(&mut transaction, document).await?.ok_or(OperationError::NotFound(Resource::Document))?;
        custody::insert_event(&mut transaction, &event).await?;
        // Neither place nor note: the trail is never changed, and they may have to be erased.
        let details = json!({ "event": event.id, "kind": event.kind, "sha256": found.latest.digests.sha256 });
        access::audit(&mut transaction, context, "scan_label", Some(document.0), details).await?;
        once.commit(transaction, context.now, (event, found)).await
    }

    /// Custody events of a document, oldest first.
    pub async fn list_custody(
        &self,
        context: &OperationContext,
        id: DocumentId,
        cursor: Option<&str>,
        limit: u32,
    ) -> Result<Listing<CustodyEvent>, OperationError> {
        context.require(Scope::DocumentsRead)?;
        let key = CursorKey::new("custody", &[&id.to_string()]);
        let after = cursor.map(|text| key.decode(text)).transpose()?;
        let limit = self.page_size(limit)?;
        let mut transaction = self.database.begin(context.workspace).await?;
        if documents::get(&mut transaction, id).await?.is_none() {
            return Err(OperationError::NotFound(Resource::Document));
        }
        let page = custody::events(&mut transaction, id, after, limit).await?;
        Ok(Listing { rows: page.rows, next: page.next.map(|after| key.encode(after)) })
    }

    /// Places a legal hold. From then on what it covers can be neither deleted nor erased.
    pub async fn place_hold(
        &self,
        context: &OperationContext,
        subject: HoldSubject,
        reason: &str,
        once: Once<'_, Hold>,
    ) -> Result<Answer<Hold>, OperationError> {
        context.require(Scope::HoldsWrite)?;
        check_reason(reason)?;
        let hold = Hold {
            id: self.new_id(),
            subject,
            reason: reason.to_owned(),
            placed_at: micros(context.now),
            placed_by: context.actor.clone(),
            released: None,
        };
        let mut transaction = self.database.begin(context.workspace).await?;
        if let Some(reply) = once.claim(&mut transaction, context.now).await? {
            return Ok(Answer::Repeated(reply));
        }
        if !custody::place_hold(&mut transaction, &hold).await? {
            return Err(OperationError::NotFound(match subject {
                HoldSubject::Document(_) => Resource::Document,
                HoldSubject::Collection(_) => Resource::Collection,
            }));
        }
        let details = json!({ "hold": hold.id, "reason": hold.reason });
        access::audit(&mut transaction, context, "place_hold", Some(id_of(subject)), details).await?;
        once.commit(transaction, context.now, hold).await
    }

    /// Releases a hold. One that was released before stays as it was.
    pub async fn release_hold(
        &self,
        context: &OperationContext,
        id: HoldId,
        reason: &str,
        once: Once<'_, Hold>,
    ) -> Result<Answer<Hold>, OperationError> {
        context.require(Scope::HoldsWrite)?;
        check_reason(reason)?;
        let mut transaction = self.database.begin(context.workspace).await?;
        if let Some(reply) = once.claim(&mut transaction, context.now).await? {
            return Ok(Answer::Repeated(reply));
        }
        let mut hold = custody::hold(&mut transaction, id).await?.ok_or(OperationError::NotFound(Resource::Hold))?;
        if hold.released.is_none() {
            let release = Release { at: micros(context.now), by: context.actor.clone(), reason: reason.to_owned() };
            custody::release_hold(&mut transaction, id, &release).await?;
            hold.released = Some(release);
        }
        let details = json!({ "subject": id_of(hold.subject), "reason": reason });
        access::audit(&mut transaction, context, "release_hold", Some(id.0), details).await?;
        once.commit(transaction, context.now, hold).await
    }

    /// Holds, oldest first.
    pub async fn list_holds(
        &self,
        context: &OperationContext,
        subject: Option<Uuid>,
        standing: bool,
        cursor: Option<&str>,
        limit: u32,
    ) -> Result<Listing<Hold>, OperationError> {
        context.require(Scope::DocumentsRead)?;
        let conditions = [subject.map(|id| id.to_string()).unwrap_or_default(), standing.to_string()];
        let key = CursorKey::new("holds", &conditions.each_ref().map(String::as_str));
        let after = cursor.map(|text| key.decode(text)).transpose()?;
        let limit = self.page_size(limit)?;
        let mut transaction = self.database.begin(context.workspace).await?;
        let page = custody::holds(&mut transaction, subject, standing, after, limit).await?;
        Ok(Listing { rows: page.rows, next: page.next.map(|after| key.encode(after)) })
    }

    /// What the schema's refusal means to whoever wanted to delete: who holds it and why.
    pub(crate) async fn explain_document_hold(
        &self,
        context: &OperationContext,
        error: StorageError,
        id: DocumentId,
    ) -> OperationError {
        if !error.is_constraint("legal_hold") {
            return error.into();
        }
        match self.find_document_hold(context, id).await {
            Ok(Some(hold)) => OperationError::Held(Box::new(hold)),
            // Released in between.
            Ok(None) => error.into(),
            Err(other) => other,
        }
    }

    async fn find_document_hold(
        &self,
        context: &OperationContext,
        id: DocumentId,
    ) -> Result<Option<Hold>, OperationError> {
        let mut transaction = self.database.begin(context.workspace).await?;
        Ok(custody::holding_documents(&mut transaction, &[id]).await?)
    }

    /// The same for a collection.
    pub(crate) async fn explain_collection_hold(
        &self,
        context: &OperationContext,
        error: StorageError,
        id: CollectionId,
    ) -> OperationError {
        if !error.is_constraint("legal_hold") {
            return error.into();
        }
        let found = async {
            let mut transaction = self.database.begin(context.workspace).await?;
            custody::holding_collection(&mut transaction, id).await
        };
        match found.await {
            Ok(Some(hold)) => OperationError::Held(Box::new(hold)),
            Ok(None) => error.into(),
            Err(other) => other.into(),
        }
    }
}

fn id_of(subject: HoldSubject) -> Uuid {
    match subject {
        HoldSubject::Document(id) => id.0,
        HoldSubject::Collection(id) => id.0,
    }
}

/// A reason has 1 to 2,000 characters and says something.
pub(crate) fn check_reason(reason: &str) -> Result<(), OperationError> {
    if reason.trim().is_empty() {
        return invalid("reason", "must say why");
    }
    check_text("reason", Some(reason), 2_000)
}

fn check_text(field: &'static str, text: Option<&str>, longest: usize) -> Result<(), OperationError> {
    let Some(text) = text else { return Ok(()) };
    let length = text.chars().count();
    if length == 0 || length > longest || text.contains('\0') {
        return invalid(field, format!("must have 1 to {longest} characters and no NUL"));
    }
    Ok(())
}
