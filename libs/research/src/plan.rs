//! From a question to the sub-questions that are searched.

use carrel_domain::text::Language;

/// Most steps of a plan.
pub const MAX_STEPS: usize = 6;

/// Code points of a question that are read.
pub const MAX_QUESTION_CHARS: usize = 4_000;

/// Words by which a language joins and compares questions, in lower case.
struct Grammar {
    language: &'static str,
    joins: &'static [&'static str],
    asks: &'static [&'static str],
    /// What opens a comparison, and the words between its two sides.
    compares: &'static [(&'static str, &'static [&'static str])],
    /// What stands for something said before.
    pronouns: &'static [&'static str],
    articles: &'static [&'static str],
}

const GRAMMARS: &[Grammar] = &[
    Grammar {
        language: "en",
        joins: &["and", "or", "but", "also", "plus"],
        asks: &["what", "when", "where", "who", "whom", "whose", "why", "how", "which"],
        compares: &[
            ("difference between", &[" and "]),
            ("differences between", &[" and "]),
            ("differ between", &[" and "]),
            ("compare", &[" and ", " with ", " to ", " against "]),
            ("comparison of", &[" and ", " with "]),
            ("comparison between", &[" and "]),
        ],
        pronouns: &[
            "it", "its", "they", "them", "their", "he", "him", "his", "she", "her", "this", "that", "these", "those",
            "there",
        ],
        articles: &["the", "a", "an"],
    },
    Grammar {
        language: "de",
        joins: &["und", "oder", "sowie", "aber"],
        asks: &[
            "was", "wann", "wo", "wer", "wen", "wem", "wessen", "warum", "weshalb", "wieso", "wie", "welche",
            "welcher", "welches", "welchen", "wohin", "woher", "womit", "wodurch", "wofür",
        ],
        compares: &[
            ("unterschied zwischen", &[" und "]),
            ("unterschiede zwischen", &[" und "]),
            ("vergleiche", &[" und ", " mit "]),
            ("vergleich von", &[" und ", " mit "]),
            ("vergleich zwischen", &[" und "]),
        ],
        pronouns: &[
            "er", "sie", "es", "ihn", "ihm", "ihr", "ihre", "sein", "seine", "dies", "diese", "dieser", "dieses",
            "dort",
        ],
        articles: &["der", "die", "das", "dem", "den", "ein", "eine"],
    },
    Grammar {
        language: "fr",
        joins: &["et", "ou", "mais"],
        asks: &["que", "quand", "où", "qui", "pourquoi", "comment", "combien", "quel", "quelle", "quels", "quelles"],
        compares: &[
            ("différence entre", &[" et "]),
            ("différences entre", &[" et "]),
            ("comparer", &[" et ", " avec ", " à "]),
        ],
        pronouns: &["il", "elle", "ils", "elles", "lui", "leur", "son", "sa", "ses", "ce", "cela"],
        articles: &["le", "la", "les", "un", "une"],
    },
    Grammar {
        language: "es",
        joins: &["y", "o", "pero"],
        asks: &[
            "qué", "cuándo", "dónde", "quién", "quiénes", "por", "cómo", "cuánto", "cuántos", "cuántas", "cuál",
            "cuáles",
        ],
        compares: &[("diferencia entre", &[" y "]), ("diferencias entre", &[" y "]), ("comparar", &[" y ", " con "])],
        pronouns: &["él", "ella", "ellos", "ellas", "lo", "la", "su", "sus", "esto", "eso"],
        articles: &["el", "la", "los", "las", "un", "una"],
    },
];

/// Sub-questions of `question`, one to [`MAX_STEPS`], each searchable alone.
///
/// Several questions in one are taken apart ("… and when …", several question marks, numbered points); a comparison
/// and a list of attributes also ask for each side. The whole question comes first unless its parts say all of it.
/// Anything else is one step: the question itself. A language without rules of its own goes by those of all.
///
/// ```
/// use carrel_domain::text::Language;
/// use carrel_research::plan;
///
/// assert_eq!(plan("Who built the gate and when did the pump fail?", Language::ENGLISH), [
///     "Who built the gate?",
///     "when did the pump fail?",
/// ]);
/// assert_eq!(plan("What is the difference between the draft and the final contract?", Language::ENGLISH), [
///     "What is the difference between the draft and the final contract?",
///     "the draft?",
///     "the final contract?",
/// ]);
/// ```
pub fn plan(question: &str, language: Language) -> Vec<String> {
    let bounded: String = question.chars().take(MAX_QUESTION_CHARS).collect();
    let whole = bounded.split_whitespace().collect::<Vec<_>>().join(" ");
    let known: Vec<&Grammar> = GRAMMARS.iter().filter(|grammar| grammar.language == language.as_str()).collect();
    let grammars: Vec<&Grammar> = if known.is_empty() { GRAMMARS.iter().collect() } else { known };

    let points = points(&bounded);
    let (mut steps, complete) = if points.len() >= 2 {
        (points, true)
    } else {
        let asked = asked(&whole);
        let complete = asked.iter().all(|piece| piece.is_question);
        let questions: Vec<String> =
            asked.into_iter().filter(|piece| piece.is_question).map(|piece| piece.text).collect();
        let mut steps = Vec::new();
        for piece in &questions {
            steps.extend(joined(piece, &grammars));
        }
        (steps, complete)
    };
    if steps.len() < 2 {
        steps = sides(&whole, &grammars).or_else(|| attributes(&whole)).unwrap_or_default();
        steps.insert(0, whole);
    } else if !complete {
        steps.insert(0, whole);
    }
    let mut seen = std::collections::BTreeSet::new();
    steps.retain(|step| seen.insert(step.to_lowercase()));
    steps.truncate(MAX_STEPS);
    steps
}

/// Lines that are marked as points of a list, each after the words that introduce the list.
fn points(text: &str) -> Vec<String> {
    let mut head = String::new();
    let mut points = Vec::new();
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let body = line.trim_start_matches(|c: char| c.is_ascii_digit());
        let marked = if body.len() < line.len() && line.len() - body.len() <= 2 {
            body.strip_prefix(['.', ')'])
        } else {
            line.strip_prefix(['-', '*', '•', '–'])
        };
        match marked.filter(|rest| rest.starts_with(char::is_whitespace)).map(str::trim) {
            Some(point) if has_words(point) => points.push(point.to_owned()),
            _ if points.is_empty() => {
                if !head.is_empty() {
                    head.push(' ');
                }
                head.push_str(line);
            }
            // Words after the list: no plain list of points.
            _ => return Vec::new(),
        }
    }
    if points.len() < 2 {
        return Vec::new();
    }
    let head = head.trim_end_matches([':', '?', '：', '？']).trim();
    if has_words(head) && head.chars().count() <= 200 {
        for point in &mut points {
            *point = format!("{head}: {point}");
        }
    }
    points
}

struct Piece {
    text: String,
    is_question: bool,
}

/// Cut after question marks; what stands between without one is no question.
fn asked(text: &str) -> Vec<Piece> {
    let mut pieces: Vec<Piece> = Vec::new();
    let mut current = String::new();
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        current.push(c);
        let wide = matches!(c, '？' | '؟');
        if !(wide || c == '?' && chars.peek().is_none_or(|next| next.is_whitespace() || !next.is_ascii())) {
            continue;
        }
        let piece = current.trim().to_owned();
        current.clear();
        if has_words(&piece) {
            pieces.push(Piece { text: piece, is_question: true });
        }
    }
    let rest = current.trim();
    if has_words(rest) {
        pieces.push(Piece { text: rest.to_owned(), is_question: pieces.is_empty() });
    }
    pieces
}

/// Cut before a joining word with a question word after it, and after a semicolon or comma with one.
fn joined(question: &str, grammars: &[&Grammar]) -> Vec<String> {
    let words: Vec<&str> = question.split(' ').collect();
    let lower: Vec<String> = words.iter().map(|word| bare(word)).collect();
    let mut parts: Vec<Vec<&str>> = Vec::new();
    let mut current: Vec<&str> = Vec::new();
    let mut at = 0;
    // Whether the part that is being read asks something already.
    let mut asking = asks_for(&lower);
    let is_asking = |word: &String| grammars.iter().any(|grammar| grammar.asks.contains(&word.as_str()));
    while at < words.len() {
        let after_semicolon = at > 0 && words[at - 1].ends_with(';');
        let joining = grammars.iter().any(|grammar| grammar.joins.contains(&lower[at].as_str()));
        let joins =
            asking && (joining && lower.get(at + 1).is_some_and(is_asking) || after_semicolon && is_asking(&lower[at]));
        // A question word alone ("how and why did …") is not a question.
        if joins && current.len() >= 3 && words.len() - at >= 3 {
            parts.push(std::mem::take(&mut current));
            if !words[at - 1].ends_with(';') {
                at += 1;
            }
        }
        current.push(words[at]);
        asking |= is_asking(&lower[at]);
        at += 1;
    }
    parts.push(current);
    if parts.len() < 2 {
        return vec![question.to_owned()];
    }
    let first = parts[0].join(" ");
    let topic = first.trim_end_matches([',', ';', '?', ' ']).to_owned();
    parts
        .iter()
        .enumerate()
        .map(|(index, part)| {
            let text = part.join(" ");
            let text = text.trim_end_matches([',', ';', '?', ' ', '？']);
            let refers = index > 0
                && part
                    .iter()
                    .any(|word| grammars.iter().any(|grammar| grammar.pronouns.contains(&bare(word).as_str())));
            // "and when was it replaced" says nothing without the question before it.
            if refers || index > 0 && part.len() < 4 { format!("{text}? ({topic})") } else { format!("{text}?") }
        })
        .collect()
}

/// English questions and requests without a question word.
fn asks_for(words: &[String]) -> bool {
    words.first().is_some_and(|word| {
        matches!(
            word.as_str(),
            "is" | "are"
                | "was"
                | "were"
                | "did"
                | "does"
                | "do"
                | "has"
                | "have"
                | "can"
                | "could"
                | "should"
                | "explain"
                | "describe"
                | "list"
                | "tell"
                | "name"
                | "summarise"
                | "summarize"
                | "show"
                | "find"
        )
    })
}

/// Both sides of a comparison.
fn sides(question: &str, grammars: &[&Grammar]) -> Option<Vec<String>> {
    let lower = question.to_lowercase();
    if lower.len() != question.len() {
        // Some letters change their length; positions would not agree.
        return None;
    }
    for (opening, middles) in grammars.iter().flat_map(|grammar| grammar.compares) {
        let Some(at) = lower.find(opening) else {
            continue;
        };
        let start = at + opening.len();
        let (Some(rest), Some(rest_lower)) = (question.get(start..), lower.get(start..)) else {
            continue;
        };
        for middle in *middles {
            if let Some(cut) = rest_lower.find(middle)
                && let (Some(left), Some(right)) = (rest.get(..cut), rest.get(cut + middle.len()..))
            {
                return both(left, right);
            }
        }
    }
    for versus in [" versus ", " vs. ", " vs "] {
        if let Some(cut) = lower.find(versus)
            && let (Some(left), Some(right)) = (question.get(..cut), question.get(cut + versus.len()..))
        {
            return both(left, right);
        }
    }
    None
}

fn both(left: &str, right: &str) -> Option<Vec<String>> {
    let clean = |side: &str| {
        side.trim_matches(|c: char| c.is_whitespace() || matches!(c, '?' | '.' | ',' | ':' | '？')).to_owned()
    };
    let (left, right) = (clean(left), clean(right));
    let usable = |side: &str| has_words(side) && side.split(' ').count() <= 20;
    (usable(&left) && usable(&right)).then(|| vec![format!("{left}?"), format!("{right}?")])
}

/// "the height, width and weight of the gate": one question for each of three or more attributes.
fn attributes(question: &str) -> Option<Vec<String>> {
    let body = question.trim_end_matches(['?', '.', ' ']);
    let (list, subject) = body.split_once(" of ")?;
    if list.contains(" of ") || subject.split(' ').count() > 12 || subject.contains(',') {
        return None;
    }
    let list = list.replace(", and ", ", ").replace(" and ", ", ");
    let mut names: Vec<&str> = list.split(", ").map(str::trim).collect();
    if names.len() < 3 {
        return None;
    }
    // The first one carries the question's opening: "What are the height".
    let opening = names[0];
    names[0] = GRAMMARS[0]
        .articles
        .iter()
        .find_map(|article| opening.rsplit_once(&format!(" {article} ")).map(|(_, name)| name))
        .unwrap_or_else(|| opening.rsplit(' ').next().unwrap_or(opening));
    if names.iter().any(|name| !has_words(name) || name.split(' ').count() > 3) {
        return None;
    }
    Some(names.into_iter().map(|name| format!("{name} of {subject}?")).collect())
}

fn bare(word: &str) -> String {
    word.trim_matches(|c: char| !c.is_alphanumeric()).to_lowercase()
}

fn has_words(text: &str) -> bool {
    text.chars().any(char::is_alphanumeric)
}

#[cfg(test)]
mod tests {
    use super::{MAX_STEPS, plan};
    use carrel_domain::text::Language;
    use proptest::prelude::*;

    fn of(code: &str, question: &str) -> Vec<String> {
        plan(question, Language::parse(code).unwrap())
    }

    #[test]
    fn a_plain_question_is_its_own_plan() {
        for question in [
            "What caused the gate to close early?",
            "How much was the amortization for the years ended December 31, 2004 and 2003?",
            "What changes has the administration announced regarding fees and pricing transparency?",
            "How and why did the gate fail?",
            "gate failure",
        ] {
            assert_eq!(of("en", question), [question]);
        }
    }

    #[test]
    fn joined_questions_are_taken_apart() {
        assert_eq!(of("en", "Who signed?  When was it paid?\nWhy?"), ["Who signed?", "When was it paid?", "Why?"]);
        assert_eq!(
            of("en", "Who designed the lock gate and when was it replaced?"),
            ["Who designed the lock gate?", "when was it replaced? (Who designed the lock gate)"]
        );
        assert_eq!(
            of("en", "What is the test pressure; who measured the leak rate?"),
            ["What is the test pressure?", "who measured the leak rate?"]
        );
        assert_eq!(
            of("de", "Wer hat das Tor gebaut und wann wurde die Pumpe geprüft?"),
            ["Wer hat das Tor gebaut?", "wann wurde die Pumpe geprüft?"]
        );
        assert_eq!(of("zh", "谁批准了预算？什么时候批准的？"), ["谁批准了预算？", "什么时候批准的？"]);
    }

    #[test]
    fn words_around_questions_keep_the_whole_first() {
        let steps = of("en", "Who signed? Who paid? I need this for the audit.");
        assert_eq!(steps, ["Who signed? Who paid? I need this for the audit.", "Who signed?", "Who paid?"]);
    }

    #[test]
    fn comparisons_attributes_and_points_ask_for_each() {
        assert_eq!(
            of("en", "Compare the SAT protocol with the FAT protocol."),
            ["Compare the SAT protocol with the FAT protocol.", "the SAT protocol?", "the FAT protocol?"]
        );
        assert_eq!(of("und", "Unterschied zwischen A1 und B2?")[1..], ["A1?", "B2?"]);
        assert_eq!(
            of("en", "What are the height, width and weight of the gate?"),
            [
                "What are the height, width and weight of the gate?",
                "height of the gate?",
                "width of the gate?",
                "weight of the gate?"
            ]
        );
        assert_eq!(
            of("en", "About the gate:\n1. who built it\n2) its weight"),
            ["About the gate: who built it", "About the gate: its weight"]
        );
    }

    #[test]
    fn odd_input_is_one_step() {
        assert_eq!(of("en", "?!?"), ["?!?"]);
        assert_eq!(of("en", "  "), [""]);
        assert_eq!(of("en", "e.g. http://a.b/?q=1&x=what and nothing"), ["e.g. http://a.b/?q=1&x=what and nothing"]);
    }

    proptest! {
        #[test]
        fn plans_are_bounded_and_deterministic(
            question in "((who|what|when|and|or|the|of|between|difference|compare|versus|it|und|wann|1\\.|-|,|;|\\?|？|预算|İ|ß|\\PC)[ \n]?){0,60}",
            code in "(en|de|fr|es|zh|und)",
        ) {
            let steps = of(&code, &question);
            prop_assert!((1..=MAX_STEPS).contains(&steps.len()));
            prop_assert_eq!(&steps, &of(&code, &question));
            if question.chars().any(char::is_alphanumeric) {
                prop_assert!(steps.iter().all(|step| step.chars().any(char::is_alphanumeric)));
            }
        }
    }

    #[test]
    fn long_questions_end() {
        for words in ["what and the gate ", "how of, ", "a; what is ", "? what of and, ", "- \n1. x\n"] {
            let steps = of("en", &words.repeat(100_000 / words.len()));
            assert!((1..=MAX_STEPS).contains(&steps.len()));
        }
    }
}
