//! The kinds of jobs: what each is called, where it runs, how long and how often it may.

use carrel_domain::digest::Digest;
use carrel_domain::job::{JobKind, QueueName};
use carrel_domain::{CollectionId, ErasureId, RunId, StepId, VersionId};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// Passages that one job embeds.
pub const EMBED_BATCH: u32 = 256;

/// Original to rendition and passages.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ExtractDocument {
    /// What to read.
    pub version: VersionId,
}

impl ExtractDocument {
    /// What was sent itself comes first: an archive with thousands of members lets others pass.
    pub const PRIORITY_OF_MEMBERS: i16 = 5;
}

impl JobKind for ExtractDocument {
    const KIND: &'static str = "document.extract";
    const QUEUE: QueueName = QueueName::Ingest;
    const MAX_ATTEMPTS: u16 = 4;
    const TIMEOUT: Duration = Duration::from_secs(300);
}

/// Screening of a collection by the policy that is in force now: one job for each version.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RescreenCollection {
    /// Whose versions.
    pub collection: CollectionId,
}

impl JobKind for RescreenCollection {
    const KIND: &'static str = "collection.rescreen";
    const QUEUE: QueueName = QueueName::Maintenance;
    const MAX_ATTEMPTS: u16 = 20;
    const TIMEOUT: Duration = Duration::from_secs(900);
}

/// Screening of a version that was screened before, or came before screening did.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RescreenDocument {
    /// Which one. Not named `version`: if this job gives up, the version is what it was.
    pub of: VersionId,
}

impl JobKind for RescreenDocument {
    const KIND: &'static str = "document.rescreen";
    const QUEUE: QueueName = QueueName::Ingest;
    const MAX_ATTEMPTS: u16 = 4;
    const TIMEOUT: Duration = Duration::from_secs(600);
    // New documents first.
    const PRIORITY: i16 = 20;
}

/// Vectors and postings of a short version, and its publication, in one go.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct IndexDocument {
    /// What to index.
    pub version: VersionId,
}

impl JobKind for IndexDocument {
    const KIND: &'static str = "document.index";
    const QUEUE: QueueName = QueueName::Ai;
    const MAX_ATTEMPTS: u16 = 8;
    const TIMEOUT: Duration = Duration::from_secs(300);
}

/// Vectors of some passages of a long version.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct EmbedPassages {
    /// Whose passages.
    pub version: VersionId,
    /// First ordinal.
    pub first: u32,
    /// One past the last ordinal.
    pub end: u32,
}

impl JobKind for EmbedPassages {
    const KIND: &'static str = "passages.embed";
    const QUEUE: QueueName = QueueName::Ai;
    const MAX_ATTEMPTS: u16 = 8;
    const TIMEOUT: Duration = Duration::from_secs(600);
    // Long documents let short ones pass.
    const PRIORITY: i16 = 10;
}

/// Postings and publication of a long version whose vectors are all there.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct PublishDocument {
    /// What to publish.
    pub version: VersionId,
}

impl JobKind for PublishDocument {
    const KIND: &'static str = "document.publish";
    const QUEUE: QueueName = QueueName::Ai;
    const MAX_ATTEMPTS: u16 = 8;
    const TIMEOUT: Duration = Duration::from_secs(600);
}

/// Removal of an original that no version refers to any more.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ReleaseOriginal {
    /// Its content address.
    pub sha256: Digest,
}

impl JobKind for ReleaseOriginal {
    const KIND: &'static str = "original.release";
    const QUEUE: QueueName = QueueName::Maintenance;
    const MAX_ATTEMPTS: u16 = 20;
    const TIMEOUT: Duration = Duration::from_secs(60);
}

/// Merging of a collection's small index segments.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct MergeSegments {
    /// Whose segments.
    pub collection: CollectionId,
}

impl JobKind for MergeSegments {
    const KIND: &'static str = "segments.merge";
    const QUEUE: QueueName = QueueName::Maintenance;
    const MAX_ATTEMPTS: u16 = 10;
    const TIMEOUT: Duration = Duration::from_secs(900);
}

/// Deletion of what a removed collection left, part by part.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ClearCollection {
    /// The removed collection.
    pub collection: CollectionId,
}

impl JobKind for ClearCollection {
    const KIND: &'static str = "collection.clear";
    const QUEUE: QueueName = QueueName::Maintenance;
    const MAX_ATTEMPTS: u16 = 20;
    // Every part is committed, so an attempt that runs out of time has not worked in vain.
    const TIMEOUT: Duration = Duration::from_secs(1_800);
}

/// Erasure of a document, with its proof.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct EraseDocument {
    /// The erasure.
    pub erasure: ErasureId,
}

impl JobKind for EraseDocument {
    const KIND: &'static str = "document.erase";
    const QUEUE: QueueName = QueueName::Maintenance;
    const MAX_ATTEMPTS: u16 = 20;
    // It reads every table in the end.
    const TIMEOUT: Duration = Duration::from_secs(3_600);
    // Somebody has a right to it.
    const PRIORITY: i16 = -10;
}

/// What a workspace needs now and then: old answers to repeated requests go, crowded indexes are merged.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct TidyWorkspace {}

impl TidyWorkspace {
    /// When it comes, in UTC.
    pub const SPEC: &str = "17 3 * * *";
}

impl JobKind for TidyWorkspace {
    const KIND: &'static str = "workspace.tidy";
    const QUEUE: QueueName = QueueName::Maintenance;
    const MAX_ATTEMPTS: u16 = 5;
    const TIMEOUT: Duration = Duration::from_secs(300);
    // Nobody waits for it.
    const PRIORITY: i16 = 50;
}

/// The beginning of a fixity check of the originals that are due; one of a workspace runs at a time.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct BeginFixity {}

impl JobKind for BeginFixity {
    const KIND: &'static str = "fixity.begin";
    const QUEUE: QueueName = QueueName::Maintenance;
    const MAX_ATTEMPTS: u16 = 5;
    const TIMEOUT: Duration = Duration::from_secs(60);
    const PRIORITY: i16 = 60;
}

/// Reading of originals that are due. It puts itself off now and then, and goes on with those that are still due.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct CheckFixity {}

impl JobKind for CheckFixity {
    const KIND: &'static str = "fixity.check";
    const QUEUE: QueueName = QueueName::Maintenance;
    const MAX_ATTEMPTS: u16 = 20;
    // What was read is recorded one by one, so an attempt that runs out of time has not worked in vain.
    const TIMEOUT: Duration = Duration::from_secs(3_600);
    const PRIORITY: i16 = 60;
}

/// Removal of what uploads left in the store that no version needs.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct CollectOrphans {}

impl JobKind for CollectOrphans {
    const KIND: &'static str = "store.collect";
    const QUEUE: QueueName = QueueName::Maintenance;
    const MAX_ATTEMPTS: u16 = 5;
    const TIMEOUT: Duration = Duration::from_secs(3_600);
    const PRIORITY: i16 = 60;
}

/// Vectors of a second index generation for the passages that lack one. It puts itself off now and then, and goes on with
/// what is still lacking.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct FillGeneration {
    /// Number of the generation.
    pub generation: i16,
}

impl JobKind for FillGeneration {
    const KIND: &'static str = "generation.fill";
    const QUEUE: QueueName = QueueName::Ai;
    const MAX_ATTEMPTS: u16 = 20;
    const TIMEOUT: Duration = Duration::from_secs(1_800);
    // What somebody waits for goes first.
    const PRIORITY: i16 = 40;
}

/// A question to its sub-questions.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct PlanResearch {
    /// The run.
    pub run: RunId,
}

impl JobKind for PlanResearch {
    const KIND: &'static str = "research.plan";
    const QUEUE: QueueName = QueueName::Ai;
    const MAX_ATTEMPTS: u16 = 5;
    const TIMEOUT: Duration = Duration::from_secs(120);
    // Somebody is watching.
    const PRIORITY: i16 = -10;
}

/// A sub-question to its evidence.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct GatherEvidence {
    /// The run.
    pub run: RunId,
    /// The sub-question.
    pub step: StepId,
}

impl JobKind for GatherEvidence {
    const KIND: &'static str = "research.gather";
    const QUEUE: QueueName = QueueName::Ai;
    const MAX_ATTEMPTS: u16 = 5;
    const TIMEOUT: Duration = Duration::from_secs(180);
    const PRIORITY: i16 = -10;
}

/// Evidence to claims with verified quotes.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct WriteReport {
    /// The run.
    pub run: RunId,
}

impl JobKind for WriteReport {
    const KIND: &'static str = "research.write";
    const QUEUE: QueueName = QueueName::Ai;
    const MAX_ATTEMPTS: u16 = 5;
    const TIMEOUT: Duration = Duration::from_secs(180);
    const PRIORITY: i16 = -10;
}
