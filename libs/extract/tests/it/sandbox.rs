//! Files that misbehave, in a real child process.

use crate::fixtures::{docx, paragraph, pdf};
use carrel_extract::{ExtractError, Request, Sandbox, SandboxConfig};
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// Without character recognition, which not every machine has.
pub(crate) fn config() -> SandboxConfig {
    let mut config = SandboxConfig::for_program(env!("CARGO_BIN_EXE_carrel-extract-child"));
    config.ocr.enabled = false;
    config
}

async fn run(config: SandboxConfig, bytes: &[u8], name: &str) -> Result<carrel_domain::text::Rendition, ExtractError> {
    let folder = tempfile::tempdir().unwrap();
    let path: PathBuf = folder.path().join("file");
    std::fs::write(&path, bytes).unwrap();
    Sandbox::new(config).extract(&path, Some(name)).await
}

async fn reason(config: SandboxConfig, bytes: &[u8]) -> &'static str {
    run(config, bytes, "a.txt").await.unwrap_err().reason()
}

#[tokio::test(flavor = "multi_thread")]
async fn good_files_come_back_whole() {
    let rendition = run(config(), "# Grüße\n\n\"世界\"".as_bytes(), "a.md").await.unwrap();
    assert_eq!(rendition.text, "Grüße\n\n\"世界\"");
    assert_eq!(run(config(), &pdf(&["One page"], "", &[]), "a.pdf").await.unwrap().map.pages.len(), 1);
    assert_eq!(run(config(), &docx(&paragraph("", "Hello")), "x\0y").await.unwrap().text, "Hello");
    let long = "word ".repeat(2_000_000);
    assert_eq!(run(config(), long.as_bytes(), "a.txt").await.unwrap().text.len(), long.len() - 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn failures_keep_their_reason() {
    assert_eq!(reason(config(), b"").await, "empty");
    assert_eq!(reason(config(), b" \n ").await, "empty");
    assert_eq!(reason(config(), b"%PDF-1.7 garbage").await, "damaged");
    assert_eq!(reason(config(), &pdf(&[""], "", &[])).await, "needs_ocr");
    let mut small = config();
    small.limits.input_bytes = 10;
    assert_eq!(reason(small, b"more than ten bytes").await, "too_large");
}

#[tokio::test(flavor = "multi_thread")]
async fn endless_work_is_stopped() {
    let mut by_cpu = config();
    by_cpu.cpu_seconds = 1;
    assert_eq!(run(by_cpu, b"misbehave:spin", "").await.unwrap_err(), ExtractError::LimitCpu { seconds: 1 });
    let mut by_wall = config();
    by_wall.wall = Duration::from_millis(300);
    let started = Instant::now();
    assert_eq!(reason(by_wall, b"misbehave:sleep").await, "limit_time");
    assert!(started.elapsed() < Duration::from_secs(20));
}

#[tokio::test(flavor = "multi_thread")]
async fn too_much_memory_is_refused() {
    let mut small = config();
    small.memory_bytes = 400 << 20;
    assert_eq!(reason(small, b"misbehave:hoard").await, "limit_memory");
}

#[tokio::test(flavor = "multi_thread")]
async fn crashes_are_reported_without_words_of_the_document() {
    for how in ["recurse", "panic", "abort"] {
        let error = run(config(), format!("misbehave:{how}").as_bytes(), "").await.unwrap_err();
        assert_eq!(error.reason(), "crashed", "{how}");
        assert!(!error.to_string().contains("secret"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_output_is_cut() {
    let mut small = config();
    small.limits.output_bytes = 1 << 20;
    assert_eq!(reason(small, b"misbehave:flood").await, "too_large");
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_can_be_written() {
    // Landlock refuses; without it the limit on the size of files ends the process.
    assert!(matches!(reason(config(), b"misbehave:write").await, "needs_ocr" | "crashed"));
    assert!(std::fs::metadata("/tmp/carrel-extract-escaped").map_or(0, |file| file.len()) == 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_answer_is_not_believed() {
    assert_eq!(reason(config(), b"misbehave:babble").await, "crashed");
}

#[tokio::test(flavor = "multi_thread")]
async fn walls_stand_where_the_kernel_has_them() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("file");
    std::fs::write(&path, "words").unwrap();
    let request = Request { input: &path, name: None, depth: 0, children: None };
    let walls = Sandbox::new(config()).extract_with_children(&request).await.unwrap().confinement;
    // The child answers needs_ocr when it was refused.
    let expected = |wall: bool| if wall { "needs_ocr" } else { "empty" };
    assert_eq!(reason(config(), b"misbehave:connect").await, expected(walls.seccomp));
    assert_eq!(reason(config(), b"misbehave:read").await, expected(walls.landlock));
}

#[tokio::test(flavor = "multi_thread")]
async fn children_are_counted_on_both_sides() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("file");
    std::fs::write(&path, "misbehave:litter").unwrap();
    let kept = tempfile::tempdir().unwrap();
    let request = Request { input: &path, name: None, depth: 0, children: Some(kept.path()) };
    let mut config = config();
    config.limits.children = 10;
    assert_eq!(Sandbox::new(config).extract_with_children(&request).await.unwrap_err().reason(), "too_many");
    assert_eq!(std::fs::read_dir(kept.path()).unwrap().count(), 10);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dropped_extraction_leaves_no_process() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("file");
    std::fs::write(&path, "misbehave:sleep").unwrap();
    let sandbox = Sandbox::new(config());
    let dropped = tokio::time::timeout(Duration::from_millis(200), sandbox.extract(&path, None)).await;
    assert!(dropped.is_err());
    // The next one works as if nothing had happened.
    std::fs::write(&path, "fine").unwrap();
    assert_eq!(sandbox.extract(&path, None).await.unwrap().text, "fine");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_that_is_missing_is_no_fault_of_the_file() {
    let error = run(SandboxConfig::for_program("/nonexistent/program"), b"x", "").await.unwrap_err();
    assert_eq!(error.reason(), "sandbox");
    assert!(error.is_transient());
    let error = Sandbox::new(config()).extract(std::path::Path::new("/nonexistent/file"), None).await.unwrap_err();
    assert_eq!(error.reason(), "sandbox");
}
