//! Whether the bookmarks of a document come to an end, which the library takes for granted.

use pdf_oxide::PdfDocument;
use std::collections::HashSet;

/// Most bookmarks that are looked at; a book has thousands.
const MOST_BOOKMARKS: usize = 20_000;
/// Deepest bookmarks that are read: every level is a call of a function that calls itself.
const MOST_LEVELS: usize = 64;
/// Longest row of bookmarks of one level, for the same reason.
const LONGEST_ROW: usize = 5_000;

/// True when no bookmark leads back to one before it, and they are not absurdly many.
pub(super) fn ends(document: &PdfDocument) -> bool {
    let Ok(catalog) = document.catalog() else { return false };
    let Some(root) = catalog.as_dict().and_then(|entries| entries.get("Outlines")) else { return true };
    let mut seen = HashSet::new();
    // Each with its level and its place in the row.
    let mut open = vec![(root.clone(), 0, 0)];
    while let Some((object, level, place)) = open.pop() {
        let bookmark = match object.as_reference() {
            Some(reference) if !seen.insert(reference) => return false,
            Some(reference) => match document.load_object(reference) {
                Ok(bookmark) => bookmark,
                Err(_) => continue,
            },
            None => object,
        };
        if level > MOST_LEVELS || place > LONGEST_ROW || seen.len() > MOST_BOOKMARKS {
            return false;
        }
        let Some(entries) = bookmark.as_dict() else { continue };
        if let Some(first) = entries.get("First") {
            open.push((first.clone(), level + 1, 0));
        }
        if let Some(next) = entries.get("Next").filter(|_| level > 0) {
            open.push((next.clone(), level, place + 1));
        }
    }
    true
}
