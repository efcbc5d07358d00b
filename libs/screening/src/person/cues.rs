//! The words that announce names and addresses, by language. All are literals of the lexicon.
//!
//! Titles and labels: usage of business letters and forms. Words for streets: the lists of street types of the Universal
//! Postal Union's addressing guides (S42) and of the national posts (USPS Publication 28, appendix C1; Royal Mail;
//! DIN 5008; AFNOR NF Z10-011; Correos; Poste Italiane; CTT), as far as they are in common use.

use super::postal::Area;

/// What a word announces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cue {
    /// `Mrs`, `Herr`: a name follows, one word may be enough.
    Title,
    /// `Patient:`, `my name is`: a name follows.
    Label,
    /// `Surname:`: a part of a name follows.
    Part,
    /// `Name:`, `Contact:`: a name follows, or the name of something else.
    Loose,
    /// `songwriter`, `directed by`: a name of two words or more may follow.
    Role,
    /// `Regards,`: a name follows in the next line.
    Closing,
    /// `24 Clarke Avenue`: number, name, this word.
    Behind(Area),
    /// `Calle Mayor 5`, `12 rue de la Paix`: this word, name; the number at either end.
    Before(Area),
    /// `Hauptstraße 12`, `Passauer Straße 33`: the last part of a word, or a word of its own; the number follows.
    Compound(Area),
    /// `PO Box 123`.
    Box,
    /// `Apt. 5`, when a street stands before it.
    Unit,
    /// `PSC 3294, Box 9168, APO AA 61487`: military post of the United States.
    Military,
    /// `Address:`, `lives at`: an address follows.
    Residence,
}

impl Cue {
    pub(super) fn is_of_place(self) -> bool {
        !matches!(self, Self::Title | Self::Label | Self::Part | Self::Loose | Self::Role | Self::Closing)
    }

    /// Must stand as a word of its own at its beginning.
    pub(crate) fn begins_word(self) -> bool {
        !matches!(self, Self::Compound(_))
    }

    /// Must end where its word ends.
    pub(crate) fn ends_word(self) -> bool {
        matches!(self, Self::Compound(_) | Self::Behind(_) | Self::Before(_) | Self::Unit | Self::Military)
    }
}

/// Words of which a dot or a space is part, so that they are not met inside other words.
const TITLES: &str = "mr|mrs|ms|mx|dr|prof|professor|miss|rev|herr|herrn|frau|mme|mlle|monsieur|madame|mademoiselle|sr|sra|srta|\
    señor|señora|señorita|don|doña|dña|signor|signora|signorina|sig|sig.ra|dott|dott.ssa|avv|dhr|mevr|mevrouw|\
    meneer|senhor|senhora|dra|hr|fru|herra|rouva|sir|dipl.-ing|mstr|messrs|attn|attention|\
    z. hd|z.hd|c/o";
const LABELS: &str = "full name|patient|patient name|employee|employee name|customer name|client name|contact person|contact name|\
    name of patient|insured|policyholder|account holder|cardholder|card holder|applicant|tenant|landlord|\
    claimant|defendant|plaintiff|witness|beneficiary|next of kin|emergency contact|passenger|guest name|student|\
    teacher|supervisor|manager|sender|recipient|addressee|signatory|signed by|prepared by|reviewed by|\
    approved by|submitted by|reported by|requested by|directed by|written by|author|interviewer|interviewee|\
    ansprechpartner|ansprechpartnerin|sachbearbeiter|sachbearbeiterin|bearbeiter|kunde|kundin|patientin|mieter|\
    mieterin|vermieter|kontoinhaber|empfänger|absender|mitarbeiter|mitarbeiterin|nom complet|titulaire|\
    destinataire|expéditeur|salarié|locataire|nombre completo|nombre y apellidos|paciente|titular|empleado|\
    remitente|destinatario|nome completo|nome e cognome|paziente|intestatario|utente|naam|volledige naam|\
    medewerker|patiënt|navn|fullt navn|namn|nimi|imię i nazwisko|nazwisko i imię|pacjent|név|jméno";
const PARTS: &str = "first name|firstname|last name|lastname|surname|given name|given names|forename|middle name|maiden name|\
    family name|vorname|nachname|familienname|geburtsname|rufname|prénom|prenom|nom|nom de famille|apellido|\
    apellidos|primer apellido|cognome|sobrenome|apelido|voornaam|achternaam|fornavn|etternavn|efternavn|förnamn|\
    efternamn|etunimi|sukunimi|imię|nazwisko|příjmení|vezetéknév|keresztnév";
const LOOSE: &str = "name|contact|customer|client|nombre|nome|from|to|cc|bcc";
/// A name follows them without a colon.
const PHRASES: &str = "my name is|his name is|her name is|dear|sehr geehrter|sehr geehrte|lieber|liebe|chère|cher|estimado|\
    estimada|querido|querida|gentile|egregio|prezado|prezada|caro|cara|geachte|beste|kjære|kära|kære|hyvä|\
    mein name ist|ich heiße|je m'appelle|je m’appelle|me llamo|mi nombre es|mi chiamo|meu nome é|mijn naam is|\
    yours truly|partner's name|follow up with|on behalf of|im auftrag|i. a.|i.a.|gez.";
/// What a person does, before the name.
const ROLES: &str = "producer|songwriter|singer|author|director|actor|actress|player|guitarist|drummer|pianist|poet|novelist|\
    historian|journalist|physicist|mathematician|philosopher|economist|architect|composer|painter|senator|\
    president|chancellor|minister|congressman|governor|mayor|ambassador|secretary|inspector|detective|sergeant|\
    lieutenant|captain|colonel|commissioner|attorney|judge|justice|nurse|ceo|cfo|cto|founder|employee|patient|\
    colleague|tenant|client|witness|directed by|written by|produced by|composed by|founded by|signed by|\
    interviewed by|accompanied by|sung by|married to|interview with|starring|i'm|i’m|i am|his wife|\
    her husband|his son|her son|his daughter|her daughter|his brother|her brother|his sister|her sister|\
    under the name|bundeskanzler|minister|präsident|präsidentin|bürgermeister|abgeordneter|abgeordnete|\
    geschäftsführer|geschäftsführerin";
const CLOSINGS: &str = "regards,|regards|wishes,|sincerely,|sincerely yours,|yours truly,|faithfully,|cheers,|respectfully,|\
    cordially,|warmly,|many thanks,|signed,|grüßen|grüßen,|grüße|grüße,|gruß|gruß,|cordialement,|cordialement|\
    salutations,|salutations distinguées.|saludos,|atentamente,|cordiali saluti,|cordiali saluti|\
    distinti saluti,|atenciosamente,|cumprimentos,|vriendelijke groet,|vriendelijke groeten,|vennlig hilsen,|\
    vennlig hilsen|hälsningar,|hälsningar|venlig hilsen|terveisin,";

const BEHIND: &[(Area, &str)] = &[
    (
        Area::English,
        "street|st|st.|road|rd|rd.|avenue|ave|ave.|av.|boulevard|blvd|blvd.|drive|dr|dr.|lane|ln|ln.|court|\
            ct|place|pl|square|sq|sq.|terrace|crescent|cres|close|grove|gardens|parade|parkway|pkwy|highway|hwy|\
            circle|cir|trail|way|walk|row|mews|creek|hill|rise|circuit|esplanade",
    ),
    (Area::Hungarian, "utca|u.|út|útja|tér|tere|körút|köz"),
    (Area::Other, "tee|mnt|tänav|sokak|caddesi"),
];
const BEFORE: &[(Area, &str)] = &[
    (
        Area::French,
        "rue|avenue|av.|boulevard|bd|bld|chemin|impasse|quai|cours|place|allée|faubourg|passage|rte|route de|\
            route du",
    ),
    (
        Area::Spanish,
        "calle|c/|avda.|avda|avenida|paseo|plaza|plza.|ronda|camino|carrer|travesía|ctra.|carretera|\
            cañadilla|cuesta|rúa",
    ),
    (Area::Italian, "via|viale|piazza|piazzale|piazzetta|corso|vicolo|largo|lungomare|strada|contrada"),
    (Area::Portuguese, "rua|r.|avenida|travessa|praça|alameda|estrada|largo|rodovia"),
    (Area::Polish, "ul.|ulica|al.|aleja|pl.|os.|plac"),
    (Area::Other, "strada|ulitsa|ул.|улица|вул.|οδός"),
];
const COMPOUND: &[(Area, &str)] = &[
    (
        Area::German,
        "straße|strasse|str.|gasse|weg|platz|allee|ring|damm|ufer|steig|promenade|chaussee|graben|markt|\
            stieg|winkel",
    ),
    (Area::Dutch, "straat|laan|gracht|plein|kade|singel|dijk|dreef|steeg|hof"),
    (
        Area::Scandinavian,
        "gata|gate|gaten|veien|vegen|vej|gade|vei|stræde|plads|allé|bakken|vegur|gatan|vägen|väg|gränd|\
            torget|stigen|braut|stræti|straeti",
    ),
    (Area::Finnish, "katu|tie|kuja|polku|kaari|ranta|tori|raitti"),
    (Area::Czech, "ulice|třída|náměstí|nábřeží"),
];
const BOXES: &str = "po box|p.o. box|p. o. box|p.o.box|post office box|postfach|boîte postale|apartado de correos|\
    casella postale|caixa postal|postbus|postboks|skrytka pocztowa|gpo box|locked bag";
const UNITS: &str = "apt|apt.|suite|ste.|apartment";
const MILITARY: &str = "apo|fpo|dpo";
const RESIDENCES: &str = "address:|address is|addresses:|adresse:|adresse :|anschrift:|dirección:|direccion:|domicilio:|indirizzo:|\
    endereço:|morada:|adres:|wohnhaft in|wohnt in der|lives at|live at|lived at|living at|live in|lives on|\
    resides at|residing at|residence:|moved to|meet me at|ship to:|deliver to:|return to|arrived at|located at|\
    mail it to|office is at|house is at";

/// Every literal with what it announces. A word may announce several things.
pub(crate) fn all() -> Vec<(String, Cue)> {
    let mut all = Vec::new();
    for word in TITLES.split('|') {
        for end in [" ", "\u{a0}", ".", ":"] {
            all.push((format!("{word}{end}"), Cue::Title));
        }
    }
    all.extend(["m. ", "m.\u{a0}"].map(|word| (word.to_owned(), Cue::Title)));
    for (list, cue) in [(LABELS, Cue::Label), (PARTS, Cue::Part), (LOOSE, Cue::Loose)] {
        for word in list.split('|') {
            for end in [":", " :", "\":"] {
                all.push((format!("{word}{end}"), cue));
            }
        }
    }
    all.extend(PHRASES.split('|').map(|word| (format!("{word} "), Cue::Label)));
    all.extend(ROLES.split('|').map(|word| (format!("{word} "), Cue::Role)));
    all.extend(CLOSINGS.split('|').map(|word| (format!("{word}\n"), Cue::Closing)));
    all.extend(CLOSINGS.split('|').map(|word| (format!("{word}\r\n"), Cue::Closing)));
    for (lists, cue) in [
        (BEHIND, Cue::Behind as fn(Area) -> Cue),
        (BEFORE, Cue::Before as fn(Area) -> Cue),
        (COMPOUND, Cue::Compound as fn(Area) -> Cue),
    ] {
        for (area, words) in lists {
            all.extend(words.split('|').map(|word| (word.to_owned(), cue(*area))));
        }
    }
    for (list, cue) in [(BOXES, Cue::Box), (UNITS, Cue::Unit), (MILITARY, Cue::Military), (RESIDENCES, Cue::Residence)]
    {
        all.extend(list.split('|').map(|word| (word.to_owned(), cue)));
    }
    all
}
