//! Pages of PDFs that are pictures: drawn by poppler's `pdftoppm`, read by character recognition.

use crate::ocr::{Ocr, Recognised};
use crate::program;
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};

/// The longer side of a drawn page in pixels: A4 at 300 dots per inch. It also bounds pages that claim to be acres.
const LONGER_SIDE: &str = "3500";
/// Most bytes of a drawn page.
const PAGE_BYTES: u64 = 3500 * 3500 + 1024;

/// What became of pages that are pictures.
#[derive(Default)]
pub(super) struct Scan {
    /// Pages that could be drawn.
    pub(super) drawn: u32,
    /// What was read, by page from 1.
    pub(super) read: BTreeMap<u32, Recognised>,
}

/// Reads the pages `wanted` (in order, from 1), as far as there is time. `None` when one of the programs is missing.
pub(super) fn pages(bytes: &[u8], wanted: &[u32], ocr: &Ocr) -> Option<Scan> {
    let (first, last) = (*wanted.first()?, *wanted.last()?);
    let program = program::find("pdftoppm").filter(|_| ocr.is_there())?;
    let arguments = ["-q", "-gray", "-scale-to", LONGER_SIDE, "-f", &first.to_string(), "-l", &last.to_string(), "-"];
    let mut child = program::command(&program, &arguments).spawn().ok()?;
    let mut stdin = child.stdin.take()?;
    let mut stdout = BufReader::new(child.stdout.take()?);
    let mut scan = Scan::default();
    std::thread::scope(|scope| {
        scope.spawn(move || stdin.write_all(bytes).is_ok());
        // Pages are drawn one by one while the earlier ones are read.
        for number in first..=last {
            let Some(picture) = next_picture(&mut stdout) else { break };
            scan.drawn += 1;
            if !ocr.has_time() {
                break;
            }
            if wanted.binary_search(&number).is_ok()
                && let Some(page) = ocr.read(&picture).and_then(|pages| pages.into_iter().next())
            {
                scan.read.insert(number, page);
            }
        }
        child.kill().ok();
    });
    child.wait().ok();
    Some(scan)
}

/// One grey picture of a stream of them (PGM): `P5`, width, height, greatest value, then a byte a pixel.
fn next_picture(stream: &mut impl BufRead) -> Option<Vec<u8>> {
    let mut picture = Vec::new();
    let mut fields = Vec::new();
    while fields.len() < 4 {
        let from = picture.len();
        stream.by_ref().take(64).read_until(b'\n', &mut picture).ok().filter(|count| *count > 0)?;
        let line = String::from_utf8_lossy(&picture[from..]).into_owned();
        fields.extend(line.split_whitespace().map(str::to_owned));
    }
    let [kind, width, height, _] = &fields[..] else { return None };
    let size = width.parse::<u64>().ok()?.checked_mul(height.parse().ok()?)?;
    if kind != "P5" || size > PAGE_BYTES {
        return None;
    }
    let begun = picture.len() as u64;
    stream.by_ref().take(size).read_to_end(&mut picture).ok()?;
    (picture.len() as u64 == begun + size).then_some(picture)
}

#[cfg(test)]
mod tests {
    use super::next_picture;

    #[test]
    fn pictures_are_told_apart() {
        let mut stream = &b"P5\n2 2\n255\n\n\n\n\nP5\n1 1\n255\nxP5\n9 9\n255\nshort"[..];
        assert_eq!(next_picture(&mut stream).unwrap(), b"P5\n2 2\n255\n\n\n\n\n");
        assert_eq!(next_picture(&mut stream).unwrap(), b"P5\n1 1\n255\nx");
        assert_eq!(next_picture(&mut stream), None);
        assert_eq!(next_picture(&mut &b"P6\n1 1\n255\nxxx"[..]), None);
    }
}
