//! carrel-faults: the matrix of faults, with numbers.

use anyhow::Result;
use carrel_faults::report::HEAD;
use carrel_faults::{Lab, LabOptions, Plan, Way, rows};
use clap::Parser;
use std::fs::File;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

/// Hurts workers, Redis and PostgreSQL, and counts lost jobs and effects written twice.
#[derive(Debug, Parser)]
struct Arguments {
    /// Chooses victims and moments.
    #[arg(long, default_value_t = 7)]
    seed: u64,
    /// How long the soak lasts.
    #[arg(long, default_value_t = 10.0)]
    minutes: f64,
    /// Only these rows; may be given more than once.
    #[arg(long)]
    fault: Vec<String>,
    /// Only with so many workers.
    #[arg(long)]
    workers: Option<usize>,
    /// Only on this transport.
    #[arg(long, value_enum)]
    transport: Option<Way>,
    /// Fewer jobs and injuries.
    #[arg(long)]
    quick: bool,
    /// Name the rows and end.
    #[arg(long)]
    list: bool,
    /// Also append a line of JSON per row to this file.
    #[arg(long)]
    json: Option<PathBuf>,
    /// Keep logs and databases here.
    #[arg(long)]
    keep: Option<PathBuf>,
}

fn main() -> ExitCode {
    tracing_subscriber::fmt().with_max_level(tracing::Level::ERROR).with_writer(std::io::stderr).init();
    let arguments = Arguments::parse();
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    let ran = runtime.worker_threads(2).enable_all().build().map_err(Into::into);
    ran.and_then(|runtime| runtime.block_on(run(arguments))).unwrap_or_else(|error| {
        // Without the reader of standard error there is nobody to tell.
        writeln!(std::io::stderr(), "faults: {error:#}").ok();
        ExitCode::FAILURE
    })
}

async fn run(arguments: Arguments) -> Result<ExitCode> {
    let mut out = std::io::stdout();
    if arguments.list {
        for row in rows::ROWS {
            writeln!(out, "{:<24} {}", row.name, row.about)?;
        }
        return Ok(ExitCode::SUCCESS);
    }
    let chosen: Vec<_> = match arguments.fault.as_slice() {
        [] => rows::ROWS.iter().collect(),
        names => names.iter().map(|name| rows::find(name)).collect::<Result<_>>()?,
    };
    let mut json =
        arguments.json.as_ref().map(|path| File::options().create(true).append(true).open(path)).transpose()?;
    let mut lab = Lab::start(LabOptions { folder: arguments.keep.clone(), ..LabOptions::default() }).await?;
    writeln!(out, "{HEAD}")?;
    let (mut ran, mut wrong) = (0, 0);
    for row in chosen {
        for way in [Way::Redis, Way::Postgres] {
            for workers in [1, 3] {
                let wanted = arguments.workers.is_none_or(|only| only == workers)
                    && arguments.transport.is_none_or(|only| only == way);
                if !wanted || !rows::applies(row, way) {
                    continue;
                }
                let plan =
                    Plan { seed: arguments.seed, quick: arguments.quick, workers, way, minutes: arguments.minutes };
                let report;
                (lab, report) = rows::run(lab, row, &plan).await?;
                writeln!(out, "{report}")?;
                if let Some(file) = &mut json {
                    writeln!(file, "{}", serde_json::to_string(&report)?)?;
                }
                ran += 1;
                wrong += usize::from(!report.holds());
            }
        }
    }
    writeln!(
        out,
        "{ran} rows, seed {}: {}",
        arguments.seed,
        if wrong == 0 { "all hold".to_owned() } else { format!("{wrong} WRONG") }
    )?;
    Ok(if wrong == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
