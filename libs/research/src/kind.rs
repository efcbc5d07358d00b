//! What a question wants, and what a stretch of text is.

/// What the answer to a question must have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// An amount, a time or a date.
    Number,
    /// Somebody's name.
    Name,
}

/// Beginnings of questions for numbers, in lower case.
const NUMBER_ASKED: &[&str] = &[
    "how much",
    "how many",
    "how long",
    "how often",
    "how old",
    "how far",
    "how deep",
    "how high",
    "how large",
    "how tall",
    "how wide",
    "how fast",
    "how heavy",
    "by how",
    "when ",
    "at what time",
    "what time",
    "what date",
    "what year",
    "what percentage",
    "what amount",
    "on what date",
    "on which date",
    "in what year",
    "in which year",
    "since when",
    "until when",
    "wie viel",
    "wie viele",
    "wie hoch",
    "wie lange",
    "wie oft",
    "wie groß",
    "wann ",
    "seit wann",
    "combien",
    "quand ",
    "cuánto",
    "cuánta",
    "cuándo",
];

/// Words that name a number wherever they stand in a question.
const NUMBER_NAMED: &[&str] = &[
    "price",
    "cost",
    "costs",
    "amount",
    "percentage",
    "percent",
    "date",
    "deadline",
    "duration",
    "rate",
    "ratio",
    "total",
    "preis",
    "kosten",
    "betrag",
    "datum",
    "frist",
    "prix",
    "coût",
    "montant",
    "precio",
    "coste",
    "fecha",
];

const NAME_ASKED: &[&str] =
    &["who ", "whose ", "whom ", "by whom", "wer ", "wen ", "wem ", "wessen ", "von wem", "qui ", "quién "];

impl Kind {
    /// What `question` wants, when its words tell.
    pub(crate) fn wanted_by(question: &str) -> Option<Self> {
        let start: String = question.trim_start().chars().take(400).collect::<String>().to_lowercase();
        let opens = |openings: &[&str]| openings.iter().any(|opening| start.starts_with(opening));
        if opens(NUMBER_ASKED) {
            return Some(Self::Number);
        }
        if opens(NAME_ASKED) {
            return Some(Self::Name);
        }
        let wh = opens(&["what ", "which ", "welche", "was ", "quel", "cuál"]);
        let named = start.split(|c: char| !c.is_alphabetic()).any(|word| NUMBER_NAMED.contains(&word));
        (wh && named).then_some(Self::Number)
    }

    /// Whether `text` has it.
    pub(crate) fn is_in(self, text: &str) -> bool {
        match self {
            Self::Number => text.chars().any(char::is_numeric),
            // A capital after the first word; writing without capitals may hold names anywhere.
            Self::Name => {
                !text.chars().any(char::is_uppercase)
                    || text
                        .split_whitespace()
                        .skip(1)
                        .any(|word| word.chars().find(|c| c.is_alphanumeric()).is_some_and(char::is_uppercase))
            }
        }
    }
}

/// Whether a sentence asks.
pub(crate) fn asks(text: &str) -> bool {
    text.trim_end_matches(|c: char| c.is_whitespace() || matches!(c, '"' | '\'' | '”' | '’' | '»' | ')' | '*' | '_'))
        .ends_with(['?', '？', '؟'])
}

/// Longest heading, in code points.
const HEADING_CHARS: usize = 160;

/// Whether a text is a heading or the like instead of a sentence or a row of a table.
pub(crate) fn is_fragment(text: &str) -> bool {
    let text = text.trim();
    if text.starts_with('#') || text.starts_with("= ") {
        return true;
    }
    if text.contains(['|', '\t']) || text.chars().count() > HEADING_CHARS {
        return false;
    }
    let last =
        text.chars().rev().find(|c| !matches!(c, '"' | '\'' | '”' | '’' | '»' | ')' | ']' | '*' | '_' | '」' | '』'));
    !last.is_some_and(|c| matches!(c, '.' | '!' | '?' | ';' | ':' | '…' | '。' | '！' | '？' | '؟' | '।' | '；' | '：'))
}

#[cfg(test)]
mod tests {
    use super::{Kind, asks, is_fragment};

    #[test]
    fn questions_say_what_they_want() {
        for question in [
            "How much was paid?",
            "When did it end?",
            "What was the total cost of repair?",
            "Wie hoch ist der Preis?",
            "Combien de portes ?",
        ] {
            assert_eq!(Kind::wanted_by(question), Some(Kind::Number), "{question}");
        }
        assert_eq!(Kind::wanted_by("Who signed it?"), Some(Kind::Name));
        for question in ["Why did it fail?", "What is a horn?", "Describe the cost.", ""] {
            assert_eq!(Kind::wanted_by(question), None, "{question}");
        }
    }

    #[test]
    fn texts_have_it_or_not() {
        assert!(Kind::Number.is_in("It took 3 s."));
        assert!(!Kind::Number.is_in("It took long."));
        assert!(Kind::Name.is_in("It was signed by Ms Dorsch."));
        assert!(!Kind::Name.is_in("They signed it."));
        assert!(Kind::Name.is_in("it was signed by ms dorsch."));
    }

    #[test]
    fn headings_are_no_sentences() {
        for text in ["# 4 Analysis", "## 4.1 The test setting.", "Subject: RE: Clock of the controller", "Closing time"]
        {
            assert!(is_fragment(text), "{text}");
        }
        for text in ["It failed.", "“It failed.”", "| S-23 | omitted |", "三个原因。", "Terms:"] {
            assert!(!is_fragment(text), "{text}");
        }
        assert!(asks("Why (\"when?\")") && !asks("Why."));
    }
}
