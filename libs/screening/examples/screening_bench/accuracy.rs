//! Precision and recall.

use crate::Outcome;
use carrel_screening::{Category, Detection, Kind, MIN_CONFIDENCE, Options, Region, Scanner, WorkspaceKey, identity};
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::Path;

#[derive(Clone, Copy, Default)]
struct Score {
    hit: u64,
    missed: u64,
    wrong: u64,
}

impl Score {
    fn add(&mut self, other: Self) {
        self.hit += other.hit;
        self.missed += other.missed;
        self.wrong += other.wrong;
    }

    fn recall(self) -> f64 {
        self.hit as f64 / (self.hit + self.missed).max(1) as f64
    }

    fn precision(self) -> f64 {
        self.hit as f64 / (self.hit + self.wrong).max(1) as f64
    }
}

type Scores = BTreeMap<String, Score>;

pub(crate) fn run(folder: &str, secrets: Option<&str>) -> Outcome {
    let folder = Path::new(folder);
    let (mut all, mut any) = (Score::default(), Score::default());
    let (validated, found) = values(folder)?;
    for (name, scores, counted) in [
        ("presidio-research: spans in sentences, right kind, any overlap", sentences(folder, VALIDATED)?, true),
        ("presidio-recognizer-cases: spans, the recogniser's kind expected", recognisers(folder)?, true),
        ("validatorjs-cases: whole values, by validated findings alone", validated, true),
        ("validatorjs-cases: whole values, by all findings that a policy acts on", found, false),
    ] {
        let sum = print(name, &scores);
        if counted {
            all.add(sum);
        }
        // Of the third set, one of the two ways of counting.
        if !name.contains("alone") {
            any.add(sum);
        }
    }
    // A finding without validation is masked and held like any other; its digits only fit no plan of today.
    for (figure, how, sum) in [
        ("validated", "the third by validated findings alone", all),
        ("acted_on", "by all findings that a policy acts on", any),
    ] {
        println!(
            "validated categories, all sets, {how}: recall {:.3}, precision {:.3} ({} hits, {} missed, {} wrong)",
            sum.recall(),
            sum.precision(),
            sum.hit,
            sum.missed,
            sum.wrong
        );
        println!("figure recall_{figure} {:.3}", sum.recall());
        println!("figure precision_{figure} {:.3}", sum.precision());
    }
    let persons = sentences(folder, PERSONS)?;
    print("presidio-research: names and addresses, which nothing validates; not counted above", &persons);
    for (figure, label) in [("names", "PERSON"), ("addresses", "STREET_ADDRESS")] {
        let score = persons.get(label).copied().unwrap_or_default();
        println!("figure recall_{figure} {:.3}", score.recall());
        println!("figure precision_{figure} {:.3}", score.precision());
    }
    if let Some(secrets) = secrets {
        secret_examples(Path::new(secrets))?;
    }
    Ok(())
}

fn print(name: &str, scores: &Scores) -> Score {
    println!("{name}");
    let mut sum = Score::default();
    for (label, score) in scores {
        println!(
            "  {label:<28} recall {:.3} precision {:.3}  ({} hits, {} missed, {} wrong)",
            score.recall(),
            score.precision(),
            score.hit,
            score.missed,
            score.wrong
        );
        sum.add(*score);
    }
    println!(
        "  {:<28} recall {:.3} precision {:.3}  ({} hits, {} missed, {} wrong)",
        "together",
        sum.recall(),
        sum.precision(),
        sum.hit,
        sum.missed,
        sum.wrong
    );
    sum
}

/// The cases of a file. A line with half a surrogate pair is no text that Rust has, so it is left out.
fn lines(path: &Path) -> Result<Vec<Value>, Box<dyn std::error::Error>> {
    let text = std::fs::read_to_string(path)?;
    let cases: Vec<Value> = text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    let left_out = text.lines().count() - cases.len();
    if left_out > 0 {
        println!("({left_out} cases of {} are no valid Unicode)", path.display());
    }
    Ok(cases)
}

fn text<'v>(value: &'v Value, name: &str) -> &'v str {
    value[name].as_str().unwrap_or_default()
}

fn scanner(regions: &[&str]) -> Result<Scanner, Box<dyn std::error::Error>> {
    let regions = regions.iter().filter_map(|code| Region::parse(code)).collect();
    Ok(Scanner::new(Options { regions, min_confidence: MIN_CONFIDENCE })?)
}

fn key() -> WorkspaceKey {
    WorkspaceKey::new([1; 32])
}

/// The gold label that a detection claims.
fn label_of(detection: &Detection) -> Option<&'static str> {
    Some(match detection.kind {
        Kind::EMAIL => "EMAIL_ADDRESS",
        Kind::PHONE => "PHONE_NUMBER",
        Kind::CARD => "CREDIT_CARD",
        Kind::IBAN => "IBAN_CODE",
        Kind::IPV4 | Kind::IPV6 => "IP_ADDRESS",
        Kind::PERSON_NAME => "PERSON",
        Kind::POSTAL_ADDRESS => "STREET_ADDRESS",
        kind if kind.category() == Category::NationalId => "US_SSN",
        _ => return None,
    })
}

fn overlap(gold: (u64, u64), found: &Detection) -> bool {
    u64::from(found.span.start) < gold.1 && gold.0 < u64::from(found.span.end)
}

/// Counts the gold spans that are hit and the detections that hit none.
fn count(gold: &[(u64, u64)], found: &[&Detection], score: &mut Score) {
    for span in gold {
        if found.iter().any(|detection| overlap(*span, detection)) {
            score.hit += 1;
        } else {
            score.missed += 1;
        }
    }
    score.wrong += found.iter().filter(|detection| !gold.iter().any(|span| overlap(*span, detection))).count() as u64;
}

/// Labels whose values a checksum, a plan or a form validates.
const VALIDATED: &[&str] = &["EMAIL_ADDRESS", "PHONE_NUMBER", "CREDIT_CARD", "IBAN_CODE", "IP_ADDRESS", "US_SSN"];
/// Labels that only words tell, counted apart.
const PERSONS: &[&str] = &["PERSON", "STREET_ADDRESS"];

fn sentences(folder: &Path, labels: &'static [&'static str]) -> Result<Scores, Box<dyn std::error::Error>> {
    let scanner = scanner(&[])?;
    let all: Vec<Value> =
        serde_json::from_str(&std::fs::read_to_string(folder.join("presidio-research/synth_dataset_v2.json"))?)?;
    let mut scores = Scores::new();
    let verbose = std::env::var_os("CARREL_BENCH_VERBOSE").is_some();
    for sentence in &all {
        let whole = text(sentence, "full_text");
        let detections = scanner.detect(whole, &key());
        for label in labels {
            let spans = sentence["spans"].as_array().map(Vec::as_slice).unwrap_or_default();
            let gold: Vec<(u64, u64)> = spans
                .iter()
                .filter(|span| text(span, "entity_type") == *label)
                .filter_map(|span| Some((span["start_position"].as_u64()?, span["end_position"].as_u64()?)))
                .collect();
            let found: Vec<&Detection> =
                detections.iter().filter(|detection| label_of(detection) == Some(*label)).collect();
            let score = scores.entry((*label).to_owned()).or_default();
            let before = *score;
            count(&gold, &found, score);
            if verbose && (score.missed > before.missed || score.wrong > before.wrong) {
                println!("    {label} {gold:?} {found:?} in {whole:?}");
            }
        }
    }
    Ok(scores)
}

/// How many names and addresses are found in paragraphs that nobody labelled, with every n-th of them to be judged.
pub(crate) fn prose(path: &str, every: usize) -> Outcome {
    let scanner = scanner(&[])?;
    let (mut paragraphs, mut names, mut addresses) = (0, 0, 0);
    for paragraph in lines(Path::new(path))? {
        paragraphs += 1;
        let whole = text(&paragraph, "text");
        for found in scanner.detect(whole, &key()) {
            match found.kind {
                Kind::PERSON_NAME => names += 1,
                Kind::POSTAL_ADDRESS => addresses += 1,
                _ => continue,
            }
            if (names + addresses) % every == 0 {
                let value = found.span.slice(whole).unwrap_or_default();
                println!("    {} {} {value:?}", found.kind, found.confidence);
            }
        }
    }
    let rate = |count: usize| count as f64 * 1000.0 / f64::from(paragraphs.max(1));
    println!("{paragraphs} paragraphs: {:.1} names and {:.1} addresses in a thousand", rate(names), rate(addresses));
    Ok(())
}

/// Labels of the recogniser cases with the kinds that answer them.
const RECOGNISERS: &[(&str, &[&str])] = &[
    ("aba_routing", &["aba_routing"]),
    ("au_abn", &["national_id.au.abn"]),
    ("au_acn", &["national_id.au.acn"]),
    ("au_medicare", &["national_id.au.medicare"]),
    ("au_tfn", &["national_id.au.tfn"]),
    ("ca_sin", &["national_id.ca.sin"]),
    ("credit_card", &["payment_card"]),
    ("crypto", &["wallet.bitcoin"]),
    ("de_health_insurance", &["national_id.de.health"]),
    ("de_social_security", &["national_id.de.pension"]),
    ("de_tax_id", &["national_id.de.tax"]),
    ("email", &["email"]),
    ("es_nie", &["national_id.es.nie"]),
    ("es_nif", &["national_id.es.nif"]),
    ("fi_personal_identity_code", &["national_id.fi.hetu"]),
    ("in_aadhaar", &["national_id.in.aadhaar"]),
    ("in_gstin", &["national_id.in.gstin"]),
    ("in_pan", &["national_id.in.pan"]),
    ("ip", &["ipv4", "ipv6"]),
    ("it_fiscal_code", &["national_id.it.fiscal_code"]),
    ("it_vat_code", &["national_id.it.vat"]),
    ("kr_brn", &["national_id.kr.brn"]),
    ("kr_frn", &["national_id.kr.rrn"]),
    ("kr_rrn", &["national_id.kr.rrn"]),
    ("mac", &["mac"]),
    ("ph_mobile_number", &["phone"]),
    ("phone", &["phone"]),
    ("pl_pesel", &["national_id.pl.pesel"]),
    ("se_organisationsnummer", &["national_id.se.organisation"]),
    ("se_personnummer", &["national_id.se.personnummer"]),
    ("sg_fin", &["national_id.sg.nric"]),
    ("th_tnin", &["national_id.th.tnin"]),
    ("tr_national_id", &["national_id.tr.tckn"]),
    ("tr_phone_number", &["phone"]),
    ("uk_nhs", &["national_id.gb.nhs"]),
    ("uk_nino", &["national_id.gb.nino"]),
    ("us_itin", &["national_id.us.itin"]),
    ("us_mbi", &["national_id.us.mbi"]),
    ("us_npi", &["national_id.us.npi"]),
    ("us_ssn", &["national_id.us.ssn"]),
    ("za_id_number", &["national_id.za.id"]),
];

fn recognisers(folder: &Path) -> Result<Scores, Box<dyn std::error::Error>> {
    let general = scanner(&["US", "GB", "DE", "IL", "IN", "CA", "BR"])?;
    let philippine = scanner(&["PH"])?;
    let turkish = scanner(&["TR"])?;
    let verbose = std::env::var_os("CARREL_BENCH_VERBOSE").is_some();
    let mut scores = Scores::new();
    for case in lines(&folder.join("presidio-recognizer-cases.jsonl"))? {
        let label = text(&case, "label");
        let Some((_, kinds)) = RECOGNISERS.iter().find(|(name, _)| *name == label) else { continue };
        let scanner = match label {
            "ph_mobile_number" => &philippine,
            "tr_phone_number" => &turkish,
            _ => &general,
        };
        let expected = Kind::parse(kinds[0]).ok_or("no such kind")?;
        let whole = text(&case, "text");
        let detections = scanner.detect_with(whole, scanner.expecting(expected), &key());
        let found: Vec<&Detection> = detections.iter().filter(|d| kinds.contains(&d.kind.id())).collect();
        let spans = case["spans"].as_array().map(Vec::as_slice).unwrap_or_default();
        let gold: Vec<(u64, u64)> =
            spans.iter().filter_map(|span| Some((span[0].as_u64()?, span[1].as_u64()?))).collect();
        let score = scores.entry(label.to_owned()).or_default();
        let before = *score;
        if gold.is_empty() && case["positive"] == true {
            // Some cases say only how many there are.
            let expected = case["matches"].as_u64().unwrap_or(1);
            let hits = (found.len() as u64).min(expected);
            score.hit += hits;
            score.missed += expected - hits;
            score.wrong += found.len() as u64 - hits;
        } else {
            count(&gold, &found, score);
        }
        if verbose && (score.missed > before.missed || score.wrong > before.wrong) {
            println!("    {label} {gold:?} {detections:?} in {whole:?}");
        }
    }
    Ok(scores)
}

/// Countries whose cases of a label are a rule that this crate has.
fn country_of(label: &str, argument: &str) -> Option<String> {
    let country = argument.rsplit('-').next()?.to_owned();
    let country = match (label, country.as_str()) {
        (_, "EL") => "GR".to_owned(),
        ("isTaxID", "GB") => return None,
        _ => country,
    };
    identity::countries().contains(&country.as_str()).then_some(country)
}

/// Scores by validated findings alone, and by all findings.
fn values(folder: &Path) -> Result<(Scores, Scores), Box<dyn std::error::Error>> {
    let plain = scanner(&[])?;
    let (mut scores, mut lenient) = (Scores::new(), Scores::new());
    let verbose = std::env::var_os("CARREL_BENCH_VERBOSE").is_some();
    let mut regional: BTreeMap<String, Scanner> = BTreeMap::new();
    for case in lines(&folder.join("validatorjs-cases.jsonl"))? {
        let label = text(&case, "label");
        let argument = case["args"][0].as_str();
        let bare = case["args"].as_array().is_none_or(Vec::is_empty);
        let value = text(&case, "text");
        let positive = case["positive"] == true;
        let whole = |scanner: &Scanner, kinds: &[Kind]| {
            let detections = scanner.detect_with(value, scanner.expecting(kinds[0]), &key());
            let length = value.chars().count() as u32;
            let whole = |d: &&Detection| kinds.contains(&d.kind) && d.span.start == 0 && d.span.end == length;
            (detections.iter().filter(whole).any(|d| d.validated), detections.iter().any(|d| whole(&d)))
        };
        let (name, found) = match (label, argument) {
            ("isEmail", None) if bare => (label.to_owned(), whole(&plain, &[Kind::EMAIL])),
            ("isMACAddress", None) if bare => (label.to_owned(), whole(&plain, &[Kind::MAC])),
            ("isIBAN", None) if bare => (label.to_owned(), whole(&plain, &[Kind::IBAN])),
            ("isCreditCard", None) if bare => (label.to_owned(), whole(&plain, &[Kind::CARD])),
            ("isEthereumAddress", None) => (label.to_owned(), {
                let detections = plain.detect(value, &key());
                let found = detections.iter().any(|d| d.kind == Kind::ETHEREUM);
                (found, found)
            }),
            ("isBtcAddress", None) => (label.to_owned(), whole(&plain, &[Kind::BITCOIN])),
            ("isMobilePhone", Some(locale)) if locale.len() == 5 && positive => {
                // What is no mobile number may be a good landline, so only positives are asked.
                let region = locale[3..].to_owned();
                if Region::parse(&region).is_none() {
                    continue;
                }
                if !regional.contains_key(&region) {
                    regional.insert(region.clone(), scanner(&[&region])?);
                }
                (label.to_owned(), whole(&regional[&region], &[Kind::PHONE]))
            }
            ("isIdentityCard" | "isTaxID", Some(locale)) => {
                let Some(country) = country_of(label, locale) else { continue };
                let kinds = Kind::all()
                    .filter(|kind| kind.id().starts_with(&format!("national_id.{}.", country.to_lowercase())));
                let valid = kinds.into_iter().any(|kind| identity::is_valid(kind, value));
                (format!("{label} {country}"), (valid, valid))
            }
            _ => continue,
        };
        let (found, acted_on) = found;
        for (scores, found) in [(&mut scores, found), (&mut lenient, acted_on)] {
            let score = scores.entry(name.clone()).or_default();
            match (positive, found) {
                (true, true) => score.hit += 1,
                (true, false) => score.missed += 1,
                (false, true) => score.wrong += 1,
                (false, false) => {}
            }
        }
        if verbose && positive != found {
            println!("    {name} {} {value:?}", if positive { "missed" } else { "wrong" });
        }
    }
    Ok((scores, lenient))
}

/// Labels of examples that are no credentials.
const PUBLIC: &[&str] = &[
    "Amazon Resource Name",
    "AWS S3 Bucket",
    "AWS Account ID",
    "Google Cloud Storage Bucket",
    "Age Recipient",
    "Username",
    "Client ID",
    "Shopify Domain",
    "Public Access Token",
];

fn secret_examples(path: &Path) -> Outcome {
    let scanner = scanner(&[])?;
    let verbose = std::env::var_os("CARREL_BENCH_VERBOSE").is_some();
    let (mut marked, mut generic, mut negatives, mut raised) = (Score::default(), Score::default(), 0, 0);
    for case in lines(path)? {
        let label = text(&case, "label");
        if PUBLIC.iter().any(|public| label.contains(public)) && !label.contains("Username and") {
            continue;
        }
        let detections = scanner.detect(text(&case, "text"), &key());
        let found = detections.iter().any(|d| matches!(d.category, Category::Credential | Category::PasswordHash));
        let by_words = label.starts_with("Generic")
            || label.starts_with("Credentials in")
            || label.starts_with("React")
            || label.contains(".NET")
            || label.contains("Hardcoded");
        if case["positive"] == true {
            let score = if by_words { &mut generic } else { &mut marked };
            if found {
                score.hit += 1;
            } else {
                score.missed += 1;
            }
            if verbose && !found {
                println!("    missed {label}: {:?}", text(&case, "text"));
            }
        } else if !by_words {
            // An example that is none of one service may be another's, so only this service's kinds are wrong.
            negatives += 1;
            let service = label.split_whitespace().next().unwrap_or_default().to_lowercase();
            let wrong = detections.iter().any(|d| d.kind.id().contains(&service) && d.validated);
            raised += u64::from(wrong);
            if verbose && wrong {
                println!("    raised {label}: {detections:?}");
            }
        }
    }
    println!(
        "noseyparker-examples: keys, tokens and hashes recall {:.3} ({} of {}); passwords by their words recall {:.3} ({} of {})",
        marked.recall(),
        marked.hit,
        marked.hit + marked.missed,
        generic.recall(),
        generic.hit,
        generic.hit + generic.missed
    );
    println!("  {raised} of {negatives} examples that are none were taken for the service's key");
    Ok(())
}
