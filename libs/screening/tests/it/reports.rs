use carrel_screening::dataset::{Format, Settings, screen};
use carrel_screening::report::{CollectionReport, DocumentReport, Report};
use carrel_screening::{Action, Category, Options, Policy, Scanner, Verdict, WorkspaceKey};

fn document(scanner: &Scanner, id: &str, title: &str, text: &str) -> DocumentReport {
    let policy = Policy::default().with(Category::Credential, Action::Hold);
    let screened = policy.apply(text, scanner.detect(text, &WorkspaceKey::new([2; 32])));
    DocumentReport::new(id, title, &screened)
}

#[test]
fn documents_and_collections_in_three_forms() {
    let scanner = Scanner::new(Options::default()).unwrap();
    let held = document(
        &scanner,
        "d1",
        "=Secrets | of\nus",
        "mail ann@example.org, again ANN@example.org; url redis://:tiger77@cache",
    );
    let clean = document(&scanner, "d2", "Weather", "It rained.");
    assert_eq!((held.verdict, clean.verdict), (Verdict::Held, Verdict::Clean));
    assert_eq!(
        held.kinds.iter().map(|line| (line.kind.id(), line.count, line.values)).collect::<Vec<_>>(),
        [("secret.connection_string", 1, 1), ("email", 2, 1)]
    );

    let mut collection = CollectionReport::new("c1", "Letters");
    collection.add(&held);
    collection.add(&clean);
    assert_eq!(collection.verdicts.values().sum::<u64>(), 2);

    let json = held.json().unwrap();
    assert_eq!(serde_json::from_str::<DocumentReport>(&json).unwrap(), held);
    let json = collection.json().unwrap();
    assert_eq!(serde_json::from_str::<CollectionReport>(&json).unwrap(), collection);
    let csv = held.csv().unwrap();
    assert_eq!(csv.lines().count(), 4);
    assert!(csv.lines().nth(1).unwrap().starts_with("d1,email,contact,allow,5,20,"), "{csv}");
    let csv = collection.csv().unwrap();
    assert!(csv.contains("'=Secrets") && csv.contains("d2,Weather,clean,,0"), "{csv}");
    let markdown = collection.markdown();
    assert!(markdown.contains("2 documents: 1 clean, 1 held."), "{markdown}");
    assert!(markdown.contains(r"=Secrets \| of us"), "{markdown}");
    for text in [held.csv().unwrap(), held.markdown(), held.json().unwrap(), csv, markdown] {
        assert!(!text.contains("ann@") && !text.contains("tiger77"), "{text}");
    }
}

#[test]
fn data_sets_in_three_forms() {
    let scanner = Scanner::new(Options::default()).unwrap();
    let csv = "email,password,note\nann@example.org,123456,hello\nbob@example.org,tiger,there\n";
    let report =
        screen(csv.as_bytes(), &Settings::new(Format::CSV), &scanner, &WorkspaceKey::new([2; 32]), None).unwrap();
    let table = report.csv().unwrap();
    assert_eq!(table.lines().count(), 4);
    assert!(table.contains("email,email (100 %),2,email,2,0,2,a••@•••••••.org"), "{table}");
    let markdown = report.markdown();
    assert!(markdown.contains("2 passwords, 2 weak") && markdown.contains("| login |"), "{markdown}");
    let json: serde_json::Value = serde_json::from_str(&report.json().unwrap()).unwrap();
    assert_eq!(json["columns"][0]["class"]["by"], "values");
    assert_eq!(json["risk"]["riskiest"][0]["factors"][0], "contact");
}
