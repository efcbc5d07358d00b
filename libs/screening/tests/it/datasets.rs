use crate::invent::Invent;
use carrel_screening::dataset::{Class, DatasetReport, Factor, Format, Meaning, PasswordOracle, Settings, screen};
use carrel_screening::{Kind, Options, Scanner, ScreeningError, WorkspaceKey};
use std::io::Read;
use std::sync::LazyLock;

static SCANNER: LazyLock<Scanner> = LazyLock::new(|| Scanner::new(Options::default()).unwrap());

fn try_run(source: impl Read, settings: &Settings) -> Result<DatasetReport, ScreeningError> {
    screen(source, settings, &SCANNER, &WorkspaceKey::new([5; 32]), None)
}

fn run(source: &str, format: Format) -> DatasetReport {
    try_run(source.as_bytes(), &Settings::new(format)).unwrap()
}

fn class(report: &DatasetReport, column: &str) -> Class {
    report.columns.iter().find(|c| c.name == column).unwrap_or_else(|| panic!("no column {column}")).class
}

fn is(class: Class, expected: Kind) -> bool {
    matches!(class, Class::Values { kind, .. } if kind == expected)
}

#[test]
fn columns_are_known_by_their_values_and_headings() {
    let mut invent = Invent::new(1);
    let mut csv = Invent::HEADER.to_owned();
    for id in 0..200 {
        csv.push_str(&invent.row(id));
    }
    let report = run(&csv, Format::CSV);
    assert_eq!(report.rows, 200);
    for (column, kind) in [
        ("email", Kind::EMAIL),
        ("phone", Kind::PHONE),
        ("card", Kind::CARD),
        ("iban", Kind::IBAN),
        ("ip", Kind::IPV4),
        ("password", Kind::PASSWORD),
    ] {
        assert!(is(class(&report, column), kind), "{column}: {:?}", class(&report, column));
    }
    assert_eq!(class(&report, "name"), Class::Heading { meaning: Meaning::PersonName });
    assert_eq!(class(&report, "id"), Class::Plain);
    assert_eq!(report.passwords.passwords, 200);
    assert!(report.risk.score > 80 && report.risk.highest > 90, "{:?}", report.risk);
    let factors = &report.risk.riskiest[0].factors;
    assert!(factors.contains(&Factor::Login) && factors.contains(&Factor::Impersonation), "{factors:?}");
    let shown = format!("{report:?}");
    let first = csv.lines().nth(1).unwrap();
    for value in first.split(',').skip(2).filter(|value| value.len() > 7) {
        assert!(!shown.contains(value), "{value} is in the report");
    }
}

#[test]
fn names_of_columns_are_what_can_be_stored() {
    let json = "[{\"mail\\u0000box\": \"ann@example.org\", \"a\\nb\": \"x\"}]";
    let report = run(json, Format::Json);
    let names: Vec<&str> = report.columns.iter().map(|column| column.name.as_str()).collect();
    assert_eq!(names, ["mail\u{fffd}box", "a\u{fffd}b"]);
    assert!(is(class(&report, names[0]), Kind::EMAIL));
}

#[test]
fn the_same_rows_in_every_format_give_the_same_findings() {
    let csv = "mail,ip\nann@example.org,203.0.113.9\nbob@example.org,203.0.113.8\n";
    let tsv = csv.replace(',', "\t");
    let lines = "{\"mail\":\"ann@example.org\",\"ip\":\"203.0.113.9\"}\n\n{\"mail\":\"bob@example.org\",\"ip\":\"203.0.113.8\"}";
    let array = format!("[{}]", lines.replace("\n\n", ","));
    let reports =
        [run(csv, Format::CSV), run(&tsv, Format::TSV), run(lines, Format::Ndjson), run(&array, Format::Json)];
    for report in &reports {
        assert_eq!(report.rows, 2);
        assert_eq!(report.columns, reports[0].columns);
        assert_eq!(report.risk, reports[0].risk);
    }
}

#[test]
fn nested_values_are_columns_named_by_their_path() {
    let report = run(r#"[{"user":{"mails":["a@example.org","b@example.org"],"age":7}},{"user":null}]"#, Format::Json);
    assert_eq!(report.rows, 2);
    assert!(is(class(&report, "user.mails[]"), Kind::EMAIL));
    assert_eq!(class(&report, "user.age"), Class::Plain);
}

#[test]
fn a_first_row_of_values_is_no_header() {
    let report = run("ann@example.org,ann,horse1\nbob@example.org,bob,horse2\n", Format::CSV);
    assert_eq!(report.rows, 2);
    assert!(is(class(&report, "#1"), Kind::EMAIL));
}

#[test]
fn rows_repeat_after_normalisation() {
    let csv = "email,phone,note\nJ.Smith+x@gmail.com,+44 20 7946 0958,ﬁne\njsmith@googlemail.com,+44-20-7946-0958,fine\nother@gmail.com,+442079460958,fine\n";
    let report = run(csv, Format::CSV);
    assert_eq!(report.duplicates.rows, 1);
    assert_eq!((report.duplicates.named[0].row, report.duplicates.named[0].first), (2, 1));
}

#[test]
fn weak_passwords_and_hashes_are_told_apart() {
    let csv = "email,password\na@example.org,123456\nb@example.org,plinth-orbit-kazoo-quilt-93\nc@example.org,5f4dcc3b5aa765d61d8327deb882cf99\n";
    let report = run(csv, Format::CSV);
    assert_eq!((report.passwords.passwords, report.passwords.weak), (2, 1));
    let column = report.columns.iter().find(|c| c.name == "password").unwrap();
    assert!(column.kinds.iter().any(|count| count.kind == Kind::HASH_MD5 && count.cells == 1), "{column:?}");
}

struct Known;

impl PasswordOracle for Known {
    fn is_breached(&self, password: &str) -> Option<bool> {
        Some(password == "123456")
    }
}

#[test]
fn breached_passwords_raise_the_risk() {
    let csv = "password\n123456\nplinth-orbit-kazoo-quilt-93\n";
    let key = WorkspaceKey::new([5; 32]);
    let report = screen(csv.as_bytes(), &Settings::new(Format::CSV), &SCANNER, &key, Some(&Known)).unwrap();
    assert_eq!(report.passwords.breached, 1);
    assert_eq!(report.risk.riskiest[0].row, 1);
    assert!(report.risk.riskiest[0].factors.contains(&Factor::BreachedPassword));
}

#[test]
fn damaged_data_is_named_or_passed_over() {
    let report = run("{\"a\":1}\nnot json\n{\"a\":\"ann@example.org\"}\n", Format::Ndjson);
    assert_eq!((report.rows, report.damaged), (2, 1));
    let report = run("a,b\n1,2,3,4\nann@example.org\n", Format::CSV);
    assert_eq!(report.rows, 2);
    assert!(matches!(
        try_run(&b"[{\"a\": 1}, {\"a\""[..], &Settings::new(Format::Json)),
        Err(ScreeningError::Damaged { record: 2, .. })
    ));
    let report = try_run(&b"a,b\n\xff\xfe,ann@example.org\n"[..], &Settings::new(Format::CSV)).unwrap();
    assert_eq!(report.rows, 1);
}

/// Gives one byte again and again.
struct Endless(u64);

impl Read for Endless {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let length = (buffer.len() as u64).min(self.0) as usize;
        buffer[..length].fill(b'x');
        self.0 -= length as u64;
        Ok(length)
    }
}

#[test]
fn a_record_without_end_stops_the_run_at_its_limit() {
    for (start, format) in [("a,b\n\"", Format::CSV), ("{\"a\":\"", Format::Ndjson), ("[{\"a\":\"", Format::Json)] {
        let settings = Settings { record_bytes: 1 << 20, ..Settings::new(format) };
        let source = start.as_bytes().chain(Endless(1 << 30));
        let outcome = try_run(source, &settings);
        assert!(matches!(outcome, Err(ScreeningError::RecordTooLong { .. })), "{start} {outcome:?}");
    }
}

#[test]
fn a_million_columns_share_the_last() {
    let mut csv = "x,".repeat(200_000);
    csv.push_str("ann@example.org\n");
    let settings = Settings { columns: 50, ..Settings::new(Format::CSV) };
    let report = try_run(csv.as_bytes(), &settings).unwrap();
    assert_eq!(report.columns.len(), 51);
    assert_eq!(report.columns[50].name, "…");
    assert!(report.columns[50].kinds.iter().any(|count| count.kind == Kind::EMAIL));
}
