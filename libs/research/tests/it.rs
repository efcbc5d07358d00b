//! The engine from passages to a report, with the embedder that needs no model.

#![expect(clippy::unwrap_used, reason = "what these tests build must be there")]

use carrel_domain::ids::IdSource;
use carrel_domain::research::{Run, RunState, Searched, Step};
use carrel_domain::search::Filter;
use carrel_domain::text::{Language, PageSpan, Span, TextMap};
use carrel_domain::{CollectionId, DocumentId, JobId, RunId, StepId, VersionId};
use carrel_inference::hashing::HashingEmbedder;
use carrel_research::report::{Report, escaped_line};
use carrel_research::{
    ENGINE, Gathered, MAX_SENTENCES, PassageEvidence, ResearchError, Rules, Source, StepEvidence, candidate_sentences,
    cite, compose, gather, select,
};
use carrel_text::{PassageRules, passages};
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use uuid::Uuid;

#[derive(Default)]
struct CountedIds(AtomicU64);

impl IdSource for CountedIds {
    fn new_id(&self) -> Uuid {
        Uuid::from_u128(u128::from(self.0.fetch_add(1, Ordering::Relaxed)))
    }
}

fn version(number: usize) -> VersionId {
    VersionId(Uuid::from_u128(number as u128 + 1))
}

/// Passages of texts, each a version of its own, ranked in their order.
fn library(texts: &[&str]) -> Vec<PassageEvidence> {
    let mut out = Vec::new();
    for (number, text) in texts.iter().enumerate() {
        for passage in passages(text, &TextMap::default(), &PassageRules { target: 300, whole_below: 300 }) {
            out.push(PassageEvidence {
                document: DocumentId(Uuid::from_u128(number as u128 + 100)),
                version: version(number),
                ordinal: passage.ordinal,
                span: passage.span,
                page: None,
                language: Language::ENGLISH,
                text: passage.span.slice(text).unwrap().to_owned(),
                rank: 1.0 / (1.0 + out.len() as f32 / 10.0),
            });
        }
    }
    out
}

async fn found(question: &str, passages: &[PassageEvidence], rules: &Rules) -> Gathered {
    gather(question, passages, &HashingEmbedder::new(256), rules).await.unwrap()
}

fn step(number: u128, gathered: Gathered) -> StepEvidence {
    StepEvidence { step: StepId(Uuid::from_u128(number)), evidence: gathered.evidence }
}

fn cited(texts: &[&str], steps: &[StepEvidence], rules: &Rules) -> Vec<carrel_domain::research::Claim> {
    let map = TextMap { pages: vec![PageSpan { number: 1, span: Span { start: 0, end: 100 } }], sections: Vec::new() };
    let names: Vec<String> = (0..texts.len()).map(|number| format!("doc-{number}.txt")).collect();
    let sources: BTreeMap<VersionId, Source<'_>> = texts
        .iter()
        .enumerate()
        .map(|(number, text)| {
            (version(number), Source { document_name: &names[number], version_number: 1, text, map: &map })
        })
        .collect();
    cite(&compose(steps, rules), &sources, &CountedIds::default()).unwrap()
}

const REPORT: &str = "The weather was mild that day. The outer gate was opened by Colm Averill against a level difference \
    of 0.62 m. Nobody had seen the display. Lunch was served at noon.";

#[tokio::test]
async fn the_answer_is_quoted_exactly() {
    let texts = [REPORT, "The bridge carries a road. It is painted every year."];
    let gathered = found("Who opened the outer gate?", &library(&texts), &Rules::default()).await;
    assert_eq!((gathered.passages, gathered.sentences), (2, 6));
    let claims = cited(&texts, &[step(1, gathered)], &Rules::default());
    let citation = &claims[0].citations[0];
    assert_eq!(claims[0].text, "The outer gate was opened by Colm Averill against a level difference of 0.62 m.");
    assert_eq!(citation.span.slice(REPORT), Some(citation.quote.as_str()));
    assert_eq!(
        (citation.prefix.as_str(), citation.number, citation.page),
        ("The weather was mild that day. ", 1, Some(1))
    );
    assert!(citation.suffix.starts_with(" Nobody had seen"));
    assert!(claims.iter().all(|claim| !claim.citations.is_empty() && (0.0..=1.0).contains(&claim.score)));
}

#[tokio::test]
async fn nothing_relevant_is_no_answer() {
    let texts = [REPORT];
    for question in ["How do I bake sourdough bread?", "?!", ""] {
        let gathered = found(question, &library(&texts), &Rules::default()).await;
        assert!(gathered.evidence.is_empty(), "{question}: {gathered:?}");
        assert!(compose(&[step(1, gathered)], &Rules::default()).abstained());
    }
    assert!(compose(&[], &Rules::default()).abstained());
    assert!(found("Who opened the gate?", &[], &Rules::default()).await.evidence.is_empty());
}

#[tokio::test]
async fn the_same_wording_is_one_claim_with_several_citations() {
    let other = "A note. The outer gate was opened by Colm Averill, against a level difference of 0.62 m! End.";
    let texts = [REPORT, other, REPORT];
    let gathered = found("Who opened the outer gate?", &library(&texts), &Rules::default()).await;
    let claims = cited(&texts, &[step(1, gathered)], &Rules::default());
    assert_eq!(claims[0].citations.len(), 3);
    assert_eq!(claims.iter().filter(|claim| claim.text.contains("Averill")).count(), 1);
    let numbers: Vec<u32> = claims.iter().flat_map(|claim| &claim.citations).map(|citation| citation.number).collect();
    assert_eq!(numbers, (1..=numbers.len() as u32).collect::<Vec<_>>());
}

#[tokio::test]
async fn versions_that_contradict_each_other_are_both_cited() {
    let texts = [
        "The maximum closing time of the gate is 90 s. It rains.",
        "The maximum closing time of the gate is 120 s. It rains.",
    ];
    let gathered = found("What is the maximum closing time of the gate?", &library(&texts), &Rules::default()).await;
    let claims = cited(&texts, &[step(1, gathered)], &Rules::default());
    for value in ["90 s", "120 s"] {
        assert!(claims.iter().any(|claim| claim.text.contains(value)), "{claims:?}");
    }
}

#[tokio::test]
async fn neighbours_become_one_quote() {
    let text = "It rained. The pump of the lock failed at noon. The pump of the lock was repaired at night. We had tea and cake.";
    let gathered =
        found("When did the pump of the lock fail, when was the pump repaired?", &library(&[text]), &Rules::default())
            .await;
    let claims = cited(&[text], &[step(1, gathered)], &Rules::default());
    assert_eq!(claims[0].text, "The pump of the lock failed at noon. The pump of the lock was repaired at night.");
}

#[tokio::test]
async fn steps_share_no_sentence() {
    let texts = [REPORT];
    let rules = Rules::default();
    let first = found("Who opened the outer gate?", &library(&texts), &rules).await;
    let second = found("outer gate opened by whom?", &library(&texts), &rules).await;
    let claims = cited(&texts, &[step(1, first), step(2, second)], &rules);
    let mut spans: Vec<Span> = claims.iter().flat_map(|claim| &claim.citations).map(|citation| citation.span).collect();
    spans.sort();
    assert!(spans.windows(2).all(|pair| !pair[0].overlaps(pair[1])));
}

#[tokio::test]
async fn words_alone_answer_in_a_language_that_the_model_does_not_know() {
    let text = "Das Wetter war mild. Die Kosten der Instandsetzung schätzen wir auf 96.500 EUR. Wir bedauern das.";
    let mut passages = library(&[text]);
    passages[0].language = Language::parse("de").unwrap();
    let candidates = candidate_sentences(&passages);
    let gathered =
        select("Wie hoch sind die Kosten der Instandsetzung?", &passages, &candidates, None, &Rules::default());
    assert!(gathered.evidence[0].quote.contains("96.500 EUR"));
    assert!(gathered.evidence.iter().all(|evidence| evidence.vector.is_none()));
}

#[test]
fn sentences_without_capitals_are_told_apart() {
    let text = "the company recorded a deferred tax asset of approximately $16 million. a valuation allowance was established \
        for the full amount. approx. half of the losses expire in 2027 (see note 14). other balances are immaterial and \
        expire between 2026 and 2036 under the laws of the states concerned.";
    let found: Vec<String> =
        candidate_sentences(&library(&[text])).into_iter().map(|candidate| candidate.text).collect();
    assert_eq!(found.len(), 4, "{found:?}");
    assert!(found[2].starts_with("approx. half"));
}

#[tokio::test]
async fn ten_thousand_sentences_are_bounded_work() {
    let text = "The outer gate of the lock was opened at noon. ".repeat(10_000);
    let passages = library(&[&text]);
    let gathered = found("Who opened the outer gate?", &passages, &Rules::default()).await;
    assert_eq!(gathered.sentences, MAX_SENTENCES);
    assert!(gathered.evidence.len() <= 32);
    let many: Vec<StepEvidence> = (0..6)
        .map(|number| {
            let mut one = step(number, gathered.clone());
            one.evidence = one.evidence.iter().cycle().take(10_000).cloned().collect();
            one
        })
        .collect();
    let composition = compose(&many, &Rules::default());
    assert!(composition.claims.len() <= Rules::default().sentences);
    assert!(composition.claims.iter().all(|claim| claim.quotes.len() <= Rules::default().citations_per_claim));
}

#[tokio::test]
async fn texts_that_do_not_fit_are_refused() {
    let texts = [REPORT];
    let gathered = found("Who opened the outer gate?", &library(&texts), &Rules::default()).await;
    let composition = compose(&[step(1, gathered)], &Rules::default());
    let missing = cite(&composition, &BTreeMap::new(), &CountedIds::default());
    assert!(matches!(missing, Err(ResearchError::NoSource { version: id }) if id == version(0)));
    let map = TextMap::default();
    let short = Source { document_name: "x", version_number: 1, text: "short", map: &map };
    let beyond = cite(&composition, &BTreeMap::from([(version(0), short)]), &CountedIds::default());
    assert!(matches!(beyond, Err(ResearchError::NoSuchSpan { .. })));
}

fn run(state: RunState) -> Run {
    Run {
        id: RunId(Uuid::from_u128(7)),
        question: "Who opened the *outer* gate?".to_owned(),
        collections: vec![CollectionId(Uuid::from_u128(8))],
        filter: Filter::default(),
        state,
        engine: ENGINE.to_owned(),
        job: JobId(Uuid::from_u128(9)),
        searched: Searched {
            documents: 2,
            passages: 3,
            sentences: 6,
            questions: vec!["Who opened the *outer* gate?".to_owned()],
        },
        created_at: chrono::DateTime::UNIX_EPOCH,
        finished_at: None,
    }
}

#[tokio::test]
async fn a_report_shows_quotes_and_where_they_stand() {
    let text =
        "<script>x</script> The outer gate was opened by *Colm Averill*, see http://a.example/_x_. Nobody saw it.";
    let gathered = found("Who opened the outer gate?", &library(&[text]), &Rules::default()).await;
    let found = step(1, gathered);
    let claims = cited(&[text], std::slice::from_ref(&found), &Rules::default());
    let run = run(RunState::Completed);
    let steps = [Step { id: found.step, ordinal: 0, question: run.question.clone(), completed: true }];
    let report = Report::of(&run, &steps, &claims);
    let markdown = report.to_markdown();
    assert!(markdown.starts_with("# Who opened the \\*outer\\* gate?\n"), "{markdown}");
    assert!(markdown.contains("> \\<script\\>x\\</script\\> The outer gate was opened by \\*Colm Averill\\*, see http\\://a.example/\\_x\\_."), "{markdown}");
    assert!(markdown.contains("\\[1\\] doc-0.txt, version 1, page 1, characters 0 to "), "{markdown}");
    assert!(markdown.contains("2 documents could have answered; 3 passages were read and 6 sentences weighed."));
    let json = serde_json::to_value(&report).unwrap();
    assert_eq!(json["claims"][0]["citations"][0]["quote"], claims[0].citations[0].quote);
    assert_eq!(serde_json::from_value::<Report>(json).unwrap(), report);
}

#[test]
fn an_abstention_says_what_was_searched() {
    let markdown = Report::of(&run(RunState::Abstained), &[], &[]).to_markdown();
    assert!(markdown.contains("**No answer.**"), "{markdown}");
    assert!(markdown.contains("- Who opened the \\*outer\\* gate?"), "{markdown}");
    let unfinished = Report::of(&run(RunState::Gathering), &[], &[]).to_markdown();
    assert!(unfinished.contains("the run is gathering"), "{unfinished}");
}

#[test]
fn no_line_becomes_markup() {
    for (text, escaped) in [
        ("# Not a heading", "\\# Not a heading"),
        ("1. not a list", "1\\. not a list"),
        ("12) nor this", "12\\) nor this"),
        ("- nor this", "\\- nor this"),
        ("3.5 s", "3\\.5 s"),
        ("a - b + c # d 3.5", "a - b + c # d 3.5"),
        ("  \tx\n\ny", "x y"),
        ("me@x.example www.x.example", "me\\@x.example www\\.x.example"),
        ("a | b ~~c~~ &amp; ![i](j)", "a \\| b \\~\\~c\\~\\~ \\&amp; \\!\\[i\\](j)"),
    ] {
        assert_eq!(escaped_line(text), escaped);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn every_quote_is_the_text_at_its_span(
        texts in prop::collection::vec("((The|gate|of the lock|closed|opens|12 m|世界。|é|naïve)[ .!?\n]{1,2}|\\PC){0,120}", 1..5),
        question in "((who|gate|lock|closed|世界|12) ?){0,8}",
    ) {
        let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
        let rules = Rules { answerable: 0.0, ..Rules::default() };
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let passages = library(&texts);
        let gathered = runtime.block_on(found(&question, &passages, &rules));
        prop_assert_eq!(&gathered, &runtime.block_on(found(&question, &passages, &rules)));
        for evidence in &gathered.evidence {
            let text = texts[evidence.version.0.as_u128() as usize - 1];
            prop_assert_eq!(evidence.span.slice(text), Some(evidence.quote.as_str()));
            prop_assert!((0.0..=1.0).contains(&evidence.score));
        }
        let steps = [step(1, gathered.clone()), step(2, gathered)];
        let composition = compose(&steps, &rules);
        prop_assert_eq!(&composition, &compose(&steps, &rules));
        let claims = cited(&texts, &steps, &rules);
        prop_assert_eq!(claims.len(), composition.claims.len());
        for claim in &claims {
            prop_assert!(!claim.citations.is_empty());
            prop_assert_eq!(&claim.text, &claim.citations[0].quote);
            for citation in &claim.citations {
                let text = texts[citation.version.0.as_u128() as usize - 1];
                prop_assert_eq!(citation.span.slice(text), Some(citation.quote.as_str()));
                let around = format!("{}{}{}", citation.prefix, citation.quote, citation.suffix);
                prop_assert!(text.contains(&around));
            }
        }
    }
}
