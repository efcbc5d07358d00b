//! Given names and surnames: the lists of the `fake` crate for nine languages, without those that are ordinary words or
//! places more often than names.

use fake::locales::{CY_GB, DE_DE, Data, EN, FR_FR, IT_IT, NL_NL, PT_BR, PT_PT, TR_TR};
use std::collections::HashSet;
use std::sync::OnceLock;

/// Given names of the lists that are words, months, titles or places of English, German or French first of all.
const RATHER_WORDS: &str = " ally america april art asia august autumn baby baron bell berry brain brandy brook \
    brooklyn brooks brown buck bud camden can chance charity chase chelsea cheyenne christ christian church city \
    cleveland clay coy cruz constant cornell crystal dakota dale dallas dalton dawn delta denver desert diamond don \
    duke duncan earl earnest east eden else elder era ethyl eve ever fern flo flora florida ford forest fleet france \
    garrison general genesis german gay giant glen golden gold grace grant green gust harmony haven hazel heath heaven \
    holy hope houston hudson hunter india indiana iris israel ivy jade jan jazz jordan joy judge june junior justice \
    kelvin kenya king kip lady lake lane law liberty line loan london lord lot lotus love loyal mac madison major \
    marine market marquis marquise martial master max may memphis mercedes merry messiah miles milan miracle \
    missouri misty montana mercy name nash nova nine noble north octave odessa oral orlando paris patience peace \
    pearl phoenix pink porter precious price prince princess promise prudence queen raven reed regal reina rio \
    river rocky rod rode roma roman romaine rose royal rowan ruby rusty sage san santa saint savanna savannah scarlet \
    serenity sienna sierra sim sincere sister sky sole south star state sterling stone storm summer sunday sunny \
    sydney tanner taurean temple theo toy trace trinity turner unique urban van verona vesta victoria viola violet \
    virginia vita ward webster west will willow winter young else line loup ange marc-o aube fleur prune clémence \
    désirée aimée parfait modeste juste constance florence carolina georgia philadelphia alexandria columbus lincoln \
    washington jackson monroe jefferson hamilton wellington ";

/// Both lists, in small letters.
struct Lists {
    given: HashSet<String>,
    surnames: HashSet<String>,
}

fn lists() -> &'static Lists {
    static LISTS: OnceLock<Lists> = OnceLock::new();
    LISTS.get_or_init(|| {
        let given = [
            EN::NAME_FIRST_NAME,
            FR_FR::NAME_FIRST_NAME,
            DE_DE::NAME_FIRST_NAME,
            IT_IT::NAME_FIRST_NAME,
            NL_NL::NAME_FIRST_NAME,
            PT_BR::NAME_FIRST_NAME,
            PT_PT::NAME_FIRST_NAME,
            TR_TR::NAME_FIRST_NAME,
            CY_GB::NAME_FIRST_NAME,
        ];
        let surnames = [
            EN::NAME_LAST_NAME,
            FR_FR::NAME_LAST_NAME,
            DE_DE::NAME_LAST_NAME,
            IT_IT::NAME_LAST_NAME,
            NL_NL::NAME_LAST_NAME,
            PT_BR::NAME_LAST_NAME,
            PT_PT::NAME_LAST_NAME,
            TR_TR::NAME_LAST_NAME,
            CY_GB::NAME_LAST_NAME,
        ];
        let unusual = RATHER_WORDS.split_ascii_whitespace().collect::<HashSet<_>>();
        let small = |list: &'static [&'static str]| list.iter().map(|name| name.to_lowercase());
        let given = given.into_iter().flat_map(small).filter(|name| !unusual.contains(name.as_str()));
        Lists { given: given.collect(), surnames: surnames.into_iter().flat_map(small).collect() }
    })
}

pub(super) fn prepare() {
    lists();
}

/// True for a known given name in any case; of `Anne-Marie`, either part is enough.
pub(super) fn is_given(word: &str) -> bool {
    with_small(word, |word| {
        let given = &lists().given;
        given.contains(word)
            || word.split('-').next().is_some_and(|part| part.len() < word.len() && given.contains(part))
    })
}

/// True for a known surname in any case.
pub(super) fn is_surname(word: &str) -> bool {
    with_small(word, |word| lists().surnames.contains(word))
}

/// Calls with the word in small letters; words of the alphabet of ASCII need no memory for it.
pub(super) fn with_small<T>(word: &str, then: impl FnOnce(&str) -> T) -> T {
    let mut buffer = [0; 32];
    if !word.is_ascii() || word.len() > buffer.len() {
        return then(&word.to_lowercase());
    }
    let buffer = &mut buffer[..word.len()];
    buffer.copy_from_slice(word.as_bytes());
    buffer.make_ascii_lowercase();
    then(std::str::from_utf8(buffer).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::{is_given, is_surname};

    #[test]
    fn names_are_known_in_any_case_and_words_are_none() {
        for name in ["Michael", "MICHAEL", "ABIGAËLLE", "Anne-Marie", "Femke", "João", "Giulia"] {
            assert!(is_given(name), "{name}");
        }
        for word in ["Paris", "May", "Virginia", "Street", "General", ""] {
            assert!(!is_given(word), "{word}");
        }
        assert!(is_surname("Smith") && is_surname("Dupont") && !is_surname("University"));
    }
}
