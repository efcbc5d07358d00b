//! The units of systemd: which there are, whether they run, how they are.

use super::machine::{Places, command, read, run};
use anyhow::{Context, Result, bail};
use carrel_runtime::config::Settings;
use carrel_runtime::probe;
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::time::{Duration, Instant};

const TARGET: &str = "carrel.target";
/// Each unit with its file of variables.
const UNITS: [(&str, &str); 4] = [
    ("carrel-ai.service", "ai"),
    ("carrel-worker@ingest.service", "worker-ingest"),
    ("carrel-worker@background.service", "worker-background"),
    ("carrel-api.service", "api"),
];
/// How long all of them together may take to become ready.
const READY: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_millis(200);

/// Whether units can be used here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Supervisor {
    /// systemd runs and knows the units.
    Systemd,
    /// systemd runs, and nobody installed the units.
    NoUnits,
    /// Another one, or none.
    Other,
}

pub(super) fn supervisor() -> Supervisor {
    if !Path::new("/run/systemd/system").is_dir() {
        return Supervisor::Other;
    }
    let known = ["/etc/systemd/system", "/usr/lib/systemd/system", "/lib/systemd/system"]
        .iter()
        .any(|folder| Path::new(folder).join(TARGET).is_file());
    if known { Supervisor::Systemd } else { Supervisor::NoUnits }
}

/// True when all are enabled and run. (systemctl itself is content with one of them.)
pub(super) fn all_run() -> bool {
    let each = |verb: &str, good: &str| {
        let mut ask = command("systemctl");
        ask.arg(verb).arg(TARGET).args(UNITS.map(|(unit, _)| unit));
        let said = ask.output().map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default();
        said.lines().count() == UNITS.len() + 1 && said.lines().all(|line| line == good)
    };
    each("is-enabled", "enabled") && each("is-active", "active")
}

/// True when any of them runs, so that its own addresses are taken by itself.
pub(super) fn any_runs() -> bool {
    let mut ask = command("systemctl");
    ask.arg("is-active").args(UNITS.map(|(unit, _)| unit));
    ask.output().is_ok_and(|output| String::from_utf8_lossy(&output.stdout).lines().any(|line| line == "active"))
}

/// Refuses when another program listens where one of ours would.
pub(super) fn check_addresses(settings: &Settings, places: &Places) -> Result<()> {
    let mut wanted = vec![("server.listen", settings.server.listen), ("ai.listen", settings.ai.listen)];
    for (_, name) in UNITS {
        wanted.extend(metrics_address(places, name)?.map(|address| ("CARREL__SERVER__METRICS_LISTEN", address)));
    }
    for (key, address) in wanted {
        if TcpListener::bind(address).is_err_and(|error| error.kind() == std::io::ErrorKind::AddrInUse) {
            let file = if key.starts_with("CARREL") { places.etc.join("environment") } else { places.settings() };
            bail!("{address} is taken by another program: end it, or set {key} in {} to a free one", file.display());
        }
    }
    Ok(())
}

/// Enables and starts all, then waits until each says that it is ready.
pub(super) async fn start(places: &Places) -> Result<()> {
    let systemctl = |arguments: &[&str], what: &str| -> Result<()> {
        run(command("systemctl").args(arguments), what)?;
        Ok(())
    };
    systemctl(&["daemon-reload"], "telling systemd of the units")?;
    let mut all = vec!["enable", "--quiet", TARGET];
    all.extend(UNITS.map(|(unit, _)| unit));
    systemctl(&all, "enabling the units")?;
    // One that gave up on earlier settings starts anew.
    let mut again = vec!["reset-failed"];
    again.extend(UNITS.map(|(unit, _)| unit));
    run(command("systemctl").args(&again), "forgetting earlier failures").ok();
    let mut starting = vec!["start", TARGET];
    starting.extend(UNITS.map(|(unit, _)| unit));
    systemctl(&starting, "starting the units")?;
    let begun = Instant::now();
    for (unit, name) in UNITS {
        let Some(address) = metrics_address(places, name)? else { continue };
        wait_for(unit, address, begun).await?;
    }
    Ok(())
}

async fn wait_for(unit: &str, address: SocketAddr, begun: Instant) -> Result<()> {
    loop {
        let probed = tokio::task::spawn_blocking(move || probe::ready(Some(address))).await?;
        let Err(error) = probed else { return Ok(()) };
        // It ended for good, with its reason in the journal.
        let failed = command("systemctl").args(["is-failed", "--quiet", unit]).status().is_ok_and(|s| s.success());
        if failed || begun.elapsed() > READY {
            let reason = last_words(unit).unwrap_or_else(|| error.to_string());
            bail!("{unit} does not become ready: {reason}; see journalctl -u {unit}");
        }
        tokio::time::sleep(POLL).await;
    }
}

/// The line with which the program itself ended: what it cannot run with is said there.
fn last_words(unit: &str) -> Option<String> {
    let mut journal = command("journalctl");
    journal.args(["--unit", unit, "--output", "cat", "--lines", "20", "--no-pager", "--quiet"]);
    let said = run(&mut journal, "reading the journal").ok()?;
    let own = format!("{}: ", unit.split(['@', '.']).next()?);
    said.lines().rev().find(|line| line.starts_with(&own)).map(str::to_owned)
}

/// Where a unit's program says how it is: the variable of its file.
fn metrics_address(places: &Places, name: &str) -> Result<Option<SocketAddr>> {
    let path = places.etc.join("environment").join(format!("{name}.env"));
    let Some(text) = read(&path)? else { return Ok(None) };
    let Some(value) = text.lines().rev().find_map(|line| line.trim().strip_prefix("CARREL__SERVER__METRICS_LISTEN="))
    else {
        return Ok(None);
    };
    let value = value.trim().trim_matches(['"', '\'']);
    let address = value.parse().with_context(|| {
        format!("CARREL__SERVER__METRICS_LISTEN in {} is no address such as 127.0.0.1:9464", path.display())
    })?;
    Ok(Some(address))
}

#[cfg(test)]
mod tests {
    use super::{check_addresses, metrics_address};
    use crate::setup::machine::Places;
    use carrel_runtime::config::Settings;

    #[test]
    fn taken_addresses_are_named_with_their_setting() {
        let place = tempfile::tempdir().unwrap();
        let places = Places { etc: place.path().to_owned(), state: place.path().join("state") };
        std::fs::create_dir(place.path().join("environment")).unwrap();
        let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = taken.local_addr().unwrap();
        let mut settings = Settings::defaults().unwrap();
        settings.server.listen = "127.0.0.1:0".parse().unwrap();
        settings.ai.listen = "127.0.0.1:0".parse().unwrap();
        check_addresses(&settings, &places).unwrap();

        settings.server.listen = address;
        let error = check_addresses(&settings, &places).unwrap_err().to_string();
        assert!(error.starts_with(&format!("{address} is taken")) && error.contains("server.listen"), "{error}");

        settings.server.listen = "127.0.0.1:0".parse().unwrap();
        let file = place.path().join("environment/api.env");
        std::fs::write(&file, format!("# words\nCARREL__SERVER__METRICS_LISTEN={address}\n")).unwrap();
        let error = check_addresses(&settings, &places).unwrap_err().to_string();
        assert!(error.contains("CARREL__SERVER__METRICS_LISTEN"), "{error}");
        std::fs::write(&file, "CARREL__SERVER__METRICS_LISTEN=here\n").unwrap();
        let error = metrics_address(&places, "api").unwrap_err().to_string();
        assert!(error.contains("is no address"), "{error}");
    }
}
