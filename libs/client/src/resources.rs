//! What the API offers, resource by resource.

use crate::{Client, ClientError, RunEvents, UploadFields};
use carrel_domain::{BaselineId, CollectionId, DocumentId, ErasureId, HoldId, JobId, RunId, VersionId};
use carrel_wire::{
    AuditEntryBody, BaselineBody, ChangeBody, CollectionBody, CustodyEventBody, DiffBody, DocumentBody, DuplicateBody,
    ErasureBody, HoldBody, JobBody, JobPageBody, LookupBody, MemberBody, NewBaselineBody, NewCollectionBody,
    NewHoldBody, OccurrencesBody, Page, PolicyBody, PolicyViewBody, QuestionBody, ReasonBody, RejectionBody,
    ReleaseBody, RetriesBody, RetryBody, RunBody, RunComparisonBody, RunPageBody, ScanBody, ScannedBody,
    ScreeningJobBody, SearchAnswerBody, SearchBody, TextBody, UploadBody, VersionBody, VersionPageBody,
};
use reqwest::Method;
use serde_json::Value;
use std::path::Path;
use tokio_util::io::ReaderStream;

impl Client {
    /// Every collection, or the one of this name.
    pub async fn collections(&self, name: Option<&str>) -> Result<Vec<CollectionBody>, ClientError> {
        let query: Vec<(&str, String)> = name.map(|name| ("name", name.to_owned())).into_iter().collect();
        self.all_pages("/api/v1/collections", &query).await
    }

    /// Makes a collection.
    pub async fn create_collection(&self, name: &str) -> Result<CollectionBody, ClientError> {
        let body = NewCollectionBody { name: name.to_owned(), description: String::new() };
        let request = self.request(Method::POST, "/api/v1/collections").await?.json(&body);
        self.read(request).await
    }

    /// Deletes a collection.
    pub async fn delete_collection(&self, id: CollectionId) -> Result<(), ClientError> {
        let request = self.request(Method::DELETE, &format!("/api/v1/collections/{id}")).await?;
        self.send(request).await.map(|_| ())
    }

    /// Every document of a collection.
    pub async fn documents(&self, collection: CollectionId) -> Result<Vec<DocumentBody>, ClientError> {
        self.all_pages(&format!("/api/v1/collections/{collection}/documents"), &[]).await
    }

    /// Deletes a document with all its versions.
    pub async fn delete_document(&self, id: DocumentId) -> Result<(), ClientError> {
        let request = self.request(Method::DELETE, &format!("/api/v1/documents/{id}")).await?;
        self.send(request).await.map(|_| ())
    }

    /// Documents of a collection whose newest version has this state, for example `quarantined`.
    pub async fn documents_in_state(
        &self,
        collection: CollectionId,
        state: &str,
    ) -> Result<Vec<DocumentBody>, ClientError> {
        let query = [("state", state.to_owned())];
        self.all_pages(&format!("/api/v1/collections/{collection}/documents"), &query).await
    }

    /// One document.
    pub async fn document(&self, id: DocumentId) -> Result<DocumentBody, ClientError> {
        self.get(&format!("/api/v1/documents/{id}"), &[]).await
    }

    /// Documents that are like a document, with a similarity of at least `least`.
    pub async fn duplicates(&self, id: DocumentId, least: f32) -> Result<Vec<DuplicateBody>, ClientError> {
        self.get(&format!("/api/v1/documents/{id}/duplicates"), &[("least", least.to_string())]).await
    }

    /// Versions of a document, newest first.
    pub async fn versions(&self, id: DocumentId) -> Result<Vec<VersionBody>, ClientError> {
        self.get(&format!("/api/v1/documents/{id}/versions"), &[("limit", "200".to_owned())]).await
    }

    /// One version with its document.
    pub async fn version(&self, id: VersionId) -> Result<VersionPageBody, ClientError> {
        self.get(&format!("/api/v1/versions/{id}"), &[]).await
    }

    /// A part of a version's text, in code points.
    pub async fn text(&self, id: VersionId, start: u32, end: Option<u32>) -> Result<TextBody, ClientError> {
        let mut query = vec![("start", start.to_string())];
        query.extend(end.map(|end| ("end", end.to_string())));
        self.get(&format!("/api/v1/versions/{id}/text"), &query).await
    }

    /// Sends a file, streamed.
    pub async fn upload_file(
        &self,
        collection: CollectionId,
        path: &Path,
        fields: UploadFields,
    ) -> Result<UploadBody, ClientError> {
        let failed = |source| ClientError::File { path: path.display().to_string(), source };
        let file = tokio::fs::File::open(path).await.map_err(failed)?;
        let length = file.metadata().await.map_err(failed)?.len();
        let body = reqwest::Body::wrap_stream(ReaderStream::new(file));
        self.upload(collection, reqwest::multipart::Part::stream_with_length(body, length), fields).await
    }

    /// Sends bytes as a file.
    pub async fn upload_bytes(
        &self,
        collection: CollectionId,
        bytes: Vec<u8>,
        fields: UploadFields,
    ) -> Result<UploadBody, ClientError> {
        self.upload(collection, reqwest::multipart::Part::bytes(bytes), fields).await
    }

    async fn upload(
        &self,
        collection: CollectionId,
        part: reqwest::multipart::Part,
        fields: UploadFields,
    ) -> Result<UploadBody, ClientError> {
        let mut form = reqwest::multipart::Form::new();
        let metadata = fields.metadata.map(|metadata| Value::Object(metadata).to_string());
        for (name, value) in [("external_id", fields.external_id), ("title", fields.title), ("metadata", metadata)] {
            if let Some(value) = value {
                form = form.text(name, value);
            }
        }
        let form = form.part("file", part.file_name(fields.file_name));
        let path = format!("/api/v1/collections/{collection}/documents");
        let request = self.request(Method::POST, &path).await?.multipart(form);
        self.read(request).await
    }

    /// Searches.
    pub async fn search(&self, body: &SearchBody) -> Result<SearchAnswerBody, ClientError> {
        let request = self.request(Method::POST, "/api/v1/search").await?.json(body);
        self.read(request).await
    }

    /// Asks a question.
    pub async fn ask(&self, body: &QuestionBody) -> Result<RunBody, ClientError> {
        let request = self.request(Method::POST, "/api/v1/research").await?.json(body);
        self.read(request).await
    }

    /// A run with all that it has produced so far.
    pub async fn run(&self, id: RunId) -> Result<RunPageBody, ClientError> {
        self.get(&format!("/api/v1/research/{id}"), &[]).await
    }

    /// Asks the question of a run again, where that run looked.
    pub async fn reproduce(&self, id: RunId) -> Result<RunBody, ClientError> {
        let request = self.request(Method::POST, &format!("/api/v1/research/{id}/reproduction")).await?;
        self.read(request).await
    }

    /// What two reports quote.
    pub async fn compare_runs(&self, before: RunId, after: RunId) -> Result<RunComparisonBody, ClientError> {
        self.get(&format!("/api/v1/research/{after}/comparison"), &[("from", before.to_string())]).await
    }

    /// The bundle of a report.
    pub async fn bundle(&self, id: RunId) -> Result<bytes::Bytes, ClientError> {
        let request = self.request(Method::GET, &format!("/api/v1/research/{id}/bundle")).await?;
        self.send(request).await?.bytes().await.map_err(|error| self.unreachable(error))
    }

    /// Freezes a baseline.
    pub async fn create_baseline(&self, body: &NewBaselineBody) -> Result<BaselineBody, ClientError> {
        let request = self.request(Method::POST, "/api/v1/baselines").await?.json(body);
        self.read(request).await
    }

    /// Every baseline, or the one of this name.
    pub async fn baselines(&self, name: Option<&str>) -> Result<Vec<BaselineBody>, ClientError> {
        let query: Vec<(&str, String)> = name.map(|name| ("name", name.to_owned())).into_iter().collect();
        self.all_pages("/api/v1/baselines", &query).await
    }

    /// Every document of a baseline.
    pub async fn baseline_documents(&self, id: BaselineId) -> Result<Vec<MemberBody>, ClientError> {
        self.all_pages(&format!("/api/v1/baselines/{id}/documents"), &[]).await
    }

    /// What changed from one baseline to another.
    pub async fn compare_baselines(
        &self,
        before: BaselineId,
        after: BaselineId,
    ) -> Result<Vec<ChangeBody>, ClientError> {
        self.all_pages(&format!("/api/v1/baselines/{after}/changes"), &[("from", before.to_string())]).await
    }

    /// What differs between two versions.
    pub async fn diff(&self, before: VersionId, after: VersionId) -> Result<DiffBody, ClientError> {
        self.get(&format!("/api/v1/versions/{after}/diff"), &[("from", before.to_string())]).await
    }

    /// Brings an old version back.
    pub async fn restore(&self, id: VersionId) -> Result<UploadBody, ClientError> {
        let request = self.request(Method::POST, &format!("/api/v1/versions/{id}/restore")).await?;
        self.read(request).await
    }

    /// A page of the audit trail, newest entries first.
    pub async fn audit(&self, query: &[(&str, String)]) -> Result<Page<AuditEntryBody>, ClientError> {
        self.get("/api/v1/audit", query).await
    }

    /// A document's label (SVG).
    pub async fn label(&self, id: DocumentId) -> Result<String, ClientError> {
        let request = self.request(Method::GET, &format!("/api/v1/documents/{id}/label.svg")).await?;
        self.send(request).await?.text().await.map_err(|error| self.unreachable(error))
    }

    /// Records what a scanned label says.
    pub async fn scan(&self, body: &ScanBody) -> Result<ScannedBody, ClientError> {
        let request = self.request(Method::POST, "/api/v1/custody/scan").await?.json(body);
        self.read(request).await
    }

    /// Every custody event of a document.
    pub async fn custody(&self, id: DocumentId) -> Result<Vec<CustodyEventBody>, ClientError> {
        self.all_pages(&format!("/api/v1/documents/{id}/custody"), &[]).await
    }

    /// Places a legal hold.
    pub async fn place_hold(&self, body: &NewHoldBody) -> Result<HoldBody, ClientError> {
        let request = self.request(Method::POST, "/api/v1/holds").await?.json(body);
        self.read(request).await
    }

    /// Every hold that stands, or every hold.
    pub async fn holds(&self, query: &[(&str, String)]) -> Result<Vec<HoldBody>, ClientError> {
        self.all_pages("/api/v1/holds", query).await
    }

    /// Releases a legal hold.
    pub async fn release_hold(&self, id: HoldId, reason: &str) -> Result<HoldBody, ClientError> {
        let body = ReasonBody { reason: reason.to_owned() };
        let request = self.request(Method::POST, &format!("/api/v1/holds/{id}/release")).await?.json(&body);
        self.read(request).await
    }

    /// Erases a document for good.
    pub async fn erase(&self, id: DocumentId, reason: &str) -> Result<ErasureBody, ClientError> {
        let body = ReasonBody { reason: reason.to_owned() };
        let request = self.request(Method::POST, &format!("/api/v1/documents/{id}/erase")).await?.json(&body);
        self.read(request).await
    }

    /// An erasure.
    pub async fn erasure(&self, id: ErasureId) -> Result<ErasureBody, ClientError> {
        self.get(&format!("/api/v1/erasures/{id}"), &[]).await
    }

    /// The signed receipt of an erasure.
    pub async fn receipt(&self, id: ErasureId) -> Result<String, ClientError> {
        let request = self.request(Method::GET, &format!("/api/v1/erasures/{id}/receipt")).await?;
        self.send(request).await?.text().await.map_err(|error| self.unreachable(error))
    }

    /// The screening policy of the workspace, or of a collection, with its ETag.
    pub async fn screening_policy(&self, collection: Option<CollectionId>) -> Result<PolicyViewBody, ClientError> {
        self.get(&policy_path(collection), &[]).await
    }

    /// Sets a screening policy if its revision is still `revision`.
    pub async fn set_screening_policy(
        &self,
        collection: Option<CollectionId>,
        policy: &PolicyBody,
        revision: u64,
    ) -> Result<PolicyViewBody, ClientError> {
        let request = self.request(Method::PUT, &policy_path(collection)).await?;
        self.read(request.header("if-match", format!("\"{revision}\"")).json(policy)).await
    }

    /// Screens a collection again.
    pub async fn rescreen(&self, id: CollectionId) -> Result<ScreeningJobBody, ClientError> {
        let request = self.request(Method::POST, &format!("/api/v1/collections/{id}/rescreen")).await?;
        self.read(request).await
    }

    /// Releases a version that screening holds.
    pub async fn release(&self, id: VersionId, body: &ReleaseBody) -> Result<ScreeningJobBody, ClientError> {
        let request = self.request(Method::POST, &format!("/api/v1/versions/{id}/release")).await?.json(body);
        self.read(request).await
    }

    /// Rejects a version that screening holds.
    pub async fn reject(&self, id: VersionId, body: &RejectionBody) -> Result<(), ClientError> {
        let request = self.request(Method::POST, &format!("/api/v1/versions/{id}/reject")).await?.json(body);
        self.send(request).await.map(|_| ())
    }

    /// Where a value occurs.
    pub async fn look_up(&self, value: String) -> Result<OccurrencesBody, ClientError> {
        let request = self.request(Method::POST, "/api/v1/screening/lookup").await?.json(&LookupBody { value });
        self.read(request).await
    }

    /// A report of screening as a stream of bytes; `path` is that of the resource, `form` is `csv`, `md`, or empty for JSON.
    pub async fn screening_report(
        &self,
        path: &str,
        form: &str,
    ) -> Result<impl futures::Stream<Item = Result<bytes::Bytes, ClientError>> + use<>, ClientError> {
        let suffix = if form.is_empty() { String::new() } else { format!(".{form}") };
        let request = self.request(Method::GET, &format!("/api/v1/{path}/screening{suffix}")).await?;
        let answer = self.send(request).await?;
        let url = self.credentials.url.clone();
        Ok(futures::StreamExt::map(answer.bytes_stream(), move |part| {
            part.map_err(|source| ClientError::Unreachable { url: url.clone(), source })
        }))
    }

    /// What happens in a run, until it ends.
    pub async fn watch(&self, id: RunId, after: i64) -> Result<RunEvents, ClientError> {
        let request = self.request(Method::GET, &format!("/api/v1/research/{id}/events")).await?;
        let answer = self.send(request.header("last-event-id", after.to_string())).await?;
        Ok(RunEvents::new(answer, self.credentials.url.clone()))
    }

    /// The newest jobs.
    pub async fn jobs(&self, query: &[(&str, String)]) -> Result<Page<JobBody>, ClientError> {
        self.get("/api/v1/jobs", query).await
    }

    /// A job that explains itself.
    pub async fn job(&self, id: JobId) -> Result<JobPageBody, ClientError> {
        self.get(&format!("/api/v1/jobs/{id}"), &[]).await
    }

    /// Runs a job again.
    pub async fn retry_job(&self, id: JobId) -> Result<RetryBody, ClientError> {
        let request = self.request(Method::POST, &format!("/api/v1/jobs/{id}/retry")).await?;
        self.read(request).await
    }

    /// Runs up to 500 dead letters again, all or those of a kind; answers none when none is left.
    pub async fn retry_dead_jobs(&self, kind: Option<&str>) -> Result<RetriesBody, ClientError> {
        let query: Vec<(&str, &str)> = kind.map(|kind| ("kind", kind)).into_iter().collect();
        let request = self.request(Method::POST, "/api/v1/jobs/retry").await?.query(&query);
        self.read(request).await
    }

    /// Cancels a job.
    pub async fn cancel_job(&self, id: JobId) -> Result<(), ClientError> {
        let request = self.request(Method::POST, &format!("/api/v1/jobs/{id}/cancel")).await?;
        self.send(request).await.map(|_| ())
    }

    /// What the server says of its health; does not need a token.
    pub async fn readiness(&self) -> Result<(bool, Value), ClientError> {
        let url = format!("{}/health/ready", self.credentials.url);
        let answer = self.http.get(&url).send().await.map_err(|error| self.unreachable(error))?;
        let status = answer.status();
        let body = answer.json().await.map_err(|_| ClientError::Protocol { url, status: status.as_u16() })?;
        Ok((status.is_success(), body))
    }
}

fn policy_path(collection: Option<CollectionId>) -> String {
    match collection {
        Some(id) => format!("/api/v1/collections/{id}/screening/policy"),
        None => "/api/v1/screening/policy".to_owned(),
    }
}
