//! Row-level security, looked at from the wrong side.

use carrel_domain::{Scopes, WorkspaceId};
use carrel_testkit::TestApp;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{AssertSqlSafe, PgPool};
use std::collections::BTreeSet;
use std::str::FromStr;

/// Tables that belong to no workspace. This list may only shrink.
const SHARED: [&str; 5] = ["index_generation", "job_limit", "queue", "worker", "workspace"];

/// What a service's connection is, without the crate around it.
async fn service(app: &TestApp) -> PgPool {
    let options = PgConnectOptions::from_str(&app.database.service_url).unwrap().options([("role", "carrel_app")]);
    PgPoolOptions::new().max_connections(2).connect_with(options).await.unwrap()
}

async fn tables(app: &TestApp) -> Vec<String> {
    let all: Vec<(String, bool)> = sqlx::query_as(
        "select t.tablename::text,
                exists (select from information_schema.columns c
                        where c.table_schema = 'carrel' and c.table_name = t.tablename and c.column_name = 'workspace_id')
         from pg_tables t where t.schemaname = 'carrel' order by 1",
    )
    .fetch_all(&app.database.owner)
    .await
    .unwrap();
    let shared: Vec<&str> = all.iter().filter(|(_, walled)| !walled).map(|(name, _)| name.as_str()).collect();
    assert_eq!(shared, SHARED, "tables without a workspace");
    all.into_iter().filter(|(_, walled)| *walled).map(|(name, _)| name).collect()
}

/// Puts at least one row into every table that belongs to a workspace.
async fn fill(app: &TestApp) {
    let client = app.client(Scopes::all()).await;
    let made = client
        .request(reqwest::Method::POST, "/api/v1/collections")
        .header("idempotency-key", "k")
        .json(&serde_json::json!({ "name": "harbour" }))
        .send()
        .await
        .unwrap();
    let made: serde_json::Value = made.json().await.unwrap();
    let collection = made["id"].as_str().unwrap().parse().unwrap();
    client.upload(collection, "gate.txt", "The lock gate closes in ninety seconds, as the manual has it.").await;
    client.upload(collection, "lying.pdf", "%PDF-1.7\nno pdf").await;
    app.idle().await;
    client.upload(collection, "gate.txt", "The lock gate closes in sixty seconds, as the bulletin has it.").await;
    app.idle().await;
    client.ask("When does the lock gate close?").await;
    let frozen = client
        .request(reqwest::Method::POST, "/api/v1/baselines")
        .json(&serde_json::json!({ "name": "as found" }))
        .send()
        .await
        .unwrap();
    assert_eq!(frozen.status(), 201);
    // What a merge would have put there.
    sqlx::query(
        "insert into carrel.posting_history (workspace_id, collection_id, version_id, term, passages, impacts)
         select p.workspace_id, p.collection_id, p.version_id, 'gate', array[p.no], array[256::smallint]
         from carrel.passage p where not p.searchable",
    )
    .execute(&app.database.owner)
    .await
    .unwrap();
    app.idle().await;
    let codes: Vec<String> = sqlx::query_scalar("select error_code from carrel.job_all where state = 'discarded'")
        .fetch_all(&app.database.owner)
        .await
        .unwrap();
    for code in codes {
        app.expect_failure(&code);
    }
    app.operations.seal_all().await.unwrap();
    // What no test of this size brings about by itself.
    for made in [
        "insert into carrel.custody_event (id, workspace_id, document_id, kind, at, by)
         select gen_random_uuid(), $1, d.id, 'received', now(), '{\"kind\": \"operator\"}' from carrel.document d limit 1",
        "insert into carrel.legal_hold (id, workspace_id, document_id, reason, placed_at, placed_by)
         values (gen_random_uuid(), $1, gen_random_uuid(), 'claim', now(), '{\"kind\": \"operator\"}')",
        "with begun as (
             insert into carrel.erasure (id, workspace_id, document_id, reason, state, job_id, requested_at, requested_by)
             values (gen_random_uuid(), $1, gen_random_uuid(), 'asked for', 'requested', gen_random_uuid(), now(),
                     '{\"kind\": \"operator\"}')
             returning id, document_id
         )
         insert into carrel.erasure_target (workspace_id, document_id, erasure_id) select $1, document_id, id from begun",
        "insert into carrel.job_refusal (at, job_id, workspace_id, kind, attempt, claim)
         values (now(), gen_random_uuid(), $1, 'probe.act', 1, gen_random_uuid())",
        "insert into carrel.outbox_effect (id, workspace_id, kind, key, payload, run_at, max_attempts, timeout_ms, created_at)
         values (gen_random_uuid(), $1, 'letter.post', 'one', '{}', now(), 1, 1000, now())",
        "insert into carrel.schedule (workspace_id, name, spec, time_zone, catch_up, kind, queue, payload, payload_version,
                                      priority, max_attempts, timeout_ms, paused_at, decided_until, created_at)
         values ($1, 'probe', '0 3 * * *', 'UTC', 'one', 'probe.act', 'ingest', '{}', 1, 0, 1, 1000, now(), now(), now())",
        "insert into carrel.screening_policy (workspace_id, policy, revision, updated_at, updated_by)
         values ($1, '{}', 1, now(), '{\"kind\": \"operator\"}')",
        "insert into carrel.screening_finding (version_id, workspace_id, ordinal, place, kind, category, severity, action,
                                               confidence, validated, span_start, span_end, mask)
         select version_id, $1, 0, 'text', 'email', 'contact', 'medium', 'allow', 90, true, 0, 3, 'a••@•.de'
         from carrel.screening where workspace_id = $1 limit 1",
        "insert into carrel.fixity (workspace_id, sha256, verdict, checked_at)
         select $1, o.sha256, 'sound', now() from carrel.original o where o.workspace_id = $1
         on conflict do nothing",
        "insert into carrel.similarity (version_id, workspace_id, document_id, shingles, signature, bands)
         select v.id, $1, v.document_id, 8, decode(repeat('00', 512), 'hex'), array[1]
         from carrel.document_version v where v.workspace_id = $1
         on conflict do nothing",
        "insert into carrel.breach_answer (workspace_id, key, answer, fetched_at) values ($1, '5BAA6', '', now())",
        "insert into carrel.cron_tick (workspace_id, name, tick_at, job_id, fired_at)
         values ($1, 'probe', now(), gen_random_uuid(), now())",
    ] {
        sqlx::query(made).bind(app.workspace.0).execute(&app.database.owner).await.unwrap();
    }
}

/// What PostgreSQL calls the error.
fn code_of(error: &sqlx::Error) -> String {
    error.as_database_error().and_then(sqlx::error::DatabaseError::code).unwrap_or_default().into_owned()
}

async fn seen_by(pool: &PgPool, workspace: Option<WorkspaceId>, statement: &str) -> Result<i64, sqlx::Error> {
    let mut transaction = pool.begin().await.unwrap();
    if let Some(workspace) = workspace {
        sqlx::query("select set_config('carrel.workspace', $1, true)")
            .bind(workspace.to_string())
            .execute(&mut *transaction)
            .await
            .unwrap();
    }
    sqlx::query_scalar(AssertSqlSafe(statement.to_owned())).fetch_one(&mut *transaction).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_workspace_sees_nothing_in_any_table() {
    let app = TestApp::start().await;
    fill(&app).await;
    let pool = service(&app).await;
    for table in tables(&app).await {
        let guarded: (bool, bool, i64) = sqlx::query_as(
            "select c.relrowsecurity, pg_get_userbyid(c.relowner) in ('carrel_app', 'carrel_queue'),
                    (select count(*) from pg_policy p where p.polrelid = c.oid and 'carrel_app'::regrole = any (p.polroles))
             from pg_class c where c.oid = ('carrel.' || $1)::regclass",
        )
        .bind(&table)
        .fetch_one(&app.database.owner)
        .await
        .unwrap();
        assert_eq!(guarded, (true, false, 1), "{table}: walled, not the services' own, one policy");
        let count = format!("select count(*) from carrel.{table}");
        let there =
            seen_by(&app.database.owner, None, &format!("{count} where workspace_id = '{}'", app.workspace)).await;
        let there = there.unwrap();
        assert!(there > 0, "{table} has no row to hide: make `fill` write one");
        assert_eq!(seen_by(&pool, Some(app.workspace), &count).await.unwrap(), there, "{table} from its own side");
        // Every workspace has schedules of its own.
        let foreign = format!("{count} where workspace_id = '{}'", app.workspace);
        assert_eq!(
            seen_by(&pool, Some(app.other_workspace), &foreign).await.unwrap(),
            0,
            "{table} from the other side"
        );
        assert_eq!(seen_by(&pool, None, &count).await.unwrap(), 0, "{table} from no side");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_workspace_changes_nothing_in_any_table() {
    let app = TestApp::start().await;
    fill(&app).await;
    let pool = service(&app).await;
    let mut denied = BTreeSet::new();
    for table in tables(&app).await {
        for change in [
            format!(
                "with done as (delete from carrel.{table} where workspace_id = '{}' returning 1) select count(*) from done",
                app.workspace
            ),
            format!(
                "with done as (update carrel.{table} set workspace_id = '{}' where workspace_id = '{}' returning 1)
                 select count(*) from done",
                app.other_workspace, app.workspace
            ),
        ] {
            match seen_by(&pool, Some(app.other_workspace), &change).await {
                Ok(changed) => assert_eq!(changed, 0, "{change}"),
                Err(error) => {
                    let code = code_of(&error);
                    assert_eq!(code, "42501", "{change}: {error}");
                    denied.insert(table.clone());
                }
            }
        }
        // Nor may one's own rows be given away.
        let away = format!(
            "with done as (update carrel.{table} set workspace_id = '{}' returning 1) select count(*) from done",
            app.other_workspace
        );
        let refused = seen_by(&pool, Some(app.workspace), &away).await.expect_err(&away);
        let code = code_of(&refused);
        // 23001: renditions are immutable whoever asks. 23514: a citation finds no text on the other side of the wall.
        assert!(["42501", "23001", "23514"].contains(&code.as_str()), "{away}: {refused}");
    }
    for table in ["rendition", "audit_entry", "job", "oauth_client"] {
        assert!(denied.contains(table), "services may not change {table}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn renditions_are_changed_by_nobody() {
    let app = TestApp::start().await;
    fill(&app).await;
    let pool = service(&app).await;
    let change = "with done as (update carrel.rendition set text = 'forged' returning 1) select count(*) from done";
    for (who, pool, code) in [("service", &pool, "42501"), ("owner", &app.database.owner, "23001")] {
        let error = seen_by(pool, Some(app.workspace), change).await.unwrap_err();
        assert_eq!(error.as_database_error().unwrap().code().as_deref(), Some(code), "{who}: {error}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn services_act_as_a_role_that_the_wall_binds() {
    let app = TestApp::start().await;
    app.database.database.check_role().await.unwrap();
    let roles: Vec<(String, bool, bool, bool)> = sqlx::query_as(
        "select rolname::text, rolsuper, rolbypassrls, rolcreaterole from pg_roles
         where rolname in ('carrel_app', 'carrel_queue', 'carrel_test_service') order by 1",
    )
    .fetch_all(&app.database.owner)
    .await
    .unwrap();
    assert_eq!(roles.len(), 3);
    for (name, superuser, bypass, creates) in roles {
        assert!(!superuser && !bypass && !creates, "{name}");
    }
}
