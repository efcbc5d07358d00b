//! Between extraction and passages: what was found in a rendition, and what may be seen of it.

use crate::{Pipeline, breaches, compute, from_operation};
use carrel_domain::archive::DocumentVersion;
use carrel_domain::digest::Digest;
use carrel_domain::text::Rendition;
use carrel_domain::{CollectionId, VersionId, WorkspaceId};
use carrel_operations::screening::effective;
use carrel_operations::{OperationError, Screening};
use carrel_queue::{JobContext, JobError};
use carrel_screening::dataset::{self, Format, PasswordOracle, Settings};
use carrel_screening::report::{DocumentReport, Report};
use carrel_screening::{Action, Decision, Kind, Policy, Release, Scanner, Screened, Verdict, WorkspaceKey};
use carrel_storage::Transaction;
use carrel_storage::screening::{self, Finding, NewScreening};
use serde_json::Value;
use std::fs::File;
use std::io::{Read, Seek};
use std::path::{Path, PathBuf};
use std::time::Instant;

/// Findings of one version that are stored; all of them count, and all of them are hidden.
const STORED: usize = 20_000;
/// Bytes of a data set by which its format is told.
const SAMPLE: u64 = 64 << 10;
/// Originals that are profiled row by row.
const DATA_SETS: [&str; 6] = [
    "text/csv",
    "text/tab-separated-values",
    "application/json",
    "application/x-ndjson",
    "application/ndjson",
    "application/jsonl",
];

/// By what a version is screened.
#[derive(Clone, Debug)]
pub(crate) struct Rules {
    policy: Policy,
    release: Option<Release>,
}

/// What screening made of a version.
pub(crate) struct Outcome {
    /// What may be seen; as many code points as what was extracted.
    pub(crate) rendition: Rendition,
    /// The title that came with the upload, where something in it must be hidden.
    pub(crate) uploaded_title: Option<String>,
    /// What to store.
    pub(crate) screening: NewScreening,
    /// True when a reviewer must look first.
    pub(crate) held: bool,
}

/// What is screened.
pub(crate) struct Subject<'a> {
    pub(crate) version: &'a DocumentVersion,
    pub(crate) collection: CollectionId,
    pub(crate) rendition: Rendition,
    /// A copy of the original.
    pub(crate) path: PathBuf,
}

/// The rules for a version: its collection's policy, and what a reviewer said.
pub(crate) async fn rules(
    transaction: &mut Transaction,
    collection: CollectionId,
    version: VersionId,
) -> Result<Rules, JobError> {
    let policy = effective(transaction, Some(collection)).await.map_err(from_operation)?;
    let review = screening::get(transaction, version).await?;
    let release = review
        .filter(|known| known.review.as_deref() == Some("released"))
        .map(|known| if known.review_as.as_deref() == Some("plain") { Release::Plain } else { Release::Masked });
    Ok(Rules { policy, release })
}

impl Pipeline {
    /// Screens what was extracted. Memory: the text, and for a data set what [`dataset::screen`] needs.
    pub(crate) async fn screen(&self, cx: &JobContext, subject: Subject<'_>) -> Result<Outcome, JobError> {
        let started = Instant::now();
        let version = subject.version.id;
        let mut transaction = cx.begin().await?;
        let rules = rules(&mut transaction, subject.collection, version).await?;
        transaction.rollback().await?;
        let service = self.0.operations.screening.clone();
        let workspace = cx.job().workspace;
        let uploaded = subject.version.title.clone();
        let (rendition, path) = (subject.rendition, subject.path);
        let media_type = rendition.media_type.clone();
        let decided = {
            let (service, policy) = (service.clone(), rules.clone());
            compute(move || decide(&service, workspace, &policy, rendition, uploaded.as_deref())).await?
        };
        let mut decided = decided.map_err(from_operation)?;
        cx.check_cancelled()?;
        let asked = self.breaches(cx);
        if DATA_SETS.contains(&media_type.as_str()) {
            let oracle = asked.as_ref().and_then(breaches::Asking::passwords);
            let profile = compute(move || profile(&service, workspace, &path, oracle.as_ref())).await?;
            match profile {
                Ok((value, markdown)) => {
                    decided.screening.dataset = Some(value);
                    decided.screening.dataset_markdown = Some(markdown);
                }
                Err(problem) => decided.screening.dataset_problem = Some(problem),
            }
        }
        if let Some(asked) = asked {
            asked.accounts(cx, &decided.addresses).await?;
            decided.screening.breaches = asked.answer();
        }
        decided.screening.version = version;
        decided.screening.now = cx.operation().now;
        measure(&decided.screening, started);
        let held = decided.verdict.is_held();
        let Decided { rendition, uploaded_title, screening, .. } = decided;
        Ok(Outcome { rendition, uploaded_title, screening, held })
    }
}

fn measure(screening: &NewScreening, started: Instant) {
    metrics::histogram!("carrel_screening_duration_seconds").record(started.elapsed().as_secs_f64());
    metrics::counter!("carrel_screening_versions_total", "verdict" => screening.verdict).increment(1);
    for line in screening.kinds.as_array().into_iter().flatten() {
        let text = |name: &str| line[name].as_str().unwrap_or_default().to_owned();
        metrics::counter!("carrel_screening_findings_total", "category" => text("category"), "action" => text("action"))
            .increment(line["count"].as_u64().unwrap_or(0));
    }
}

/// [`Outcome`] with what must not outlive the screening.
struct Decided {
    rendition: Rendition,
    uploaded_title: Option<String>,
    verdict: Verdict,
    screening: NewScreening,
    addresses: Vec<String>,
}

fn decide(
    service: &Screening,
    workspace: WorkspaceId,
    rules: &Rules,
    mut rendition: Rendition,
    uploaded: Option<&str>,
) -> Result<Decided, OperationError> {
    let scanner = service.scanner()?;
    let keyed = service.key.is_some();
    // Without a key of the instance, values are still told apart within the version.
    let key =
        service.key.as_ref().map_or_else(|| WorkspaceKey::new(rand_key(workspace)), |key| key.for_workspace(workspace));
    let text = apply(scanner, &key, rules, &rendition.text);
    let redactor = text.redactor(&rendition.text)?;
    let addresses = addresses(&rendition.text, &text);
    let mut all = text.decisions.clone();
    let mut places = vec!["text"; all.len()];
    let mut verdict = text.verdict;
    let mut hide = |title: &str, all: &mut Vec<Decision>| {
        let found = apply(scanner, &key, rules, title);
        verdict = verdict.max(found.verdict);
        places.extend(std::iter::repeat_n("title", found.decisions.len()));
        all.extend(found.decisions);
        redactor.redact(found.masked.as_deref().unwrap_or(title))
    };
    let uploaded_title = uploaded.map(|title| hide(title, &mut all));
    rendition.title = rendition
        .title
        .map(|title| if Some(title.as_str()) == uploaded { redactor.redact(&title) } else { hide(&title, &mut all) });
    for section in &mut rendition.map.sections {
        // Headings repeat the text; what is hidden there is hidden here, and what they alone reveal as well.
        let alone = apply(scanner, &key, rules, &section.heading);
        section.heading = redactor.redact(alone.masked.as_deref().unwrap_or(&section.heading));
    }
    for warning in &mut rendition.warnings {
        *warning = redactor.redact(warning);
    }
    if let Some(masked) = text.masked {
        rendition.text = masked;
    }
    let screening = stored(rules, verdict, &all, &places, keyed)?;
    let uploaded_title = uploaded_title.filter(|title| Some(title.as_str()) != uploaded);
    Ok(Decided { rendition, uploaded_title, verdict, screening, addresses })
}

/// A key for digests that nobody keeps or compares.
fn rand_key(workspace: WorkspaceId) -> [u8; 32] {
    let mut key = [0; 32];
    key[..16].copy_from_slice(workspace.0.as_bytes());
    key
}

fn apply(scanner: &Scanner, key: &WorkspaceKey, rules: &Rules, text: &str) -> Screened {
    let screened = rules.policy.apply(text, scanner.detect(text, key));
    match rules.release {
        Some(release) => screened.released(text, release),
        None => screened,
    }
}

/// The different e-mail addresses of a text, in order.
fn addresses(text: &str, screened: &Screened) -> Vec<String> {
    let mut seen = std::collections::BTreeSet::new();
    let mut found = Vec::new();
    let index = carrel_text::CharIndex::new(text);
    for decision in screened.decisions.iter().filter(|decision| decision.detection.kind == Kind::EMAIL) {
        if seen.insert(decision.detection.digest)
            && let Some(address) = index.slice(decision.detection.span)
        {
            found.push(address.to_owned());
        }
    }
    found
}

fn stored(
    rules: &Rules,
    verdict: Verdict,
    all: &[Decision],
    places: &[&str],
    keyed: bool,
) -> Result<NewScreening, OperationError> {
    let internal = |error: serde_json::Error| OperationError::Internal(error.to_string());
    let sums = DocumentReport::new("", "", &Screened { verdict, decisions: all.to_vec(), masked: None });
    let findings = all.iter().zip(places).take(STORED).zip(0..).map(|((decision, place), ordinal)| {
        let found = &decision.detection;
        Finding {
            ordinal,
            place: (*place).to_owned(),
            kind: found.kind.id().to_owned(),
            category: found.category.as_str().to_owned(),
            severity: found.severity.as_str().to_owned(),
            action: decision.action.as_str().to_owned(),
            confidence: found.confidence,
            validated: found.validated,
            span: found.span,
            mask: found.mask.clone(),
            digest: keyed.then(|| Digest(*found.digest.as_bytes())),
        }
    });
    Ok(NewScreening {
        version: VersionId(uuid::Uuid::nil()),
        verdict: verdict.as_str(),
        policy: serde_json::to_value(&rules.policy).map_err(internal)?,
        kinds: serde_json::to_value(&sums.kinds).map_err(internal)?,
        total: u32::try_from(all.len()).unwrap_or(u32::MAX),
        findings: findings.collect(),
        dataset: None,
        dataset_markdown: None,
        dataset_problem: None,
        breaches: None,
        now: chrono::DateTime::UNIX_EPOCH,
    })
}

/// The profile of a data set, read once from its original; or why there is none.
fn profile(
    service: &Screening,
    workspace: WorkspaceId,
    path: &Path,
    oracle: Option<&breaches::Passwords>,
) -> Result<(Value, String), String> {
    let run = || -> Result<(Value, String), OperationError> {
        let unreadable = |error: std::io::Error| OperationError::Screening(error.into());
        let mut file = File::open(path).map_err(unreadable)?;
        let mut sample = Vec::new();
        file.by_ref().take(SAMPLE).read_to_end(&mut sample).map_err(unreadable)?;
        file.rewind().map_err(unreadable)?;
        let mut settings = Settings::new(Format::sniff(&sample));
        settings.scratch = path.parent().map(Path::to_owned);
        let key = service
            .key
            .as_ref()
            .map_or_else(|| WorkspaceKey::new(rand_key(workspace)), |key| key.for_workspace(workspace));
        let oracle = oracle.map(|oracle| oracle as &dyn PasswordOracle);
        let report = dataset::screen(file, &settings, service.scanner()?, &key, oracle)?;
        let value = serde_json::to_value(&report).map_err(|error| OperationError::Internal(error.to_string()))?;
        Ok((value, report.markdown()))
    };
    run().map_err(|error| error.to_string())
}

/// The gravest action that a verdict stands for, in the words of an audit entry.
pub(crate) fn action_of(verdict: &str) -> Option<&'static str> {
    match verdict {
        "held" => Some(Action::Hold.as_str()),
        "masked" => Some(Action::Mask.as_str()),
        _ => None,
    }
}
