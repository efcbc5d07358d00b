use carrel_screening::{Action, Category, Kind, Options, Policy, Scanner, Verdict, WorkspaceKey, mask};
use proptest::prelude::*;
use std::sync::LazyLock;
use std::time::Instant;

static SCANNER: LazyLock<Scanner> =
    LazyLock::new(|| Scanner::new(Options { min_confidence: 60, ..Options::default() }).unwrap());

fn key() -> WorkspaceKey {
    WorkspaceKey::new([9; 32])
}

/// Names and addresses that a policy acts on.
fn found(text: &str) -> Vec<(&'static str, &str)> {
    let detections = SCANNER.detect(text, &key());
    let persons = detections.iter().filter(|found| found.category == Category::Person);
    persons.map(|found| (found.kind.id(), found.span.slice(text).unwrap())).collect()
}

#[test]
fn names_stand_beside_what_announces_them() {
    for (text, name) in [
        ("We met Mrs. Kathrin Wood-Sørensen there.", "Kathrin Wood-Sørensen"),
        ("Then Mr. Manning left.", "Manning"),
        ("gesehen von Frau Prof. Dr. med. Zeynep Aksoy.", "Zeynep Aksoy"),
        ("Sehr geehrter Herr Grünwald, danke", "Grünwald"),
        ("Estimada Sra. Ibarra de la Fuente: gracias", "Ibarra de la Fuente"),
        ("le docteur et M. Lefebvre-Durand sont", "Lefebvre-Durand"),
        ("Patient: Mashuu Samurakami, admitted", "Mashuu Samurakami"),
        ("Nachname: Grünwald", "Grünwald"),
        ("Name: Doe, Jane\nAge: 9", "Doe, Jane"),
        ("{\"name\": \"Jane Doe\", \"age\": 7}", "Jane Doe"),
        ("see you then\nKind regards,\nCendrillon Coudert\n", "Cendrillon Coudert"),
        ("Mit freundlichen Grüßen\r\nHalldór Árnþórsson", "Halldór Árnþórsson"),
        ("Her name is Yuito Hirai and", "Yuito Hirai"),
        ("It was Michael van der Berg's idea", "Michael van der Berg"),
        ("John R. R. Tolkien wrote", "John R. R. Tolkien"),
        ("the song by ANNA KOWALSKA, 1990", "ANNA KOWALSKA"),
        ("name: محمد علي", "محمد علي"),
    ] {
        assert_eq!(found(text), [("person_name", name)], "{text}");
    }
}

#[test]
fn names_before_mail_addresses_leave_these_their_place() {
    let text = "From: \"Doe, Jane\" <jane@example.org>\nTo: Mashuu Samurakami <m.s@example.org>, Anna Berg <a@example.org>\n\
                Cc: Support Team <help@example.org>, עמוס עוז <oz@example.org>";
    let detections = SCANNER.detect(text, &key());
    let all: Vec<(&str, &str)> = detections.iter().map(|d| (d.kind.id(), d.span.slice(text).unwrap())).collect();
    assert_eq!(
        all,
        [
            ("person_name", "Doe, Jane"),
            ("email", "jane@example.org"),
            ("person_name", "Mashuu Samurakami"),
            ("email", "m.s@example.org"),
            ("person_name", "Anna Berg"),
            ("email", "a@example.org"),
            ("email", "help@example.org"),
            ("person_name", "עמוס עוז"),
            ("email", "oz@example.org"),
        ]
    );
}

#[test]
fn addresses_of_many_countries_from_street_to_town() {
    for address in [
        "221B Baker Street, London NW1 6XE",
        "1600 Pennsylvania Ave NW, Apt 4, Washington, DC 20500",
        "24 Sussex Drive, Ottawa, ON K1M 1M4",
        "7 Smith Street, Parramatta NSW 2150",
        "Hauptstraße 12, 10115 Berlin",
        "Passauer Straße 33a\nD-94032 Passau",
        "Mariahilfer Straße 5, 1060 Wien",
        "Keizersgracht 174, 1016 DW Amsterdam",
        "12 rue de la Paix, 75002 Paris",
        "Calle Mayor 5, 28013 Madrid",
        "Via Roma 10, 00184 Roma",
        "Rua Augusta 100, 1100-053 Lisboa",
        "Storgata 5, 0155 Oslo",
        "Drottninggatan 10, 111 51 Stockholm",
        "Mannerheimintie 5, 00100 Helsinki",
        "ul. Marszałkowska 10, 00-590 Warszawa",
        "PO Box 123, Springfield, IL 62701",
        "PSC 3294, Box 9168\nAPO AA 34042",
    ] {
        let text = format!("They wrote to {address}.");
        let detections = SCANNER.detect(&text, &key());
        let validated: Vec<_> = detections.iter().filter(|d| d.kind == Kind::POSTAL_ADDRESS).collect();
        assert_eq!(found(&text), [("postal_address", address)]);
        assert!(validated[0].validated && validated[0].confidence >= 85, "{validated:?}");
    }
    for (text, street) in [
        ("She lives at 24 Clarke Avenue now", "24 Clarke Avenue"),
        ("in der Lindenallee 7 wohnt", "Lindenallee 7"),
        ("postal: P.O. Box 4711 only", "P.O. Box 4711"),
    ] {
        assert_eq!(found(text), [("postal_address", street)], "{text}");
        let detections = SCANNER.detect(text, &key());
        assert!(detections.iter().all(|d| !d.validated && (60..=70).contains(&d.confidence)), "{detections:?}");
    }
}

#[test]
fn ordinary_prose_stays_quiet() {
    for text in [
        "In 1998 Wall Street fell; the street was empty and 12 roads were closed in May 2001.",
        "Dear Sir or Madam, Dear Customer, Dear Team, Kind regards,\nThe Support Team",
        "The New York Times and Virginia Woolf Society met in Paris, Texas, on Monday Morning.",
        "File name: Quarterly Report\nCompany Name: Martin Motors\nHost name: Amber Server",
        "Charles Darwin University, Martin Luther King Day, Michael Jackson Museum",
        "Von: Info Mailer <no-reply@example.org>\nTo: Sales Department <sales@example.org>",
        "MS Windows and DR Congo; Dr. of Physics; Prof. at the University",
        "Spring 2020, String 5, Version 12, Terminal Gate 5, 3.5 Million Court cases, Section 8 Housing Court",
        "We moved via Route 66 and read the 2010 Census Place names; Monitoring 3 of 10.",
    ] {
        assert_eq!(found(text), [], "{text}");
    }
}

#[test]
fn a_name_is_masked_wherever_it_stands() {
    let text =
        "mashuu samurakami asked. Patient: Mashuu Samurakami.\nMashuu Samurakami's arm; Mashuu\nMashuu Samurakamine";
    let policy = Policy::default().with(Category::Person, Action::Mask);
    let screened = policy.apply(text, SCANNER.detect(text, &key()));
    assert_eq!(screened.verdict, Verdict::Masked);
    let masked = screened.masked.unwrap();
    assert_eq!(
        masked,
        "•••••• •••••••••• asked. Patient: •••••• ••••••••••.\n•••••• ••••••••••'s arm; Mashuu\nMashuu Samurakamine"
    );
    assert_eq!(masked.chars().count(), text.chars().count());
    // Without a rule for them they stay.
    assert_eq!(Policy::default().apply(text, SCANNER.detect(text, &key())).verdict, Verdict::Allowed);
    let digests: std::collections::BTreeSet<_> = SCANNER.detect(text, &key()).iter().map(|d| d.digest).collect();
    assert_eq!(digests.len(), 1, "one person has one digest");
}

/// A line for each of many names, so that a search for each name over the whole text would take its square.
fn lines(count: usize) -> String {
    (0..count)
        .map(|at| {
            let letter = |place: usize| char::from(b'a' + (at / 26usize.pow(place as u32) % 26) as u8);
            format!(
                "Patient: Anna K{}{}{}{}n lives at {} Elm Road, see Mr. Smith\n",
                letter(0),
                letter(1),
                letter(2),
                letter(3),
                at % 90 + 1
            )
        })
        .collect()
}

#[test]
fn a_name_on_each_line_takes_linear_time() {
    let spent = |text: &str| {
        // The better of two runs: other tests run beside this one.
        let run = || {
            let begun = Instant::now();
            let found = SCANNER.detect(text, &key()).len();
            (begun.elapsed(), found)
        };
        run().min(run())
    };
    let (short, long) = (lines(2_000), lines(20_000));
    let (first, some) = spent(&short);
    let (second, many) = spent(&long);
    assert!(some >= 2_000 * 3 && many >= 20_000 * 3, "{some} {many}");
    // Ten times the text; a square would be a hundred times.
    assert!(second < first * 40, "{first:?} {second:?}");
}

#[test]
fn hostile_texts_neither_panic_nor_take_long() {
    for unit in [
        "Mr. ",
        "name: ",
        "Dear Anna ",
        "Anna ",
        "A. ",
        "Straße 1 ",
        "1 Street ",
        "12 rue ",
        "Via ",
        "Apt. 5 ",
        "PO Box 1,",
        "Address: 1 ",
        "Anna-",
        "\u{202e}Anna Berg\u{202c} ",
        "Mr. \u{0}",
        "é́́́",
        "<Anna Berg@",
        "Ǆ",
        "ß",
        "İ",
        "\u{a0}",
        "1\nAnna\n",
        "Regards,\n",
        "田中 name: ",
        "مُحَمَّد ",
        "\u{fffd}\u{feff}name:\u{200b}",
        "Anna\u{300}\u{301}\u{302} ",
        "𝔄𝔫𝔫𝔞 𝔅𝔢𝔯𝔤 ",
        "O'''O--- ",
        "lives at ",
    ] {
        let text = unit.repeat(100_000 / unit.len());
        let detections = SCANNER.detect(&text, &key());
        assert_eq!(mask::text(&text, &detections).chars().count(), text.chars().count());
    }
}

proptest! {
    #[test]
    fn pieces_of_names_and_addresses_in_any_order_keep_their_spans(
        pieces in proptest::collection::vec(
            proptest::sample::select(vec![
                "Mr.", "Anna", "Berg", "name:", " ", " ", "\n", ", ", "12", "Street", "rue", "Straße", "é", "世", "ʼ", "d'", "<", ">",
                "a@b.de", "Apt. 5", "PO Box 7", "Dear", "van", "J.", "10115", "NW1 6XE", "\u{a0}", "\u{301}", "علي", "Address:", "APO AE 09012",
                "lives at", "Regards,\n", "\"", "-", ".", "Calle", "№", "İ", "\u{2010}",
            ]),
            0..40,
        )
    ) {
        let text = pieces.concat();
        let detections = SCANNER.detect(&text, &key());
        for pair in detections.windows(2) {
            prop_assert!(pair[0].span.end <= pair[1].span.start);
        }
        for detection in &detections {
            prop_assert!(detection.span.slice(&text).is_some_and(|value| !value.is_empty()));
        }
    }
}
