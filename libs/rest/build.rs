//! Puts a notice where the web page will be, when it has not been built, so that the crate compiles without Node.

use std::path::Path;

fn main() {
    let dist = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../frontend/dist");
    println!("cargo::rerun-if-changed={}", dist.display());
    let index = dist.join("index.html");
    if index.exists() {
        return;
    }
    let notice = "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>Carrel</title>\
                  <p>The page was not built into this binary: run <code>npm ci &amp;&amp; npm run build</code> in \
                  frontend/, then build again. The API is described at <a href=\"/docs\">/docs</a>.</p></html>\n";
    if let Err(error) = std::fs::create_dir_all(&dist).and_then(|()| std::fs::write(&index, notice)) {
        println!("cargo::warning=could not write {}: {error}", index.display());
    }
}
