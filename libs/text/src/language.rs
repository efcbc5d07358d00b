//! Which language a text is written in.

use crate::script::{is_arabic, is_han, is_hangul, is_kana, is_latin};
use crate::stop_words::stop_words;
use carrel_domain::text::Language;

/// Code points read from each of at most three places of a text.
const SAMPLE_CHARS: usize = 2000;
/// Texts longer than this are read at their start, middle and three quarters.
const LONG_TEXT_BYTES: usize = 24_000;
/// Fewer letters tell nothing in a script that several languages share.
const MIN_LETTERS: usize = 24;

/// Words whose language is looked up.
const MAX_VOTERS: usize = 300;

/// Languages whose stop words are counted when the statistics of letters leave a doubt.
const LATIN_LANGUAGES: [&str; 14] =
    ["en", "de", "fr", "es", "it", "pt", "nl", "sv", "da", "no", "fi", "ro", "hu", "tr"];

/// The language of `text`, from a bounded sample; [`Language::UNDETERMINED`] when it is too short or unclear.
///
/// ```
/// use carrel_domain::text::Language;
/// use carrel_text::detect_language;
///
/// assert_eq!(detect_language("The committee approved the budget for the next year."), Language::ENGLISH);
/// assert_eq!(detect_language("预算已经获得委员会批准").as_str(), "zh");
/// assert_eq!(detect_language("42 %"), Language::UNDETERMINED);
/// ```
pub fn detect_language(text: &str) -> Language {
    let sample = sample(text);
    let mut counts = Counts::default();
    for c in sample.chars() {
        counts.add(c);
    }
    if let Some(code) = counts.language_of_script() {
        return Language::parse(code).unwrap_or(Language::UNDETERMINED);
    }
    if counts.letters < MIN_LETTERS {
        return Language::UNDETERMINED;
    }
    // Function words are the surer sign, and counting them is the cheaper way.
    let votes = if counts.latin * 2 > counts.letters { Votes::of(&sample) } else { Votes::default() };
    if votes.are_clear() {
        return Language::parse(votes.winner).unwrap_or(Language::UNDETERMINED);
    }
    let guess = whatlang::detect(&sample);
    let guessed = guess.as_ref().map_or("", |info| short_code(info.lang().code()));
    let reliable = guess.is_some_and(|info| info.is_reliable() || (counts.letters >= 300 && info.confidence() >= 0.3));
    if reliable || votes.confirm(guessed) {
        return Language::parse(guessed).unwrap_or(Language::UNDETERMINED);
    }
    // Lists of names have few function words, but those are enough when no other language has them.
    if votes.hits >= 3 && votes.hits >= 3 * votes.runner_up {
        return Language::parse(votes.winner).unwrap_or(Language::UNDETERMINED);
    }
    Language::UNDETERMINED
}

/// Some of the start, and of later places when the text is long: covers and tables of contents mislead.
fn sample(text: &str) -> String {
    if text.len() <= LONG_TEXT_BYTES {
        return text.chars().take(3 * SAMPLE_CHARS).collect();
    }
    let mut sample = String::new();
    for quarter in [0, 2, 3] {
        let start = text.floor_char_boundary(text.len() / 4 * quarter);
        sample.extend(text[start..].chars().take(SAMPLE_CHARS));
        sample.push('\n');
    }
    sample
}

/// Letters per script.
#[derive(Default)]
struct Counts {
    letters: usize,
    latin: usize,
    han: usize,
    kana: usize,
    hangul: usize,
    hebrew: usize,
    greek: usize,
    thai: usize,
    arabic: usize,
}

impl Counts {
    fn add(&mut self, c: char) {
        if !c.is_alphabetic() {
            return;
        }
        self.letters += 1;
        match c {
            _ if is_latin(c) => self.latin += 1,
            _ if is_han(c) => self.han += 1,
            _ if is_kana(c) => self.kana += 1,
            _ if is_hangul(c) => self.hangul += 1,
            _ if is_arabic(c) => self.arabic += 1,
            '\u{0590}'..='\u{05FF}' => self.hebrew += 1,
            '\u{0370}'..='\u{03FF}' | '\u{1F00}'..='\u{1FFF}' => self.greek += 1,
            '\u{0E00}'..='\u{0E7F}' => self.thai += 1,
            _ => {}
        }
    }

    /// The language when the script alone decides. A CJK character weighs three Latin letters.
    fn language_of_script(&self) -> Option<&'static str> {
        let east_asian = self.han + self.kana + self.hangul;
        if east_asian >= 2 && east_asian * 3 > self.letters - east_asian {
            // Japanese prose is one half kana; a Chinese text may quote a little of it.
            if self.hangul > self.han + self.kana {
                return Some("ko");
            }
            return Some(if self.kana * 8 > self.han { "ja" } else { "zh" });
        }
        let by_script = [(self.hebrew, "he"), (self.greek, "el"), (self.thai, "th")];
        by_script.into_iter().find(|(count, _)| *count >= 4 && count * 2 > self.letters).map(|(_, code)| code)
    }
}

/// How many of a text's words are stop words of the language that has most of them.
#[derive(Default)]
struct Votes {
    words: usize,
    winner: &'static str,
    hits: usize,
    runner_up: usize,
}

impl Votes {
    fn of(sample: &str) -> Self {
        let lower = sample.to_lowercase();
        let words: Vec<&str> = lower
            .split(|c: char| !c.is_alphabetic() && c != '\'')
            .filter(|word| !word.is_empty())
            .take(MAX_VOTERS)
            .collect();
        let mut votes = Self { words: words.len(), ..Self::default() };
        for code in LATIN_LANGUAGES {
            let list = stop_words(code);
            let hits = words.iter().filter(|word| list.contains(**word)).count();
            if hits > votes.hits {
                votes.runner_up = votes.hits;
                votes.hits = hits;
                votes.winner = code;
            } else {
                votes.runner_up = votes.runner_up.max(hits);
            }
        }
        votes
    }

    /// The winner's words make up a good part of the text, well ahead of any other language's.
    fn are_clear(&self) -> bool {
        self.words >= 6 && self.hits >= 4 && self.hits * 5 >= self.words && self.hits * 2 >= self.runner_up * 3
    }

    fn confirm(&self, code: &str) -> bool {
        self.hits >= 2 && self.winner == code && self.hits > self.runner_up
    }
}

/// ISO 639-1 for the ISO 639-3 codes that whatlang gives.
fn short_code(code: &str) -> &str {
    const CODES: &[(&str, &str)] = &[
        ("afr", "af"),
        ("aka", "ak"),
        ("amh", "am"),
        ("ara", "ar"),
        ("aze", "az"),
        ("bel", "be"),
        ("ben", "bn"),
        ("bul", "bg"),
        ("cat", "ca"),
        ("ces", "cs"),
        ("cmn", "zh"),
        ("cym", "cy"),
        ("dan", "da"),
        ("deu", "de"),
        ("ell", "el"),
        ("eng", "en"),
        ("epo", "eo"),
        ("est", "et"),
        ("fin", "fi"),
        ("fra", "fr"),
        ("guj", "gu"),
        ("heb", "he"),
        ("hin", "hi"),
        ("hrv", "hr"),
        ("hun", "hu"),
        ("hye", "hy"),
        ("ind", "id"),
        ("ita", "it"),
        ("jav", "jv"),
        ("jpn", "ja"),
        ("kan", "kn"),
        ("kat", "ka"),
        ("khm", "km"),
        ("kor", "ko"),
        ("lat", "la"),
        ("lav", "lv"),
        ("lit", "lt"),
        ("mal", "ml"),
        ("mar", "mr"),
        ("mkd", "mk"),
        ("mya", "my"),
        ("nep", "ne"),
        ("nld", "nl"),
        ("nob", "no"),
        ("ori", "or"),
        ("pan", "pa"),
        ("pes", "fa"),
        ("pol", "pl"),
        ("por", "pt"),
        ("ron", "ro"),
        ("rus", "ru"),
        ("sin", "si"),
        ("slk", "sk"),
        ("slv", "sl"),
        ("sna", "sn"),
        ("spa", "es"),
        ("srp", "sr"),
        ("swe", "sv"),
        ("tam", "ta"),
        ("tel", "te"),
        ("tgl", "tl"),
        ("tha", "th"),
        ("tuk", "tk"),
        ("tur", "tr"),
        ("ukr", "uk"),
        ("urd", "ur"),
        ("uzb", "uz"),
        ("vie", "vi"),
        ("yid", "yi"),
        ("zul", "zu"),
    ];
    CODES.iter().find(|(long, _)| *long == code).map_or(code, |(_, short)| short)
}

#[cfg(test)]
mod tests {
    use super::{detect_language, short_code};

    #[test]
    fn languages_are_told_apart() {
        for (code, text) in [
            ("en", "What was the total revenue of the company in the third quarter of the year?"),
            ("de", "Der Ausschuss hat den Haushalt für das kommende Jahr mit großer Mehrheit beschlossen."),
            ("fr", "Le comité a approuvé le budget de l'année prochaine à une large majorité."),
            ("es", "El comité aprobó el presupuesto para el próximo año por una amplia mayoría."),
            ("pt", "O comitê aprovou o orçamento para o próximo ano com uma grande maioria dos votos."),
            ("it", "Il comitato ha approvato il bilancio per il prossimo anno con una larga maggioranza."),
            ("nl", "De commissie heeft de begroting voor het volgende jaar met een grote meerderheid goedgekeurd."),
            ("ru", "Комитет утвердил бюджет на следующий год значительным большинством голосов."),
            ("ar", "وافقت اللجنة على ميزانية العام المقبل بأغلبية كبيرة من الأصوات في الاجتماع."),
            ("fa", "کمیته بودجه سال آینده را با اکثریت قاطع آرا در جلسه دیروز تصویب کرد و گزارش آن را منتشر نمود."),
            ("zh", "委员会以多数票通过了明年的预算。"),
            ("ja", "委員会は来年度の予算を賛成多数で可決した。"),
            ("ko", "위원회는 내년도 예산을 찬성 다수로 가결했다."),
            ("he", "הוועדה אישרה את התקציב לשנה הבאה ברוב גדול."),
            ("el", "Η επιτροπή ενέκρινε τον προϋπολογισμό για το επόμενο έτος."),
            ("th", "คณะกรรมการอนุมัติงบประมาณสำหรับปีหน้า"),
        ] {
            assert_eq!(detect_language(text).as_str(), code, "{text}");
        }
    }

    #[test]
    fn what_tells_nothing_is_undetermined() {
        for text in ["", "   ", "12,345.67 | 89 | 10", "OK", "x"] {
            assert_eq!(detect_language(text).as_str(), "und", "{text}");
        }
    }

    #[test]
    fn ten_megabytes_cost_no_more_than_a_page() {
        let text = "The committee approved the budget for the next year. ".repeat(200_000);
        let started = std::time::Instant::now();
        assert_eq!(detect_language(&text).as_str(), "en");
        assert!(started.elapsed().as_millis() < 2000);
    }

    #[test]
    fn every_code_is_short_where_a_short_one_exists() {
        for language in whatlang::Lang::all() {
            assert_eq!(short_code(language.code()).len(), 2, "{language:?}");
        }
    }
}
