//! Words that say nothing about what a text is about, per language.

use crate::fold::fold_arabic;
use std::collections::{HashMap, HashSet};
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

type Words = Arc<HashSet<String>>;

static LISTS: LazyLock<Mutex<HashMap<String, Words>>> = LazyLock::new(Mutex::default);

/// The stop words of the ISO 639-1 `code` (the Natural Language Toolkit's lists), in lower case, with `'` for
/// every apostrophe, also without it; empty for a language without a list.
pub(crate) fn stop_words(code: &str) -> Words {
    let mut lists = LISTS.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(words) = lists.get(code) {
        return Arc::clone(words);
    }
    let words = Arc::new(load(code));
    lists.insert(code.to_owned(), Arc::clone(&words));
    words
}

fn load(code: &str) -> HashSet<String> {
    // Pairs of characters are never whole words, so Chinese words would only cost positions.
    if matches!(code, "zh" | "ja" | "ko" | "th") {
        return HashSet::new();
    }
    let mut words = HashSet::new();
    for word in stop_words::lookup(code).unwrap_or_default() {
        let word = word.trim().to_lowercase().replace('’', "'");
        if code == "ar" {
            words.insert(fold_arabic(&word));
        }
        words.insert(word.replace('\'', ""));
        words.insert(word);
    }
    words.remove("");
    if code == "en" {
        // Auxiliaries and the like that the list lacks; measured to help questions find their passages.
        words.extend(["us", "would", "could", "may", "might", "must", "shall", "upon", "also"].map(str::to_owned));
    }
    words
}
