//! Embeds texts as fast as it can, for `scripts/bench.d/embedding`.
//!
//! Reads one request per line on standard input: `int8|float32 <texts.json> <vectors.f32>` (a JSON array of strings
//! in, little-endian floats out, one row per text). Answers `<seconds> <resident KiB>` per request. Models are loaded
//! once, before the clock runs.
#![expect(clippy::print_stdout, reason = "its output is its purpose")]

use anyhow::Context;
use carrel_inference::{BuiltinEmbedder, BuiltinOptions, Embedder, InputKind, Precision};
use std::collections::HashMap;
use std::io::BufRead;
use std::time::Instant;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let model_dir = arguments.next().context("usage: embed_bench <model directory> <threads>")?;
    let threads: usize = arguments.next().context("threads")?.parse()?;
    let mut loaded: HashMap<String, BuiltinEmbedder> = HashMap::new();
    for line in std::io::stdin().lock().lines() {
        let line = line?;
        let mut words = line.split_whitespace();
        let precision = words.next().context("precision")?.to_owned();
        let texts: Vec<String> = serde_json::from_slice(&std::fs::read(words.next().context("texts")?)?)?;
        let target = words.next().context("target")?;
        if !loaded.contains_key(&precision) {
            let mut options = BuiltinOptions::new(&model_dir);
            options.precision = if precision == "int8" { Precision::Int8 } else { Precision::Float32 };
            options.threads = threads;
            let started = Instant::now();
            let embedder = BuiltinEmbedder::load(options).await?;
            println!("loaded {:.4} {}", started.elapsed().as_secs_f64(), resident_kib()?);
            embedder.check().await?;
            loaded.insert(precision.clone(), embedder);
        }
        let started = Instant::now();
        let vectors = loaded[&precision].embed(&texts, InputKind::Passage).await?;
        let seconds = started.elapsed().as_secs_f64();
        let bytes: Vec<u8> = vectors.iter().flatten().flat_map(|x| x.to_le_bytes()).collect();
        std::fs::write(target, bytes)?;
        println!("{seconds:.4} {}", resident_kib()?);
    }
    Ok(())
}

/// Resident memory of this process (Linux `/proc/self/status`, VmRSS).
fn resident_kib() -> anyhow::Result<u64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("VmRSS")?;
    Ok(line.trim_end_matches("kB").trim().parse()?)
}
