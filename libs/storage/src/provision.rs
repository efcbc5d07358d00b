//! What a new installation asks of a PostgreSQL server: a role that owns the schema, a database, pgvector.

use crate::{Admin, StorageError};

/// The oldest server whose SQL is used, as `server_version_num` tells it.
const OLDEST_SERVER: i32 = 160_000;

/// What the owner of the schema is allowed to do, and what the server offers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Abilities {
    /// `server_version_num`: 170011 is 17.11.
    pub server: i32,
    /// The role may make the roles of the services.
    pub makes_roles: bool,
    /// pgvector's version, where it is in this database.
    pub vector: Option<String>,
    /// pgvector's version that the server could put into the database.
    pub vector_offered: Option<String>,
}

impl Abilities {
    /// What is missing and what to do about it; `None` when the schema can be made.
    pub fn remedy(&self) -> Option<String> {
        if self.server < OLDEST_SERVER {
            return Some(format!("PostgreSQL {} is too old: use 16 or newer", self.server / 10_000));
        }
        if self.vector.is_none() && self.vector_offered.is_none() {
            return Some("the server has no pgvector: install pgvector 0.8 or newer on it".to_owned());
        }
        let words = "the login may not make the roles of the services: give it CREATEROLE, as a superuser";
        (!self.makes_roles).then(|| words.to_owned())
    }
}

impl Admin {
    /// What this connection may do, and what its server offers.
    pub async fn abilities(&self) -> Result<Abilities, StorageError> {
        let (server, makes_roles, vector, vector_offered) =
            sqlx::query_as::<_, (i32, bool, Option<String>, Option<String>)>(
                "select current_setting('server_version_num')::int,
                    (select rolsuper or rolcreaterole from pg_roles where rolname = current_user),
                    (select extversion from pg_extension where extname = 'vector'),
                    (select default_version from pg_available_extensions where name = 'vector')",
            )
            .fetch_one(self.pool())
            .await?;
        Ok(Abilities { server, makes_roles, vector, vector_offered })
    }
}

/// Input for psql(1) as a superuser of the server: makes `owner` with this password, `database` that belongs to it, and
/// pgvector in there. What is there already stays, but for the password. Run it with ON_ERROR_STOP and VERBOSITY=terse.
pub fn provision_script(owner: &str, password: &str, database: &str) -> String {
    let (owner, password, database) = (literal(owner), literal(password), literal(database));
    format!(
        r"set log_statement = 'none';
set log_min_error_statement = 'panic';
set log_min_duration_statement = -1;
do $check$
begin
    if exists (
        select from pg_database d
        join pg_roles r on r.oid = d.datdba
        where d.datname = {database} and r.rolname <> {owner}
    ) then
        raise exception 'the database % is there and belongs to another role: rename it, or name it with --database-url', {database};
    end if;
end
$check$;
select format('create role %I', {owner}) where not exists (select from pg_roles where rolname = {owner}) \gexec
select format('alter role %I login createrole password %L', {owner}, {password}) \gexec
select format('create database %I owner %I encoding ''UTF8'' template template0', {database}, {owner})
where not exists (select from pg_database where datname = {database}) \gexec
\connect {database}
create extension if not exists vector;
"
    )
}

/// A string of SQL, whatever it holds. Names and secrets of ours hold no backslash, which `\connect` would read.
fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

#[cfg(test)]
mod tests {
    use super::{Abilities, literal, provision_script};

    #[test]
    fn what_a_server_lacks_is_named() {
        let fine =
            Abilities { server: 170_011, makes_roles: true, vector: None, vector_offered: Some("0.8.0".to_owned()) };
        assert_eq!(fine.remedy(), None);
        let old = Abilities { server: 150_009, ..fine.clone() };
        assert!(old.remedy().is_some_and(|words| words.contains("15 is too old")));
        let bare = Abilities { vector_offered: None, ..fine.clone() };
        assert!(bare.remedy().is_some_and(|words| words.contains("no pgvector")));
        let weak = Abilities { makes_roles: false, ..fine };
        assert!(weak.remedy().is_some_and(|words| words.contains("CREATEROLE")));
    }

    #[test]
    fn quotes_cannot_leave_a_string() {
        assert_eq!(literal("a'b"), "'a''b'");
        let script = provision_script("o", "p'; drop table x; --", "d");
        assert!(script.contains("'p''; drop table x; --'"), "{script}");
    }
}
