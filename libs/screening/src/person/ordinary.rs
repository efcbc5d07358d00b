//! Words that begin with a capital letter and are no part of a person's name.

use super::given::with_small;
use std::collections::HashSet;
use std::sync::OnceLock;

/// Particles of surnames and of streets, in small letters.
const PARTICLES: &[&str] = &[
    "de", "da", "do", "dos", "das", "di", "du", "del", "della", "delle", "dei", "degli", "dal", "la", "le", "les",
    "lo", "van", "von", "vom", "der", "den", "dem", "des", "ten", "ter", "te", "het", "op", "zu", "zum", "zur", "und",
    "af", "av", "y", "e", "el", "al", "bin", "ibn", "ben", "of", "the", "aux", "au", "sur", "i", "na", "im", "am",
    "an",
];
/// Particles that names of persons have.
const OF_NAMES: &[&str] = &[
    "de", "da", "do", "dos", "das", "di", "du", "del", "della", "dei", "dal", "la", "le", "van", "von", "vom", "der",
    "den", "ten", "ter", "te", "zu", "zum", "zur", "af", "av", "y", "e", "el", "al", "bin", "ibn", "ben",
];
const MONTHS: &[&str] = &[
    "january",
    "february",
    "march",
    "april",
    "may",
    "june",
    "july",
    "august",
    "september",
    "october",
    "november",
    "december",
    "jan",
    "feb",
    "mar",
    "apr",
    "jun",
    "jul",
    "aug",
    "sep",
    "sept",
    "oct",
    "nov",
    "dec",
    "januar",
    "februar",
    "märz",
    "mai",
    "juni",
    "juli",
    "oktober",
    "dezember",
    "janvier",
    "février",
    "mars",
    "avril",
    "juin",
    "juillet",
    "août",
    "septembre",
    "octobre",
    "novembre",
    "décembre",
];

/// Small words, places, institutions, firms, offices, titles of things, products, days, peoples.
const ORDINARY: &str = "
    a about above after again all also although among an and another any are as at be because been before being below
    between both but by can could did do does during each either even every few for from further had has have having he
    her here hers him his how however i if in into is it its itself just many may might more most much my near neither
    no nor not now of off on once one only or other our out over own per please same she should since so some such
    than thank thanks that the their them then there these they this those through thus to too under until up upon us
    very was we were what when where whether which while who whom whose why will with within without would yes yet you
    your two three four five six seven eight nine ten first second third last next new old early late
    der die das ein eine und oder aber nicht mit von für auf dem den des im am zum zur bei nach aus ist sind war wir ihr
    sie es ich er le la les un une et ou mais dans sur pour par avec sans est sont il elle nous vous el los las una y o
    pero en con por para sin es son del al su sus se lo gli uno e ma per non che di da os as um uma na no em ao het een
    en van voor niet met op te zijn och att som på av är og til på ikke som
    monday tuesday wednesday thursday friday saturday sunday montag dienstag mittwoch donnerstag freitag samstag sonntag
    lundi mardi mercredi jeudi vendredi samedi dimanche christmas easter thanksgiving
    street road avenue boulevard lane drive square place court terrace plaza highway parkway bridge tower towers
    building hall house houses room floor suite apt apartment unit flat box city town village county state states
    province region district territory kingdom republic empire union nation nations federation commonwealth colony
    island islands isle lake river creek sea ocean bay gulf beach coast valley hill hills mountain mountains mount peak
    forest park parks garden gardens zoo desert falls springs spring port harbor harbour airport station terminal
    cathedral church abbey chapel temple mosque synagogue palace castle fort fortress museum gallery library theatre
    theater opera arena stadium field center centre hospital clinic prison cemetery farm ranch mall market hotel inn
    university college school academy institute institution faculty department ministry office bureau agency authority
    board commission committee council court tribunal parliament congress senate assembly cabinet government army navy
    force forces corps guard guards police brigade division regiment battalion fleet squadron
    company companies corporation corp inc incorporated ltd limited llc llp plc gmbh ag kg ohg sa sarl srl spa bv nv oy
    ab as aps group holding holdings partners associates brothers bros sons enterprises industries international
    national federal royal imperial global systems solutions services service technologies technology software server servers networks
    network media press news times post journal magazine review tribune herald gazette books publishing records studios
    studio pictures productions entertainment radio television channel broadcasting bank insurance trust fund capital
    securities exchange stores store shop foods motors airlines airways railway railroad line lines express
    foundation society association club team league cup trophy championship championships tournament games olympics
    open series season bowl prize award awards medal conference summit festival fair carnival parade
    party movement front alliance coalition act law bill treaty agreement accord accords convention constitution
    amendment article section chapter part volume appendix figure table edition version theory theorem principle law
    laws effect equation paradox syndrome disease virus war wars battle siege revolution uprising rebellion massacre
    crisis plan project program programme initiative operation mission expedition campaign day days week month year
    night morning evening age ages era century period dynasty house middle
    north south east west northern southern eastern western central upper lower great grand greater san saint st santa
    los las el al fort port mount cape lake
    president prime minister chancellor secretary general governor mayor senator congressman representative ambassador
    director manager engineer developer analyst architect consultant officer chief executive vice deputy assistant
    associate senior junior lead head chair chairman chairwoman chairperson coordinator specialist administrator
    attorney lawyer judge justice sheriff captain colonel major lieutenant sergeant commander admiral officer professor
    doctor dr mr mrs ms miss sir madam lady lord king queen prince princess emperor empress pope bishop archbishop
    cardinal reverend father mother brother sister uncle aunt herr frau monsieur madame ceo cfo cto coo
    editor author writer producer songwriter singer actor actress artist player coach founder cofounder student teacher
    customer customers client clients team all everyone everybody friend friends colleague colleagues member members
    reader readers user users applicant candidate parent parents resident residents neighbor neighbour santa diary god
    damen herren kunde kunden kollegen freunde cliente clientes señores señor señora amigo amigos client collègues
    support sales marketing accounting finance billing info admin help desk service reception human resources staff
    noreply newsletter notification notifications alert alerts mailer daemon list lists mailing postmaster webmaster
    name address phone telephone tel fax mobile cell email mail e-mail website web date birth gender age occupation
    telefon handy mobil téléphone telefono teléfono courriel correo signature signed regards sincerely yours re fwd
    subject attachment page pages note notes total amount price number no nr ref id iban bic swift vat tax invoice order
    account card visa mastercard paypal street zip code city state country
    microsoft google apple amazon facebook twitter linux windows android visual studio code adobe oracle ibm intel
    american british english french german italian spanish portuguese dutch swedish norwegian danish finnish polish
    russian chinese japanese korean indian pakistani turkish greek roman latin arab arabic jewish christian muslim islamic
    catholic protestant orthodox buddhist hindu african asian european australian canadian mexican brazilian irish
    scottish welsh swiss austrian belgian czech hungarian romanian bulgarian ukrainian egyptian iranian israeli iraqi
    byzantine norman victorian soviet nazi communist socialist democratic liberal conservative republican labour
    america africa asia europe australia canada mexico brazil england scotland wales ireland britain france germany
    italy spain portugal netherlands holland belgium switzerland austria sweden norway denmark finland poland russia
    china japan korea india pakistan turkey greece israel egypt iran iraq london paris berlin rome madrid york
    angeles francisco chicago boston texas california florida virginia carolina georgia ohio illinois michigan jersey
    pennsylvania massachusetts washington oregon nevada arizona colorado utah kansas missouri louisiana mississippi
    alabama tennessee kentucky indiana wisconsin minnesota iowa nebraska dakota montana idaho wyoming alaska hawaii
    universe world earth sun moon mars venus jupiter saturn internet web
    cup model method algorithm test tests scale index score ratio rate law number constant process analysis
    hotel lodge cottage manor estate villa resort restaurant cafe bar pub grill pizza
    concerto symphony sonata quartet suite opus band orchestra choir ensemble trio album song songs tour novel book film
    movie show musical play tales story stories cautionary letter letters
    whose unlike like despite following according based called named known formerly currently today tomorrow yesterday
    shelf fault ice digital competition investments investment point bypass pass tract vista corporate foreign affairs defense defence
    state interior trade health education transport commerce labor union unions american pro non anti ex
    greenlander nan cyprus greenland iceland estonia latvia lithuania slovenia croatia serbia bosnia hungary romania
    bulgaria ukraine uruguay argentina chile peru colombia venezuela tunisia morocco algeria zealand
";

fn words() -> &'static (HashSet<&'static str>, HashSet<&'static str>) {
    static WORDS: OnceLock<(HashSet<&'static str>, HashSet<&'static str>)> = OnceLock::new();
    WORDS.get_or_init(|| {
        let months: HashSet<&str> = MONTHS.iter().copied().collect();
        let all = ORDINARY.split_ascii_whitespace().chain(months.iter().copied()).collect();
        (all, months)
    })
}

/// True for a word that is no name, in any case.
pub(super) fn is_ordinary(word: &str) -> bool {
    with_small(word, |word| words().0.contains(word))
}

/// True for a month's name.
pub(super) fn is_month(word: &str) -> bool {
    with_small(word, |word| words().1.contains(word))
}

/// True for a small word inside a street's or town's name.
pub(super) fn is_particle(word: &str) -> bool {
    PARTICLES.contains(&word)
}

/// True for a small word inside a person's name.
pub(super) fn joins_names(word: &str) -> bool {
    OF_NAMES.contains(&word)
}

#[cfg(test)]
mod tests {
    use super::{is_month, is_ordinary, is_particle, joins_names};

    #[test]
    fn ordinary_words_are_known_in_any_case() {
        assert!(is_ordinary("University") && is_ordinary("THE") && is_ordinary("März"));
        assert!(!is_ordinary("Smith") && !is_ordinary("Müller"));
        assert!(is_month("May") && !is_month("Mayer"));
        assert!(!is_particle("rue") && is_particle("of") && !joins_names("of") && joins_names("van"));
    }
}
