//! Figures of the object store: how long its operations take, how they end, how many bytes pass.

use async_trait::async_trait;
use bytes::Bytes;
use futures::StreamExt;
use futures::stream::BoxStream;
use object_store::path::Path;
use object_store::{
    CopyOptions, GetOptions, GetResult, GetResultPayload, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, RenameOptions, Result, UploadPart,
};
use std::ops::Range;
use std::sync::Arc;
use std::time::Instant;

/// Passes everything on to another store and measures it.
#[derive(Debug)]
pub(crate) struct Measured(pub(crate) Arc<dyn ObjectStore>);

impl std::fmt::Display for Measured {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(formatter)
    }
}

fn record<T>(operation: &'static str, began: Instant, answer: &Result<T>) {
    use object_store::Error;
    let outcome = match answer {
        Ok(_) => "ok",
        Err(Error::NotFound { .. }) => "not_found",
        // What the caller asked for depends on what is there, and it is not so.
        Err(Error::AlreadyExists { .. } | Error::Precondition { .. } | Error::NotModified { .. }) => "refused",
        Err(_) => "failed",
    };
    metrics::histogram!("carrel_store_operation_duration_seconds", "operation" => operation, "outcome" => outcome)
        .record(began.elapsed().as_secs_f64());
}

fn read(bytes: u64) {
    metrics::counter!("carrel_store_bytes_total", "direction" => "read").increment(bytes);
}

fn written(bytes: usize) {
    metrics::counter!("carrel_store_bytes_total", "direction" => "written").increment(bytes as u64);
}

#[async_trait]
impl ObjectStore for Measured {
    async fn put_opts(&self, location: &Path, payload: PutPayload, options: PutOptions) -> Result<PutResult> {
        let (began, bytes) = (Instant::now(), payload.content_length());
        let answer = self.0.put_opts(location, payload, options).await;
        record("put", began, &answer);
        if answer.is_ok() {
            written(bytes);
        }
        answer
    }

    async fn put_multipart_opts(
        &self,
        location: &Path,
        options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        let began = Instant::now();
        let answer = self.0.put_multipart_opts(location, options).await;
        record("put_begin", began, &answer);
        Ok(Box::new(MeasuredUpload(answer?)))
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        let began = Instant::now();
        let head = options.head;
        let answer = self.0.get_opts(location, options).await;
        record(if head { "head" } else { "get" }, began, &answer);
        let mut found = answer?;
        if head {
            return Ok(found);
        }
        found.payload = match found.payload {
            GetResultPayload::Stream(parts) => {
                let count = |part: &Result<Bytes>| read(part.as_ref().map_or(0, Bytes::len) as u64);
                GetResultPayload::Stream(parts.inspect(count).boxed())
            }
            // A local file is read past us.
            file @ GetResultPayload::File(..) => {
                read(found.range.end - found.range.start);
                file
            }
        };
        Ok(found)
    }

    async fn get_ranges(&self, location: &Path, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        let began = Instant::now();
        let answer = self.0.get_ranges(location, ranges).await;
        record("get", began, &answer);
        if let Ok(parts) = &answer {
            read(parts.iter().map(|part| part.len() as u64).sum());
        }
        answer
    }

    fn delete_stream(&self, locations: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        let mut began = Instant::now();
        let count = move |answer: &Result<Path>| {
            record("delete", began, answer);
            began = Instant::now();
        };
        self.0.delete_stream(locations).inspect(count).boxed()
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.0.list(prefix)
    }

    fn list_with_offset(&self, prefix: Option<&Path>, offset: &Path) -> BoxStream<'static, Result<ObjectMeta>> {
        self.0.list_with_offset(prefix, offset)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        let began = Instant::now();
        let answer = self.0.list_with_delimiter(prefix).await;
        record("list", began, &answer);
        answer
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        let began = Instant::now();
        let answer = self.0.copy_opts(from, to, options).await;
        record("copy", began, &answer);
        answer
    }

    async fn rename_opts(&self, from: &Path, to: &Path, options: RenameOptions) -> Result<()> {
        let began = Instant::now();
        let answer = self.0.rename_opts(from, to, options).await;
        record("rename", began, &answer);
        answer
    }
}

#[derive(Debug)]
struct MeasuredUpload(Box<dyn MultipartUpload>);

#[async_trait]
impl MultipartUpload for MeasuredUpload {
    fn put_part(&mut self, payload: PutPayload) -> UploadPart {
        let (began, bytes) = (Instant::now(), payload.content_length());
        let part = self.0.put_part(payload);
        Box::pin(async move {
            let answer = part.await;
            record("put_part", began, &answer);
            if answer.is_ok() {
                written(bytes);
            }
            answer
        })
    }

    async fn complete(&mut self) -> Result<PutResult> {
        let began = Instant::now();
        let answer = self.0.complete().await;
        record("put_complete", began, &answer);
        answer
    }

    async fn abort(&mut self) -> Result<()> {
        let began = Instant::now();
        let answer = self.0.abort().await;
        record("put_abort", began, &answer);
        answer
    }
}
