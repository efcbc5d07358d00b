//! The database: a dump, or a copy of the cluster and its log.

use crate::create::Source;
use crate::error::{BackupError, io};
use crate::manifest::{Chunks, DatabasePart, Kind, Method, Segment, Table};
use crate::pgbackrest;
use crate::programs::{self, Output};
use crate::repository::{Cover, Repository, Stored, off_thread};
use carrel_storage::backup::{ServerFacts, TableDepth};
use std::path::PathBuf;

/// The replication slot that keeps the log until it is fetched.
const SLOT: &str = "carrel_backup";
/// Bytes of a segment of the log, unless the cluster was made with others.
const SEGMENT_DIGITS: usize = 24;

/// Copies the database as `method` says. `previous` is the last backup's part, from which an incremental one goes on.
pub(crate) async fn copy(
    repository: &Repository,
    stored: &Stored,
    source: &Source<'_>,
    kind: Kind,
    method: Method,
    previous: Option<DatabasePart>,
) -> Result<Option<(Kind, DatabasePart)>, BackupError> {
    // Then the services' login does as well, which may not ask for more.
    if method == Method::None {
        return Ok(None);
    }
    let facts = source.owner.server_facts().await?;
    match method {
        Method::None => Ok(None),
        Method::Dump => Ok(Some((kind, dump(repository, stored, source, kind, facts).await?))),
        Method::Base => {
            let goes_on = previous
                .filter(|part| kind == Kind::Incremental && part.method == Method::Base && part.system == facts.system);
            if let Some(previous) = goes_on
                && let Some(part) = log(repository, stored, source, previous).await?
            {
                return Ok(Some((Kind::Incremental, part)));
            }
            Ok(Some((Kind::Full, base(repository, stored, source, facts).await?)))
        }
        Method::PgBackRest => {
            let made = pgbackrest::backup(source, kind).await?;
            // What was committed when it began is in it for sure.
            let nothing = repository.put_stream(stored, std::io::empty(), Cover::Sealed).await?;
            let part = part(Method::PgBackRest, facts, nothing);
            let part = DatabasePart { base_at: made.reaches_back_to, outside: Some(made.outside), ..part };
            Ok(Some((made.kind, part)))
        }
    }
}

async fn dump(
    repository: &Repository,
    stored: &Stored,
    source: &Source<'_>,
    kind: Kind,
    facts: ServerFacts,
) -> Result<DatabasePart, BackupError> {
    let program = source.programs.find("pg_dump", facts.version)?;
    let mut snapshot = source.owner.snapshot().await?;
    let facts = source.owner.server_facts().await.map(|now| ServerFacts { now: facts.now, ..now })?;
    let mut command = programs::command(&program, source.url);
    // Compressed by chunk: what is equal stays equal.
    command.args(["--format=custom", "--compress=none"]);
    command.arg(format!("--snapshot={}", snapshot.name));
    let content = repository.put_stream(stored, Output::of(command)?, Cover::Sealed).await?;
    let depth = if kind == Kind::Full { TableDepth::Digests } else { TableDepth::Rows };
    let tables = snapshot.tables(depth).await?;
    snapshot.end().await?;
    let tables = tables.into_iter().map(|table| Table { name: table.name, rows: table.rows, digest: table.digest });
    Ok(DatabasePart { tables: tables.collect(), ..part(Method::Dump, facts, content) })
}

fn part(method: Method, facts: ServerFacts, content: Chunks) -> DatabasePart {
    DatabasePart {
        method,
        server: facts.version,
        system: facts.system,
        migration: facts.migration,
        lsn: facts.lsn,
        at: facts.now,
        content,
        base_at: None,
        base_segment: None,
        log: Vec::new(),
        tables: Vec::new(),
        outside: None,
    }
}

/// A copy of the whole cluster, and its log until after it.
async fn base(
    repository: &Repository,
    stored: &Stored,
    source: &Source<'_>,
    facts: ServerFacts,
) -> Result<DatabasePart, BackupError> {
    let program = source.programs.find("pg_basebackup", facts.version)?;
    source.owner.drop_lost_slot(SLOT).await?;
    // From here on the server keeps what is not fetched.
    source.owner.ensure_slot(SLOT).await?;
    let begun = source.owner.server_facts().await?;
    let mut command = programs::command(&program, source.url);
    command.args(["--pgdata=-", "--format=tar", "--wal-method=fetch", "--checkpoint=fast", "--no-sync"]);
    command.args(["--manifest-checksums=sha256", "--label=carrel"]);
    let content = repository.put_stream(stored, Output::of(command)?, Cover::Sealed).await?;
    let ended = source.owner.server_facts().await?;
    let copied = DatabasePart {
        base_at: Some(ended.now),
        base_segment: Some(begun.segment),
        ..part(Method::Base, ended, content)
    };
    log(repository, stored, source, copied).await?.ok_or_else(|| BackupError::Program {
        program: "pg_receivewal".to_owned(),
        said: format!("the log since the copy began is not all there: drop the slot {SLOT} and run it again"),
    })
}

/// Fetches the log since the last backup; `None` when some of it is gone, so that only a new copy helps.
async fn log(
    repository: &Repository,
    stored: &Stored,
    source: &Source<'_>,
    mut part: DatabasePart,
) -> Result<Option<DatabasePart>, BackupError> {
    let facts = source.owner.server_facts().await?;
    let (end, last) = source.owner.end_segment().await?;
    let program = source.programs.find("pg_receivewal", facts.version)?;
    std::fs::create_dir_all(source.spool).map_err(io(format!("{} cannot be made", source.spool.display())))?;
    let mut command = programs::command(&program, source.url);
    command
        .arg("--directory")
        .arg(source.spool)
        .args(["--slot", SLOT, "--no-loop"])
        .arg(format!("--endpos={}", before_next(&end)));
    match off_thread(move || programs::run(command)).await {
        Ok(()) => {}
        Err(BackupError::Program { said, .. }) if said.contains(SLOT) || said.contains("requested WAL segment") => {
            tracing::warn!(said, "the log since the last backup is gone; a full one is made");
            return Ok(None);
        }
        Err(other) => return Err(other),
    }
    for (name, path) in segments(source)? {
        let known = part.log.last().map(|segment| segment.name.clone());
        let expected = known.as_deref().and_then(next_segment);
        let base = part.base_segment.clone().unwrap_or_default();
        if known.as_ref().is_some_and(|known| *known >= name) || name < base {
            continue;
        }
        if expected.unwrap_or(base) != name {
            tracing::warn!(segment = name, "the log has a gap; a full backup is made");
            return Ok(None);
        }
        let file = std::fs::File::open(&path).map_err(io(format!("{} cannot be read", path.display())))?;
        let content = repository.put_stream(stored, file, Cover::Sealed).await?;
        part.log.push(Segment { name, content });
    }
    if part.log.last().is_none_or(|segment| segment.name < last) {
        return Err(BackupError::Program {
            program: "pg_receivewal".to_owned(),
            said: format!("it ended before segment {last} of the log was there"),
        });
    }
    (part.at, part.lsn, part.migration) = (facts.now, end, facts.migration);
    Ok(Some(part))
}

/// The finished segments that wait here, oldest first. A restored server writes on another timeline, and begins anew.
fn segments(source: &Source<'_>) -> Result<Vec<(String, PathBuf)>, BackupError> {
    let failed = || io(format!("{} cannot be read", source.spool.display()));
    let mut found = Vec::new();
    for entry in std::fs::read_dir(source.spool).map_err(failed())? {
        let entry = entry.map_err(failed())?;
        if let Some(name) = entry.file_name().to_str().filter(|name| is_segment(name)) {
            found.push((name.to_owned(), entry.path()));
        }
    }
    found.sort();
    Ok(found)
}

/// Removes the segments that a stored backup holds.
pub(crate) fn clear_spool(source: &Source<'_>, part: &DatabasePart) -> Result<(), BackupError> {
    let Some(last) = part.log.last() else { return Ok(()) };
    for (name, path) in segments(source)? {
        if name <= last.name {
            std::fs::remove_file(&path).map_err(io(format!("{} cannot be removed", path.display())))?;
        }
    }
    Ok(())
}

/// The last position of a segment of 16 MiB: pg_receivewal goes on until it is past that, so that the segment is finished.
fn before_next(lsn: &str) -> String {
    const SEGMENT: u64 = 16 << 20;
    let read = |part: &str| u64::from_str_radix(part, 16).ok();
    let position = lsn.split_once('/').and_then(|(high, low)| Some((read(high)? << 32) + read(low)?));
    let last = position.unwrap_or_default().div_ceil(SEGMENT).max(1) * SEGMENT - 1;
    format!("{:X}/{:X}", last >> 32, last & 0xFFFF_FFFF)
}

fn is_segment(name: &str) -> bool {
    name.len() == SEGMENT_DIGITS && name.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// The segment after this one, of 16 MiB each: 256 of them make a number of the middle part.
pub(crate) fn next_segment(name: &str) -> Option<String> {
    let (timeline, number) = (name.get(..8)?, name.get(8..)?);
    let (high, low) =
        (u64::from_str_radix(number.get(..8)?, 16).ok()?, u64::from_str_radix(number.get(8..)?, 16).ok()?);
    let next = high * 256 + low + 1;
    Some(format!("{timeline}{:08X}{:08X}", next / 256, next % 256))
}

#[cfg(test)]
mod tests {
    use super::{before_next, is_segment, next_segment};

    #[test]
    fn segments_follow_each_other() {
        for (name, next) in [
            ("000000010000000000000003", "000000010000000000000004"),
            ("0000000100000000000000FF", "000000010000000100000000"),
        ] {
            assert_eq!(next_segment(name).as_deref(), Some(next));
            assert!(is_segment(name));
        }
        assert!(!is_segment("000000010000000000000003.partial"));
        for (lsn, last) in [("0/4000178", "0/4FFFFFF"), ("1/FF000028", "1/FFFFFFFF"), ("2/0", "1/FFFFFFFF")] {
            assert_eq!(before_next(lsn), last);
        }
    }
}
