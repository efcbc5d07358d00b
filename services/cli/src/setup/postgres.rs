//! A PostgreSQL with pgvector on this machine, as Debian's packages run it: found, installed, started, made ready.

use super::address::Address;
use super::machine::{Account, apt_install, command, feed, has, run};
use anyhow::{Context, Result, anyhow, bail};
use carrel_storage::provision_script;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};

/// What the database is called on a server of this machine, and who owns it.
pub(super) const DATABASE: &str = "carrel";
pub(super) const OWNER: &str = "carrel_owner";
/// The login of the services, which row-level security binds.
pub(super) const SERVICE: &str = "carrel_service";

/// The oldest major version whose SQL is used.
const OLDEST: u32 = 16;

/// A cluster as `pg_lsclusters` lists it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Cluster {
    pub(super) major: u32,
    pub(super) name: String,
    pub(super) port: u16,
    pub(super) online: bool,
}

/// What is to be done for a server on this machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct LocalServer {
    /// Packages to install first.
    pub(super) packages: Vec<String>,
    /// The cluster to use; `None` when the packages will make one.
    pub(super) cluster: Option<Cluster>,
}

impl Cluster {
    fn parse(line: &str) -> Option<Self> {
        let mut fields = line.split_whitespace();
        Some(Self {
            major: fields.next()?.parse().ok()?,
            name: fields.next()?.to_owned(),
            port: fields.next()?.parse().ok()?,
            online: fields.next()?.starts_with("online"),
        })
    }

    fn program(&self, name: &str) -> PathBuf {
        PathBuf::from(format!("/usr/lib/postgresql/{}/bin/{name}", self.major))
    }

    pub(super) fn shown(&self) -> String {
        format!("PostgreSQL {} ({}, port {})", self.major, self.name, self.port)
    }
}

/// The clusters of this machine. None where Debian's way of keeping them is unknown.
fn clusters() -> Result<Vec<Cluster>> {
    if !has("pg_lsclusters") {
        return Ok(Vec::new());
    }
    let listed = run(command("pg_lsclusters").arg("-h"), "looking for PostgreSQL")?;
    Ok(listed.lines().filter_map(Cluster::parse).collect())
}

/// Decides which server of this machine to use, without changing anything.
pub(super) fn find() -> Result<LocalServer> {
    let has_vector =
        |major: u32| Path::new(&format!("/usr/share/postgresql/{major}/extension/vector.control")).is_file();
    choose(clusters()?, has_vector, &offered())
}

/// The newest usable cluster; else one that a package completes; else the newest packages.
fn choose(mut clusters: Vec<Cluster>, has_vector: impl Fn(u32) -> bool, offered: &[u32]) -> Result<LocalServer> {
    let elsewhere = "or name a database elsewhere with --database-url";
    // One that runs first, then the newest.
    clusters.sort_by_key(|cluster| std::cmp::Reverse((cluster.online, cluster.major)));
    let old: Vec<String> = clusters.iter().filter(|c| c.major < OLDEST).map(|c| c.major.to_string()).collect();
    clusters.retain(|cluster| cluster.major >= OLDEST);
    if let Some(cluster) = clusters.iter().find(|cluster| has_vector(cluster.major)) {
        return Ok(LocalServer { packages: Vec::new(), cluster: Some(cluster.clone()) });
    }
    if let Some(cluster) = clusters.iter().find(|cluster| offered.contains(&cluster.major)) {
        let packages = vec![format!("postgresql-{}-pgvector", cluster.major)];
        return Ok(LocalServer { packages, cluster: Some(cluster.clone()) });
    }
    if let Some(major) = offered.iter().max() {
        let packages = vec![format!("postgresql-{major}"), format!("postgresql-{major}-pgvector")];
        return Ok(LocalServer { packages, cluster: None });
    }
    if let Some(cluster) = clusters.first() {
        bail!(
            "{} has no pgvector, and no package postgresql-{}-pgvector is offered here: install pgvector 0.8 or newer, {elsewhere}",
            cluster.shown(),
            cluster.major
        );
    }
    if !old.is_empty() {
        bail!(
            "PostgreSQL {} is too old, and no newer one with pgvector is offered here: add a source of packages that has \
             PostgreSQL 16 or newer with pgvector, {elsewhere}",
            old.join(" and ")
        );
    }
    bail!(
        "there is no PostgreSQL here, and no package of one with pgvector is offered: run `apt-get update`, add a source of \
         packages that has PostgreSQL 16 or newer with pgvector, {elsewhere}"
    )
}

/// The versions for which pgvector is offered as a package.
fn offered() -> Vec<u32> {
    if !has("apt-cache") {
        return Vec::new();
    }
    let mut search = command("apt-cache");
    search.args(["search", "--names-only", "^postgresql-[0-9]+-pgvector$"]);
    let listed = run(&mut search, "asking for packages").unwrap_or_default();
    let mut majors: Vec<u32> = listed.lines().filter_map(offered_major).collect();
    majors.retain(|major| *major >= OLDEST);
    majors
}

/// `postgresql-17-pgvector - vector similarity search`
fn offered_major(line: &str) -> Option<u32> {
    line.split_whitespace().next()?.strip_prefix("postgresql-")?.strip_suffix("-pgvector")?.parse().ok()
}

impl LocalServer {
    pub(super) fn describe(&self) -> Vec<String> {
        let mut lines = Vec::new();
        if !self.packages.is_empty() {
            lines.push(format!("install {} with apt", self.packages.join(" and ")));
        }
        if let Some(cluster) = self.cluster.as_ref().filter(|cluster| !cluster.online) {
            lines.push(format!("start {}", cluster.shown()));
        }
        let server = self.cluster.as_ref().map_or("it".to_owned(), Cluster::shown);
        lines.push(format!("on {server}: make the role {OWNER}, the database {DATABASE} and the extension vector"));
        lines
    }

    /// Installs, starts, makes role, database and extension. `known` is an address from an earlier run, whose password
    /// stays. The answer is the owner's address.
    pub(super) fn provide(&self, known: Option<&Address>, new_password: &str) -> Result<Address> {
        if !self.packages.is_empty() {
            apt_install(&self.packages)?;
        }
        let cluster = match &self.cluster {
            Some(cluster) => cluster.clone(),
            None => find()?.cluster.ok_or_else(|| {
                anyhow!("the packages made no cluster: make one with `pg_createcluster`, then run this again")
            })?,
        };
        start(&cluster)?;
        let password = known.and_then(Address::password).unwrap_or(new_password);
        let postgres = Account::find("postgres")?.context("there is no account postgres, who owns the server")?;
        let mut psql = command(cluster.program("psql"));
        psql.args(["--no-psqlrc", "--quiet", "--set=ON_ERROR_STOP=1", "--set=VERBOSITY=terse"])
            .args(["--host=/var/run/postgresql", "--dbname=postgres", &format!("--port={}", cluster.port)])
            .uid(postgres.uid)
            .gid(postgres.gid)
            .current_dir("/")
            .stdout(std::process::Stdio::null());
        let what = format!("making role and database on {}", cluster.shown());
        feed(&mut psql, &provision_script(OWNER, password, DATABASE), &what)?;
        Ok(Address::local(cluster.port, OWNER, password))
    }
}

/// Starts a cluster that does not run. systemd learns of it where it is there.
fn start(cluster: &Cluster) -> Result<()> {
    let runs = || -> Result<bool> {
        Ok(clusters()?.iter().any(|c| c.online && c.major == cluster.major && c.name == cluster.name))
    };
    if runs()? {
        return Ok(());
    }
    let mut starting = if Path::new("/run/systemd/system").exists() {
        let mut systemctl = command("systemctl");
        systemctl.args(["start", &format!("postgresql@{}-{}.service", cluster.major, cluster.name)]);
        systemctl
    } else {
        let mut control = command("pg_ctlcluster");
        control.args([&cluster.major.to_string(), &cluster.name, "start"]);
        control
    };
    run(&mut starting, &format!("starting {}", cluster.shown()))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{Cluster, choose, offered_major};

    fn cluster(line: &str) -> Cluster {
        Cluster::parse(line).unwrap()
    }

    #[test]
    fn lists_are_read() {
        let found = cluster("17 main 5433 online postgres /var/lib/postgresql/17/main /var/log/x.log");
        assert_eq!(found, Cluster { major: 17, name: "main".to_owned(), port: 5433, online: true });
        assert!(!cluster("16 main 5432 down postgres /x /y").online);
        assert!(cluster("16 main 5432 online,recovery postgres /x /y").online);
        assert_eq!(Cluster::parse("Ver Cluster Port Status"), None);
        assert_eq!(offered_major("postgresql-17-pgvector - vectors"), Some(17));
        assert_eq!(offered_major("postgresql-pgvector - vectors"), None);
    }

    #[test]
    fn the_running_cluster_comes_first_then_what_can_be_installed() {
        let (old, down, up) = (
            cluster("15 main 5432 online p d l"),
            cluster("17 main 5433 down p d l"),
            cluster("16 a 5434 online p d l"),
        );
        let all = vec![old.clone(), down.clone(), up.clone()];
        let chosen = choose(all.clone(), |_| true, &[17]).unwrap();
        assert_eq!((chosen.cluster, chosen.packages.len()), (Some(up.clone()), 0));
        let chosen = choose(all.clone(), |major| major == 17, &[]).unwrap();
        assert_eq!(chosen.cluster, Some(down));
        let chosen = choose(all, |_| false, &[16, 17]).unwrap();
        assert_eq!((chosen.cluster, chosen.packages), (Some(up), vec!["postgresql-16-pgvector".to_owned()]));
        let chosen = choose(vec![old], |_| true, &[16, 17]).unwrap();
        assert_eq!((chosen.cluster, chosen.packages[1].as_str()), (None, "postgresql-17-pgvector"));
    }

    #[test]
    fn what_is_missing_is_named() {
        let says = |clusters: Vec<Cluster>| choose(clusters, |_| false, &[]).unwrap_err().to_string();
        assert!(says(vec![]).starts_with("there is no PostgreSQL here"));
        assert!(says(vec![cluster("15 main 5432 online p d l")]).starts_with("PostgreSQL 15 is too old"));
        let bare = says(vec![cluster("17 main 5432 online p d l")]);
        assert!(bare.starts_with("PostgreSQL 17 (main, port 5432) has no pgvector"), "{bare}");
    }
}
