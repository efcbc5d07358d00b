use crate::invent::Invent;
use carrel_screening::{Kind, Options, Region, Scanner, WorkspaceKey, mask, services};
use proptest::prelude::*;
use std::sync::LazyLock;

static SCANNER: LazyLock<Scanner> = LazyLock::new(|| Scanner::new(Options::default()).unwrap());

fn key() -> WorkspaceKey {
    WorkspaceKey::new([9; 32])
}

/// What is found: ids and the text at each span.
fn found(text: &str) -> Vec<(&'static str, &str)> {
    SCANNER.detect(text, &key()).iter().map(|d| (d.kind.id(), d.span.slice(text).unwrap())).collect()
}

#[test]
fn a_letter_full_of_personal_data() {
    let text = "Größe: ß. Call +44 (0)20 7946 0958 or write to ann.lee@example.org — 世界.\n\
                Pay to GB82 WEST 1234 5698 7654 32 or with 4111-1111-1111-1111.\n\
                Her NIF is 12345678Z, the server 203.0.113.77 (2001:db8::42, 00:1B:44:11:3A:B7).\n\
                Steuer-ID: 86095742719. BTC 1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa.";
    assert_eq!(
        found(text),
        [
            ("phone", "+44 (0)20 7946 0958"),
            ("email", "ann.lee@example.org"),
            ("iban", "GB82 WEST 1234 5698 7654 32"),
            ("payment_card", "4111-1111-1111-1111"),
            ("national_id.es.nif", "12345678Z"),
            ("ipv4", "203.0.113.77"),
            ("ipv6", "2001:db8::42"),
            ("mac", "00:1B:44:11:3A:B7"),
            ("national_id.de.tax", "86095742719"),
            ("wallet.bitcoin", "1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa"),
        ]
    );
}

#[test]
fn prose_numbers_code_and_dates_are_left_alone() {
    for text in [
        "On 2026-11-21 at 12:30:45 we shipped version 1.2.3.4 of 10.5.0.2-beta.",
        "Revenue rose to 1 234 567 890 from 987,654,321 (see pages 12-14, 1990-2001).",
        "ISBN 978-3-16-148410-0, DOI 10.1000/182, order 8675309, invoice 86095742719.",
        "let x = map.get(\"password\"); std::fmt::Debug; a::b::c; let token = next();",
        "commit 5f4dcc3b5aa765d61d8327deb882cf99aabbccdd in branch main",
        "The password must not be empty. Enter your password and your token.",
        "Figure 3.1 shows 0.25 0.50 0.75 and 100 200 300 400",
    ] {
        assert_eq!(found(text), [], "{text}");
    }
}

#[test]
fn secrets_of_services_keys_and_configurations() {
    for (text, kind) in [
        ("export GH=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", "secret.github.token"),
        ("aws_access_key_id = AKIAQYLPMN5HHHFPZAM2", "secret.aws.access_key_id"),
        ("url: postgres://app:tiger77@db.internal:5432/app", "secret.connection_string"),
        (
            "-----BEGIN RSA PRIVATE KEY-----\nMIIEpAIBAAKCAQEA7\nabc\n-----END RSA PRIVATE KEY-----",
            "secret.private_key.pem",
        ),
        ("DB_PASSWORD=\"correct horse\"", "secret.password"),
        (
            "root:$6$52450745$k5ka2p8bFuSmoVT1tzOyyuaREkkKBcCNqoDKzYiJL9RaE8yMnPgh2XzzF0NDrUhgrcLwg78xs1w5pJiypEdFX/:1",
            "hash.sha512crypt",
        ),
        ("hash: $2b$12$EXRkfkdmXn2gzds2SSitu.MW9.gAVqa9eLS1//RYtYCmB1eLHg.9q", "hash.bcrypt"),
        ("api_key = '951bc382db9abad29c68634761dd6e19'", "secret.generic_key"),
    ] {
        let kinds: Vec<&str> = found(text).into_iter().map(|(kind, _)| kind).collect();
        assert_eq!(kinds, [kind], "{text}");
    }
    assert!(services().len() >= 40);
}

#[test]
fn national_numbers_need_a_region_or_a_word() {
    let text = "030 901820";
    let german = Scanner::new(Options { regions: vec![Region::parse("DE").unwrap()], min_confidence: 0 }).unwrap();
    assert_eq!(found(text), []);
    assert_eq!(german.detect(text, &key())[0].kind, Kind::PHONE);
    assert_eq!(found("Phone: 030 901820"), [("phone", "030 901820")]);
    assert_eq!(SCANNER.detect_with("030 901820", SCANNER.hints("mobileNumber"), &key()).len(), 1);
}

#[test]
fn nothing_that_is_shown_holds_the_value() {
    let text = "mail ann.lee@example.org card 4111111111111111 password = \"hunter2000\" key 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";
    let detections = SCANNER.detect(text, &key());
    assert_eq!(detections.len(), 4);
    for shown in [format!("{detections:?}"), serde_json::to_string(&detections).unwrap(), mask::text(text, &detections)]
    {
        for value in ["ann.lee", "41111111", "hunter2000", "zQWBuTSO"] {
            assert!(!shown.contains(value), "{value} in {shown}");
        }
    }
}

#[test]
fn long_hostile_texts_take_linear_time() {
    for unit in [
        "1 ",
        "a@",
        "://",
        "password=",
        "1.1.",
        "-----BEGIN RSA PRIVATE KEY-----",
        "$6$",
        "eyJ",
        "+1 (",
        "aa:",
        "token: ",
        "0x",
        "AA99 ",
    ] {
        let text = unit.repeat(200_000 / unit.len());
        let detections = SCANNER.detect(&text, &key());
        assert!(detections.len() <= text.len());
    }
}

fn values() -> impl Strategy<Value = (String, &'static str)> {
    (any::<u64>(), 0..7usize).prop_map(|(seed, which)| {
        let mut invent = Invent::new(seed);
        match which {
            0 => (invent.email(), "email"),
            1 => (invent.card(), "payment_card"),
            2 => (invent.iban(), "iban"),
            3 => (invent.phone(), "phone"),
            4 => (invent.ipv4(), "ipv4"),
            5 => (invent.nif(), "national_id.es.nif"),
            _ => (invent.cpf(), "national_id.br.cpf"),
        }
    })
}

proptest! {
    #[test]
    fn invented_values_are_found_where_they_stand((value, kind) in values(), before in "[a-zäöü世 ]{0,20}", after in "[a-zäöü世 ]{0,20}") {
        let text = format!("{before} ({value}) {after}");
        let expected = (kind, value.as_str());
        prop_assert!(found(&text).contains(&expected), "{text}");
    }

    #[test]
    fn any_text_keeps_its_code_points_and_its_spans_in_order(text in "\\PC{0,200}") {
        let detections = SCANNER.detect(&text, &key());
        for pair in detections.windows(2) {
            prop_assert!(pair[0].span.end <= pair[1].span.start);
        }
        let masked = mask::text(&text, &detections);
        prop_assert_eq!(masked.chars().count(), text.chars().count());
        for detection in &detections {
            prop_assert!(detection.span.slice(&text).is_some());
        }
    }

    #[test]
    fn one_wrong_digit_is_no_card(seed in any::<u64>(), place in 0..16usize, add in 1..10u8) {
        let mut digits = Invent::new(seed).card().into_bytes();
        digits[place] = b'0' + (digits[place] - b'0' + add) % 10;
        let text = String::from_utf8(digits).unwrap();
        prop_assert!(found(&text).iter().all(|(kind, _)| *kind != "payment_card"));
    }

    #[test]
    fn masked_texts_hold_nothing_more((value, _) in values()) {
        let text = format!("see {value} there");
        let masked = mask::text(&text, &SCANNER.detect(&text, &key()));
        prop_assert!(SCANNER.detect(&masked, &key()).is_empty(), "{masked}");
    }
}
