//! Documents found inside of documents: attachments of mails, members of archives, embedded files.

use crate::error::ExtractError;
use crate::limits::Limits;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// Longest part of a name, in characters.
const PART_CHARS: usize = 200;
/// Most folders of a name that are kept, from the end.
const PARTS: usize = 24;

/// A document found inside of another.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChildDocument {
    /// Where it lies in its parent: a relative path of `/`-separated parts. Never empty; never with `..`, a NUL, a
    /// control character or a mark that turns the reading direction. Two children may have the same name.
    pub name: String,
    /// Media type guessed from the content; `application/octet-stream` when it cannot be told.
    pub media_type: String,
    /// Its size.
    pub bytes: u64,
    /// The file with its content; `None` when the caller did not ask for the children's content.
    #[serde(skip)]
    pub path: Option<PathBuf>,
}

/// Takes the bytes of one child somewhere.
pub(crate) type Keep<'w> = &'w mut dyn FnMut(&[u8]) -> std::io::Result<()>;

/// Collects children within limits; their bytes go to a writer at once, so that only one is held in memory.
pub(crate) struct Children<'w> {
    found: Vec<ChildDocument>,
    bytes: u64,
    count_limit: u32,
    bytes_limit: u64,
    keep: Option<Keep<'w>>,
    renamed: bool,
}

impl<'w> Children<'w> {
    pub(crate) fn new(limits: &Limits, keep: Option<Keep<'w>>) -> Self {
        Self {
            found: Vec::new(),
            bytes: 0,
            count_limit: limits.children,
            bytes_limit: limits.children_bytes,
            keep,
            renamed: false,
        }
    }

    /// Adds a child; answers the name under which it is kept.
    pub(crate) fn add(&mut self, name: &str, bytes: &[u8]) -> Result<&ChildDocument, ExtractError> {
        if self.found.len() as u64 >= u64::from(self.count_limit) {
            return Err(ExtractError::too_many("documents inside of the file", self.count_limit));
        }
        self.bytes = self.bytes.saturating_add(bytes.len() as u64);
        if self.bytes > self.bytes_limit {
            return Err(ExtractError::TooLarge {
                what: "what lies inside of the file".into(),
                limit: self.bytes_limit,
            });
        }
        if let Some(keep) = &mut self.keep {
            keep(bytes).map_err(|error| ExtractError::Sandbox {
                detail: format!("a document inside of the file cannot be handed on ({})", error.kind()),
            })?;
        }
        let safe = safe_name(name);
        self.renamed |= safe != name;
        let at = self.found.len();
        self.found.push(ChildDocument {
            media_type: guess(bytes, &safe),
            name: safe,
            bytes: bytes.len() as u64,
            path: None,
        });
        Ok(&self.found[at])
    }

    /// How much more the children may hold.
    pub(crate) fn room(&self) -> u64 {
        self.bytes_limit.saturating_sub(self.bytes)
    }

    /// True when the name of a child was not safe and had to be changed.
    pub(crate) fn renamed(&self) -> bool {
        self.renamed
    }

    pub(crate) fn into_found(self) -> Vec<ChildDocument> {
        self.found
    }
}

/// The name without what could lead a reader or a file system astray.
pub(crate) fn safe_name(name: &str) -> String {
    let parts: Vec<String> = name.split(['/', '\\']).filter_map(safe_part).collect();
    let from = parts.len().saturating_sub(PARTS);
    if parts.is_empty() { "unnamed".to_owned() } else { parts[from..].join("/") }
}

fn safe_part(part: &str) -> Option<String> {
    let is_kept = |c: &char| !c.is_control() && !turns_direction(*c);
    let kept: String = part.chars().filter(is_kept).take(PART_CHARS).collect();
    let kept = kept.trim();
    // A drive of Windows.
    let is_drive = kept.len() == 2 && kept.ends_with(':');
    (!kept.is_empty() && !kept.chars().all(|c| c == '.') && !is_drive).then(|| kept.to_owned())
}

/// Marks with which `gpj.exe` can be made to look like `exe.jpg` (UAX 9), and those without any look.
fn turns_direction(c: char) -> bool {
    matches!(c, '\u{61C}' | '\u{200B}'..='\u{200F}' | '\u{202A}'..='\u{202E}' | '\u{2060}'..='\u{206F}' | '\u{FEFF}')
}

/// The media type of a child, for showing; what it is extracted as is decided when it is read.
fn guess(bytes: &[u8], name: &str) -> String {
    let input = crate::formats::Input::new(bytes, Some(name));
    match crate::formats::detect(&input, &[]) {
        Ok(format) => format.media_type_of(&input),
        Err(_) => crate::formats::foreign_type(bytes),
    }
}

#[cfg(test)]
mod tests {
    use super::{Children, safe_name};
    use crate::limits::Limits;

    #[test]
    fn names_become_safe() {
        for (name, safe) in [
            ("../../etc/passwd", "etc/passwd"),
            ("C:\\Windows\\..\\a.txt", "Windows/a.txt"),
            ("/abs//x", "abs/x"),
            ("a\0b\n.txt", "ab.txt"),
            ("invoice\u{202E}gpj.exe", "invoicegpj.exe"),
            ("..", "unnamed"),
            ("", "unnamed"),
            ("Grüße/世界.txt", "Grüße/世界.txt"),
        ] {
            assert_eq!(safe_name(name), safe);
        }
        assert_eq!(safe_name(&"x".repeat(10_000)).len(), 200);
        assert_eq!(safe_name(&"x/".repeat(10_000)).len(), 24 * 2 - 1);
    }

    #[test]
    fn number_and_size_are_bounded() {
        let limits = Limits { children: 2, children_bytes: 10, ..Limits::default() };
        let mut kept = Vec::new();
        let mut keep = |bytes: &[u8]| {
            kept.push(bytes.to_vec());
            Ok(())
        };
        let mut children = Children::new(&limits, Some(&mut keep));
        assert_eq!(children.add("a/../b.txt", b"words").unwrap().name, "a/b.txt");
        assert!(children.renamed());
        assert_eq!(children.add("b", b"123456").unwrap_err().reason(), "too_large");
        let mut children = Children::new(&limits, None);
        children.add("a", b"x").unwrap();
        children.add("b", b"x").unwrap();
        assert_eq!(children.add("c", b"x").unwrap_err().reason(), "too_many");
        assert_eq!(children.into_found()[0].media_type, "text/plain");
        assert_eq!(kept, [b"words".to_vec()]);
    }
}
