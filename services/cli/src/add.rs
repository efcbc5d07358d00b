//! `carrel add`

use crate::output;
use anyhow::{Context, Result, bail};
use carrel_client::{Client, ClientError, UploadFields};
use carrel_domain::{CollectionId, JobId, VersionId};
use carrel_wire::{CollectionBody, DocumentBody, UploadBody, UploadOutcome, VersionBody};
use clap::{Args, ValueHint};
use futures::stream::{self, StreamExt};
use indicatif::ProgressBar;
use serde::Serialize;
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

/// Files that travel at the same time.
const PARALLEL: usize = 4;
/// Pauses between two looks at what is being read.
const FIRST_PAUSE: Duration = Duration::from_millis(20);
const LONGEST_PAUSE: Duration = Duration::from_millis(500);

#[derive(Args)]
pub(crate) struct Add {
    /// Files and folders. A folder is read with its subfolders; hidden files are left out. A document is known by its
    /// path below the folder that was named, so a file at the same place of a second folder is its next version.
    #[arg(required = true, value_hint = ValueHint::AnyPath)]
    paths: Vec<PathBuf>,
    /// Name of the collection; made when it does not exist.
    #[arg(long, short, default_value = "library")]
    collection: String,
    /// Wait until everything is searchable, members of archives and attachments of mails too.
    #[arg(long, short)]
    wait: bool,
}

/// A file with the name under which the server keeps it.
struct Source {
    path: PathBuf,
    external_id: String,
}

#[derive(Serialize)]
struct Line {
    path: PathBuf,
    #[serde(flatten)]
    result: Outcome,
}

#[derive(Serialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
enum Outcome {
    Created { document_id: String, version_id: String },
    Revised { document_id: String, version_id: String },
    Unchanged,
    Held { reason: String },
    Failed { reason: String },
}

impl Add {
    pub(crate) async fn run(&self, client: &Client, json: bool) -> Result<ExitCode> {
        let sources = self.sources()?;
        if sources.is_empty() {
            bail!("there is no file in what was named (hidden files are left out)");
        }
        let collection = collection(client, &self.collection).await?;
        let known = known(client, collection.id).await?;
        let bar = output::bar(sources.len() as u64, !json);
        bar.set_prefix("adding");
        let mut results: Vec<(&Source, Result<Option<UploadBody>>)> = Vec::with_capacity(sources.len());
        for round in rounds(&sources) {
            let uploads = stream::iter(round.into_iter().map(|source| {
                let (bar, known) = (&bar, &known);
                async move {
                    let result = send(client, collection.id, source, known).await;
                    bar.inc(1);
                    bar.set_message(source.external_id.clone());
                    (source, result)
                }
            }));
            results.extend(uploads.buffered(PARALLEL).collect::<Vec<_>>().await);
        }
        bar.finish_and_clear();

        let mut lines = Vec::with_capacity(results.len());
        let mut copies = 0;
        let mut jobs: Vec<(usize, JobId)> = Vec::new();
        for (source, result) in results {
            let result = match result {
                Ok(None) => Outcome::Unchanged,
                Ok(Some(body)) => {
                    jobs.extend(body.job_id.map(|job| (lines.len(), job)));
                    copies += usize::from(!body.same_bytes.is_empty());
                    outcome(&body)
                }
                Err(error) => Outcome::Failed { reason: reason(&error) },
            };
            lines.push(Line { path: source.path.clone(), result });
        }
        if self.wait {
            let archives = wait(client, &mut lines, &jobs, !json).await?;
            if !archives.is_empty() {
                lines.extend(wait_for_members(client, collection.id, &archives, !json).await?);
            }
        }
        report(&collection, &lines, copies, self.wait, json)
    }

    fn sources(&self) -> Result<Vec<Source>> {
        let mut sources = Vec::new();
        for path in &self.paths {
            let information = std::fs::metadata(path).with_context(|| format!("{} cannot be read", path.display()))?;
            if information.is_dir() {
                walk(path, path, &mut sources)?;
            } else {
                let name = path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned();
                sources.push(Source { path: path.clone(), external_id: name });
            }
        }
        Ok(sources)
    }
}

/// Files that become versions of one document must arrive in their order; all others may travel together.
fn rounds(sources: &[Source]) -> Vec<Vec<&Source>> {
    let mut rounds: Vec<Vec<&Source>> = Vec::new();
    let mut seen: HashMap<&str, usize> = HashMap::new();
    for source in sources {
        let round = seen.entry(&source.external_id).or_default();
        if rounds.len() <= *round {
            rounds.push(Vec::new());
        }
        rounds[*round].push(source);
        *round += 1;
    }
    rounds
}

fn walk(root: &Path, folder: &Path, sources: &mut Vec<Source>) -> Result<()> {
    let read = std::fs::read_dir(folder).with_context(|| format!("{} cannot be read", folder.display()))?;
    let mut entries = read.collect::<Result<Vec<_>, _>>()?;
    // The same folder gives the same order, so a revised file follows the one that it revises.
    entries.sort_by_key(std::fs::DirEntry::file_name);
    for entry in entries {
        if entry.file_name().to_string_lossy().starts_with('.') {
            continue;
        }
        let path = entry.path();
        let kind = entry.file_type()?;
        if kind.is_dir() {
            walk(root, &path, sources)?;
        } else if kind.is_file() {
            let below = path.strip_prefix(root).unwrap_or(&path).to_string_lossy().into_owned();
            sources.push(Source { path, external_id: below });
        }
    }
    Ok(())
}

/// The collection of that name, made when there is none.
pub(crate) async fn collection(client: &Client, name: &str) -> Result<CollectionBody> {
    if let Some(found) = client.collections(Some(name)).await?.pop() {
        return Ok(found);
    }
    match client.create_collection(name).await {
        // Somebody else made it at the same moment.
        Err(error) if error.code() == Some("name_taken") => {
            client.collections(Some(name)).await?.pop().ok_or_else(|| error.into())
        }
        result => Ok(result?),
    }
}

/// Digests of the newest versions, by external id: what is there already is not sent again.
async fn known(client: &Client, collection: CollectionId) -> Result<HashMap<String, String>> {
    let documents = client.documents(collection).await?;
    // What could not be read may be readable now, and the same bytes heal an original that was damaged.
    let fine = documents.into_iter().filter(|document| {
        let is_sound = document.latest.fixity.as_ref().is_none_or(|fixity| fixity.verdict == "sound");
        document.latest.state != "failed" && is_sound
    });
    Ok(fine.map(|document| (document.external_id, document.latest.sha256)).collect())
}

async fn send(
    client: &Client,
    collection: CollectionId,
    source: &Source,
    known: &HashMap<String, String>,
) -> Result<Option<UploadBody>> {
    if let Some(digest) = known.get(&source.external_id) {
        let path = source.path.clone();
        let found = tokio::task::spawn_blocking(move || sha256(&path)).await??;
        if found == *digest {
            return Ok(None);
        }
    }
    let file_name = source.path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let external_id = Some(source.external_id.clone());
    let fields = UploadFields { file_name, external_id, ..UploadFields::default() };
    Ok(Some(client.upload_file(collection, &source.path, fields).await?))
}

fn sha256(path: &Path) -> Result<String> {
    let mut file = std::fs::File::open(path).with_context(|| format!("{} cannot be read", path.display()))?;
    let mut digest = Sha256::new();
    let mut buffer = vec![0; 1 << 16];
    loop {
        let length = file.read(&mut buffer)?;
        if length == 0 {
            break;
        }
        digest.update(&buffer[..length]);
    }
    Ok(digest.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
}

fn outcome(body: &UploadBody) -> Outcome {
    let (document_id, version_id) = (body.document_id.to_string(), body.version_id.to_string());
    match body.outcome {
        UploadOutcome::Created => Outcome::Created { document_id, version_id },
        UploadOutcome::Revised => Outcome::Revised { document_id, version_id },
        UploadOutcome::Unchanged => Outcome::Unchanged,
    }
}

fn reason(error: &anyhow::Error) -> String {
    match error.downcast_ref::<ClientError>() {
        Some(ClientError::Problem(problem)) => format!("{} ({})", problem.detail, problem.code),
        _ => format!("{error:#}"),
    }
}

/// Waits for versions rather than for jobs: a version is done when it answers, whatever jobs that takes. Answers the
/// versions inside of which documents were found.
async fn wait(client: &Client, lines: &mut [Line], jobs: &[(usize, JobId)], shown: bool) -> Result<Vec<VersionId>> {
    let bar: ProgressBar = output::bar(jobs.len() as u64, shown);
    bar.set_prefix("reading");
    let mut archives = Vec::new();
    for (index, _) in jobs {
        let (Outcome::Created { version_id, .. } | Outcome::Revised { version_id, .. }) = &lines[*index].result else {
            continue;
        };
        let version: VersionId = version_id.parse()?;
        bar.set_message(lines[*index].path.display().to_string());
        let mut pause = FIRST_PAUSE;
        loop {
            match client.version(version).await {
                Ok(page) => {
                    if page.version.members.is_some_and(|members| members > 0) && !archives.contains(&version) {
                        archives.push(version);
                    }
                    if page.version.state == "searchable" {
                        break;
                    }
                    if let Some(end) = ended(&page.version) {
                        lines[*index].result = end;
                        break;
                    }
                }
                Err(error) if error.code() == Some("not_found") => {
                    lines[*index].result = Outcome::Failed { reason: "it was deleted meanwhile".to_owned() };
                    break;
                }
                Err(error) => return Err(error.into()),
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
        bar.inc(1);
    }
    bar.finish_and_clear();
    Ok(archives)
}

/// What a version came to that will not be searchable by itself.
fn ended(version: &VersionBody) -> Option<Outcome> {
    match version.state.as_str() {
        "quarantined" => Some(Outcome::Held {
            reason: format!("screening holds it for a reviewer (carrel screening report {})", version.document_id),
        }),
        "rejected" => Some(Outcome::Failed { reason: "a reviewer has rejected these bytes".to_owned() }),
        "failed" => {
            let failure = version.failure.as_ref();
            let reason = failure.map_or_else(String::new, |f| format!("{} ({})", f.message, f.code));
            Some(Outcome::Failed { reason })
        }
        _ => None,
    }
}

/// Waits for what was found inside of `archives`, at all depths. Answers a line for each document that did not become
/// searchable.
async fn wait_for_members(
    client: &Client,
    collection: CollectionId,
    archives: &[VersionId],
    shown: bool,
) -> Result<Vec<Line>> {
    let came_with = |document: &DocumentBody| {
        let upload = document.metadata.get("found_in").and_then(|found| found.get("upload")?.as_str()?.parse().ok());
        upload.is_some_and(|upload: VersionId| archives.contains(&upload))
    };
    let bar = output::bar(0, shown);
    bar.set_prefix("members");
    let mut pause = FIRST_PAUSE;
    loop {
        let mut waiting = 0;
        for state in ["received", "extracted"] {
            let found = client.documents_in_state(collection, state).await?;
            waiting += found.iter().filter(|document| came_with(document)).count() as u64;
        }
        // What is read now may hold further ones.
        bar.set_length(bar.length().unwrap_or(0).max(waiting));
        bar.set_position(bar.length().unwrap_or(0) - waiting);
        if waiting == 0 {
            break;
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE * 4);
    }
    bar.finish_and_clear();
    let mut lines = Vec::new();
    for state in ["failed", "quarantined", "rejected"] {
        for document in client.documents_in_state(collection, state).await?.iter().filter(|found| came_with(found)) {
            if let Some(result) = ended(&document.latest) {
                lines.push(Line { path: document.external_id.clone().into(), result });
            }
        }
    }
    Ok(lines)
}

fn report(collection: &CollectionBody, lines: &[Line], copies: usize, waited: bool, json: bool) -> Result<ExitCode> {
    let count = |wanted: fn(&Outcome) -> bool| lines.iter().filter(|line| wanted(&line.result)).count();
    let created = count(|outcome| matches!(outcome, Outcome::Created { .. }));
    let revised = count(|outcome| matches!(outcome, Outcome::Revised { .. }));
    let unchanged = count(|outcome| matches!(outcome, Outcome::Unchanged));
    let held = count(|outcome| matches!(outcome, Outcome::Held { .. }));
    let failed = count(|outcome| matches!(outcome, Outcome::Failed { .. }));
    if json {
        output::json(&serde_json::json!({
            "collection_id": collection.id,
            "created": created, "revised": revised, "unchanged": unchanged, "held": held, "failed": failed,
            "copies": copies, "files": lines,
        }))?;
    } else {
        for line in lines {
            if let Outcome::Failed { reason } | Outcome::Held { reason } = &line.result {
                eprintln!("{}: {reason}", line.path.display());
            }
        }
        let mut words = vec![format!("{created} new, {revised} new versions, {unchanged} unchanged")];
        words.extend((held > 0).then(|| format!("{held} held for a reviewer")));
        words.extend((failed > 0).then(|| format!("{failed} failed")));
        let words = words.join(", ");
        let end = match (waited, held + failed) {
            (false, _) => "; they are being read (see `carrel jobs`)",
            (true, 0) => ", all searchable",
            (true, _) => "; the others are searchable",
        };
        println!("{}: {words}{end}", collection.name);
        if copies > 0 {
            println!("{copies} have the same bytes as other documents (`carrel show ID --duplicates`)");
        }
    }
    Ok(if failed + held > 0 { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}
