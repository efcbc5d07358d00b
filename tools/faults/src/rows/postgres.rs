//! PostgreSQL that dies, is replaced by its replica, drops its connections, has none left, or no room.

use super::PATIENCE;
use crate::lab::{OWNER, SERVICE};
use crate::servers::Door;
use crate::stage::Stage;
use anyhow::{Context, Result, ensure};
use chrono::Utc;
use sqlx::postgres::PgConnectOptions;
use sqlx::{AssertSqlSafe, Connection, PgConnection};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::str::FromStr;
use std::time::{Duration, Instant};

async fn begin(stage: &mut Stage) -> Result<()> {
    stage.report.allowed_s = Some(5.0);
    stage.hire_all()?;
    let count = stage.size(1500, 200) * stage.plan.workers.min(2);
    stage.effects(count, 20).await?;
    stage.until_started(8, Duration::from_secs(30)).await
}

async fn finish(stage: &mut Stage) -> Result<()> {
    stage.settle(PATIENCE).await?;
    stage.all_stayed_alive();
    Ok(())
}

pub(super) async fn restart(stage: &mut Stage) -> Result<()> {
    begin(stage).await?;
    for _ in 0..stage.size(3, 1) {
        stage.pause(200, 800).await;
        let begun = Utc::now();
        stage.lab.postgres.stop().await?;
        stage.pause(500, 2500).await;
        stage.lab.postgres.up().await?;
        let before = crate::events::read(&stage.folder)?.len();
        stage.injured_from(begun);
        stage.effects(200, 20).await?;
        // The next stop would count as this one's recovery.
        stage.until_started(before + 1, Duration::from_secs(30)).await?;
    }
    finish(stage).await
}

async fn terminate(stage: &Stage, whom: &str) -> Result<()> {
    let statement = format!(
        "select count(pg_terminate_backend(a.pid)) from pg_stat_activity a where a.datname = current_database() and {whom}"
    );
    let _: i64 = sqlx::query_scalar(AssertSqlSafe(statement)).fetch_one(&stage.owner).await?;
    Ok(())
}

pub(super) async fn disconnect(stage: &mut Stage) -> Result<()> {
    begin(stage).await?;
    for _ in 0..stage.size(8, 3) {
        stage.pause(100, 500).await;
        terminate(stage, "a.pid <> pg_backend_pid()").await?;
        stage.injured();
        stage.effects(20, 10).await?;
    }
    finish(stage).await
}

pub(super) async fn exhausted(stage: &mut Stage) -> Result<()> {
    begin(stage).await?;
    for _ in 0..stage.size(2, 1) {
        stage.pause(200, 800).await;
        // What they hold is taken away, and then every other place.
        let begun = Utc::now();
        terminate(stage, "a.usename = 'carrel_service'").await?;
        let options = PgConnectOptions::from_str(&stage.lab.postgres.url(SERVICE, "postgres"))?;
        let mut hoard = Vec::new();
        let until = Instant::now() + Duration::from_secs(5);
        while Instant::now() < until {
            match PgConnection::connect_with(&options).await {
                Ok(connection) => hoard.push(connection),
                // Whatever a worker gives up is taken as well.
                Err(_) => {
                    terminate(stage, "a.usename = 'carrel_service'").await?;
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            }
        }
        let taken = hoard.len();
        stage.check(taken > 30, || format!("only {taken} connections were taken"));
        for connection in hoard {
            connection.close().await?;
        }
        stage.injured_from(begun);
        stage.effects(100, 10).await?;
    }
    finish(stage).await
}

/// A replica that has confirmed every flushed commit takes over from a primary that ends at once.
pub(super) async fn fail_over(stage: &mut Stage) -> Result<()> {
    let folder = stage.lab.folder().join("replica");
    let replica = stage.lab.postgres.replica(&folder).await?;
    let door = Door::open(stage.lab.postgres.port()).await?;
    stage.pass_through(door.port()).await?;
    // A commit that was confirmed is then on both.
    await_replica(stage, "'*'").await?;
    begin(stage).await?;
    stage.pause(200, 800).await;
    let begun = Utc::now();
    stage.lab.postgres.stop().await?;
    stage.pause(100, 1500).await;
    let mut promoting = PgConnection::connect(&replica.url(OWNER, "postgres")).await?;
    sqlx::query("select pg_promote()").execute(&mut promoting).await?;
    sqlx::query("alter system reset synchronous_standby_names").execute(&mut promoting).await?;
    sqlx::query("select pg_reload_conf()").execute(&mut promoting).await?;
    promoting.close().await?;
    door.lead_to(replica.port());
    stage.injured_from(begun);
    stage.effects(200, 20).await?;
    let ended = finish(stage).await;
    // The next row finds the old one as it was; what it has of this row is dropped with the row.
    stage.lab.postgres.up().await?;
    let mut old = stage.lab.superuser().await?;
    sqlx::query("alter system reset synchronous_standby_names").execute(&mut old).await?;
    sqlx::query("select pg_reload_conf()").execute(&mut old).await?;
    old.close().await?;
    replica.stop().await?;
    std::fs::remove_dir_all(&folder).context("the replica cannot be removed")?;
    ended
}

/// Commits wait for these replicas from now on, and one of them streams.
async fn await_replica(stage: &Stage, names: &str) -> Result<()> {
    let statement = format!("alter system set synchronous_standby_names = {names}");
    sqlx::query(AssertSqlSafe(statement)).execute(&stage.owner).await?;
    sqlx::query("select pg_reload_conf()").execute(&stage.owner).await?;
    let deadline = Instant::now() + Duration::from_secs(20);
    let synchronous = "select exists (select from pg_stat_replication r where r.sync_state = 'sync')";
    while !sqlx::query_scalar::<_, bool>(synchronous).fetch_one(&stage.owner).await? {
        ensure!(Instant::now() < deadline, "no replica streams");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    Ok(())
}

/// A small file system of its own.
struct Small(PathBuf);

impl Small {
    fn mount(folder: &Path) -> Result<Option<Self>> {
        std::fs::create_dir_all(folder)?;
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", "size=96m", "tmpfs"]).arg(folder).output()?;
        if !mounted.status.success() {
            return Ok(None);
        }
        let owned = Command::new("chown").arg("nobody:nogroup").arg(folder).status()?;
        Ok(owned.success().then(|| Self(folder.to_owned())))
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        // Nothing is left to do when even that fails.
        let _ = Command::new("umount").arg("--lazy").arg(&self.0).status();
    }
}

async fn move_tables(stage: &Stage, to: &str) -> Result<()> {
    let tables: Vec<String> = sqlx::query_scalar(
        "select format('%I.%I', t.schemaname, t.tablename)
         from pg_tables t
         join pg_class c on c.oid = format('%I.%I', t.schemaname, t.tablename)::regclass and c.relkind = 'r'
         where t.schemaname in ('carrel', 'carrel_history')
           and t.tablename ~ '^(job|audit_entry|rest)'",
    )
    .fetch_all(&stage.owner)
    .await?;
    for table in tables {
        sqlx::query(AssertSqlSafe(format!("alter table {table} set tablespace {to}"))).execute(&stage.owner).await?;
    }
    Ok(())
}

pub(super) async fn no_room(stage: &mut Stage) -> Result<()> {
    stage.report.allowed_s = Some(5.0);
    let folder = stage.lab.folder().join("small");
    let Some(small) = Small::mount(&folder)? else {
        stage.skip("a small file system cannot be mounted here");
        return Ok(());
    };
    let statement = format!("create tablespace small location '{}'", folder.display());
    sqlx::query(AssertSqlSafe(statement)).execute(&stage.owner).await?;
    move_tables(stage, "small").await?;
    stage.hire_all()?;
    stage.effects(1000, 20).await?;
    stage.until_started(8, Duration::from_secs(30)).await?;
    let begun = Utc::now();
    let filler = folder.join("filler");
    // It ends with "no space left on device", which is the point.
    let full = Command::new("dd").args(["if=/dev/zero", "bs=64k"]).arg(format!("of={}", filler.display())).output()?;
    stage.check(!full.status.success(), || "the file system was not filled".to_owned());
    let refused = refuses(stage).await;
    stage.check(refused, || "PostgreSQL did not run out of room".to_owned());
    tokio::time::sleep(Duration::from_secs(4)).await;
    std::fs::remove_file(&filler).context("the filler cannot be removed")?;
    stage.injured_from(begun);
    stage.effects(200, 10).await?;
    finish(stage).await?;
    move_tables(stage, "pg_default").await?;
    sqlx::query("drop tablespace small").execute(&stage.owner).await?;
    drop(small);
    Ok(())
}

/// True when PostgreSQL says that there is no room for a larger table.
async fn refuses(stage: &Stage) -> bool {
    let outcome = sqlx::query(
        "with padding as (select repeat(md5(random()::text), 200) as text from generate_series(1, 4000))
         insert into carrel.audit_entry (workspace_id, at, actor, action, request_id, details)
         select $1, now(), '{}', 'probe.padding', gen_random_uuid(), to_jsonb(p.text) from padding p",
    )
    .bind(stage.workspace.0)
    .execute(&stage.owner)
    .await;
    outcome.is_err_and(|error| error.as_database_error().is_some_and(|error| error.code().as_deref() == Some("53100")))
}
