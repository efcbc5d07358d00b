//! Character recognition by the optional program `tesseract`.

use crate::program;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Where packages put the trained data.
const DATA_PLACES: &[&str] = &[
    "/usr/share/tesseract-ocr/5/tessdata",
    "/usr/share/tesseract-ocr/4.00/tessdata",
    "/usr/share/tessdata",
    "/usr/local/share/tessdata",
    "/opt/homebrew/share/tessdata",
];
/// Words of which it is less sure than this, in percent, are noise: specks, lines, letters of logos.
const LEAST_CONFIDENCE: f32 = 30.0;
/// Pages whose words are less sure than this on average hold no text but the looks of it, as photographs do.
const LEAST_PAGE_CONFIDENCE: f32 = 45.0;
/// Pages whose words are less sure than this on average are worth a warning.
const DOUBTFUL_CONFIDENCE: f32 = 70.0;
/// Most languages that are looked for when none are named: every one costs time.
const MOST_LANGUAGES: usize = 4;
/// Answer of the program, in bytes.
const ANSWER_BYTES: u64 = 64 << 20;

/// How pictures are read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OcrConfig {
    /// False when pictures are never read, even where the program is installed.
    pub enabled: bool,
    /// Languages as the program names its trained data (`eng`, `deu`), joined by `+`. Empty: all that are installed,
    /// at most four.
    pub languages: String,
    /// The program; `None` is the system's.
    pub program: Option<PathBuf>,
    /// Time for all pictures of one document. What is not read by then is named in a warning.
    pub seconds: u64,
}

impl Default for OcrConfig {
    fn default() -> Self {
        Self { enabled: true, languages: String::new(), program: None, seconds: 45 }
    }
}

impl OcrConfig {
    /// True when pictures can be read on this machine, now.
    pub fn is_usable(&self) -> bool {
        Ocr::new(self).is_there()
    }
}

/// What was recognised on one page of a picture.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Recognised {
    /// Paragraphs of lines.
    pub(crate) text: String,
    /// It may be wrong in many places.
    pub(crate) doubtful: bool,
}

/// Character recognition for one document.
pub(crate) struct Ocr {
    program: Option<PathBuf>,
    languages: String,
    mode: &'static str,
    until: Instant,
}

impl Ocr {
    pub(crate) fn new(config: &OcrConfig) -> Self {
        let data = DATA_PLACES.iter().map(Path::new).find(|place| place.is_dir());
        let installed = data.map(installed).unwrap_or_default();
        let wanted: Vec<&str> = config.languages.split('+').filter(|language| !language.is_empty()).collect();
        let languages: Vec<&str> = installed
            .iter()
            .map(String::as_str)
            .filter(|language| *language != "osd" && (wanted.is_empty() || wanted.contains(language)))
            .take(if wanted.is_empty() { MOST_LANGUAGES } else { usize::MAX })
            .collect();
        let usable = config.enabled && !languages.is_empty();
        let program = match &config.program {
            Some(program) => program.exists().then(|| program.clone()),
            None => program::find("tesseract"),
        };
        Self {
            program: program.filter(|_| usable),
            languages: languages.join("+"),
            // With data on scripts and orientation it also reads pages that lie on their side.
            mode: if installed.iter().any(|language| language == "osd") { "1" } else { "3" },
            until: Instant::now() + Duration::from_secs(config.seconds),
        }
    }

    /// True when pictures can be read at all.
    pub(crate) fn is_there(&self) -> bool {
        self.program.is_some()
    }

    /// True when there is time left for another picture.
    pub(crate) fn has_time(&self) -> bool {
        Instant::now() < self.until
    }

    /// The pages of a picture (TIFF may have several), those without words being empty; `None` when the program is
    /// missing or cannot read it.
    pub(crate) fn read(&self, picture: &[u8]) -> Option<Vec<Recognised>> {
        let program = self.program.as_deref()?;
        let arguments = ["stdin", "stdout", "-l", &self.languages, "--psm", self.mode, "tsv"];
        let output = program::run(program, &arguments, picture, ANSWER_BYTES);
        // Without enough letters to tell the orientation from, it refuses instead of assuming the usual one.
        let output = output.or_else(|| {
            let arguments = ["stdin", "stdout", "-l", &self.languages, "--psm", "3", "tsv"];
            program::run(program, &arguments, picture, ANSWER_BYTES)
        })?;
        Some(pages(&String::from_utf8_lossy(&output)))
    }
}

/// Trained data in `folder`, English first.
fn installed(folder: &Path) -> Vec<String> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let names = entries.flatten().filter_map(|entry| entry.file_name().into_string().ok());
    let mut languages: Vec<String> =
        names.filter_map(|name| name.strip_suffix(".traineddata").map(str::to_owned)).collect();
    languages.sort_by_key(|language| (language != "eng", language.clone()));
    languages
}

/// Reads the program's table: one word a line, with its page, block, paragraph, line and confidence.
fn pages(table: &str) -> Vec<Recognised> {
    let mut pages: Vec<Page> = Vec::new();
    for row in table.lines().skip(1) {
        let cells: Vec<&str> = row.splitn(12, '\t').collect();
        let [level, page, block, paragraph, line, .., confidence, word] = cells[..] else { continue };
        let Ok(number) = page.parse::<usize>() else { continue };
        // Pages come in order; a jump would be a misread line.
        while pages.len() < number.min(pages.len() + 1) {
            pages.push(Page::default());
        }
        let (Some(page), "5") = (pages.last_mut(), level) else { continue };
        let confidence: f32 = confidence.parse().unwrap_or(0.0);
        let word = word.trim();
        if confidence < LEAST_CONFIDENCE || word.is_empty() {
            continue;
        }
        page.word(word, confidence, [block, paragraph, line]);
    }
    pages.into_iter().map(Page::finish).collect()
}

#[derive(Default)]
struct Page {
    text: String,
    words: f32,
    confidence: f32,
    place: [String; 3],
}

impl Page {
    fn word(&mut self, word: &str, confidence: f32, place: [&str; 3]) {
        if !self.text.is_empty() {
            self.text.push_str(if self.place[..2] != place[..2] {
                "\n\n"
            } else if self.place[2] != place[2] {
                "\n"
            } else {
                " "
            });
        }
        self.place = place.map(str::to_owned);
        self.text.push_str(word);
        self.words += 1.0;
        self.confidence += confidence;
    }

    fn finish(self) -> Recognised {
        let mean = if self.words > 0.0 { self.confidence / self.words } else { 0.0 };
        let says_something = mean >= LEAST_PAGE_CONFIDENCE && self.text.chars().any(char::is_alphanumeric);
        let text = if says_something { self.text } else { String::new() };
        Recognised { doubtful: !text.is_empty() && mean < DOUBTFUL_CONFIDENCE, text }
    }
}

#[cfg(test)]
mod tests {
    use super::{Recognised, pages};

    #[test]
    fn words_become_lines_and_paragraphs() {
        let table = "level\tpage_num\tblock_num\tpar_num\tline_num\tword_num\tleft\ttop\twidth\theight\tconf\ttext\n\
            1\t1\t0\t0\t0\t0\t0\t0\t640\t480\t-1\t\n\
            5\t1\t1\t1\t1\t1\t0\t0\t1\t1\t96.1\tThis\n5\t1\t1\t1\t1\t2\t0\t0\t1\t1\t95\tis\n5\t1\t1\t1\t2\t1\t0\t0\t1\t1\t93\ta\n\
            5\t1\t1\t1\t2\t2\t0\t0\t1\t1\t12\t~|\n5\t1\t1\t2\t1\t1\t0\t0\t1\t1\t90\tpage\n1\t2\t0\t0\t0\t0\t0\t0\t640\t480\t-1\t\n\
            5\t2\t1\t1\t1\t1\t0\t0\t1\t1\t35\tleaf\n";
        assert_eq!(
            pages(table),
            [
                Recognised { text: "This is\na\n\npage".into(), doubtful: false },
                Recognised { text: String::new(), doubtful: false }
            ]
        );
        assert_eq!(pages(""), []);
    }
}
