//! India, China, Taiwan, Hong Kong, Singapore, South Korea, Japan, Thailand, Iran.

use super::{Belief, Spec, spec};
use crate::checks::{digit, is_date, mod11_2, number, one_digit_only, starts_with_yymmdd, two, verhoeff, weighted};

pub(super) const SPECS: &[Spec] = &[
    spec(
        "national_id.in.aadhaar",
        "IN",
        "9999 9999 9999|9999-9999-9999|999999999999",
        Belief::Written,
        &["aadhaar", "aadhar", "uidai", "आधार"],
        |id| id[0] >= b'2' && verhoeff(id) && !palindrome(id),
    ),
    spec("national_id.in.pan", "IN", "AAAAA9999A", Belief::Always, &["pan", "permanent account"], |id| {
        b"ABCFGHJLPT".contains(&id[3])
    })
    .or_plausible(|_| true),
    spec(
        "national_id.in.gstin",
        "IN",
        "99AAAAA9999A9A9|99AAAAA9999A9AA|99AAAAA9999AAA9|99AAAAA9999AAAA",
        Belief::Always,
        &["gstin", "gst"],
        gstin,
    )
    .or_plausible(|id| matches!(two(id, 0), 1..=37 | 97 | 99) && id[13] == b'Z'),
    spec(
        "national_id.cn.resident",
        "CN",
        "999999999999999999|99999999999999999A",
        Belief::Always,
        &["身份证", "居民身份证", "resident identity", "shenfenzheng"],
        resident,
    ),
    // Before 1999 without century and without check digit.
    spec(
        "national_id.cn.resident",
        "CN",
        "999999999999999",
        Belief::Named,
        &["身份证", "居民身份证", "resident identity", "shenfenzheng"],
        |id| (11..=65).contains(&two(id, 0)) && is_date(two(id, 6), two(id, 8), two(id, 10)),
    ),
    spec(
        "national_id.tw.id",
        "TW",
        "A999999999",
        Belief::Named,
        &["身分證", "身份證", "統一編號", "national id", "taiwan"],
        taiwanese,
    ),
    spec(
        "national_id.hk.hkid",
        "HK",
        "A999999(9)|A999999(A)|AA999999(9)|AA999999(A)|A9999999|A999999A|AA9999999|AA999999A",
        Belief::Written,
        &["hkid", "hong kong identity", "香港身份證", "身份證"],
        hkid,
    ),
    spec("national_id.sg.nric", "SG", "A9999999A", Belief::Always, &["nric", "fin", "singapore"], nric)
        .or_plausible(|id| b"STFGM".contains(&id[0])),
    spec(
        "national_id.kr.rrn",
        "KR",
        "999999-9999999|9999999999999",
        Belief::Written,
        &["rrn", "주민등록번호", "주민번호", "resident registration", "frn", "외국인등록번호"],
        rrn,
    )
    .or_plausible(|id| starts_with_yymmdd(id) && (b'1'..=b'8').contains(&id[6]) && two(id, 7) <= 96),
    spec(
        "national_id.kr.brn",
        "KR",
        "999-99-99999|9999999999",
        Belief::Named,
        &["brn", "사업자등록번호", "business registration"],
        brn,
    ),
    spec(
        "national_id.jp.my_number",
        "JP",
        "999999999999|9999 9999 9999|9999-9999-9999",
        Belief::Named,
        &["my number", "マイナンバー", "個人番号", "mynumber"],
        my_number,
    ),
    spec(
        "national_id.th.tnin",
        "TH",
        "9999999999999|9-9999-99999-99-9|9 9999 99999 99 9",
        Belief::Written,
        &["บัตรประชาชน", "เลขประจำตัวประชาชน", "thai id", "thai national", "tnin"],
        thai,
    ),
    spec(
        "national_id.ir.code",
        "IR",
        "9999999999|999-999999-9",
        Belief::Named,
        &["کد ملی", "کدملی", "melli", "national code"],
        iranian,
    ),
];

fn palindrome(id: &[u8]) -> bool {
    id.iter().eq(id.iter().rev())
}

/// A PAN inside, and a sum of the base-36 digits with factors 1 and 2 at its end.
fn gstin(id: &[u8]) -> bool {
    const ORDER: &[u8; 36] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ";
    let value = |byte: u8| if byte.is_ascii_digit() { digit(byte) } else { u32::from(byte - b'A') + 10 };
    let sum: u32 = id[..14]
        .iter()
        .enumerate()
        .map(|(place, byte)| {
            let product = value(*byte) * (1 + (place as u32 & 1));
            product / 36 + product % 36
        })
        .sum();
    id[13] == b'Z' && matches!(two(id, 0), 1..=38 | 97 | 99) && ORDER[((36 - sum % 36) % 36) as usize] == id[14]
}

/// GB 11643-1999.
fn resident(id: &[u8]) -> bool {
    let year = number(&id[6..10]).unwrap_or(0) as u32;
    let province = matches!(two(id, 0), 11..=15 | 21..=23 | 31..=37 | 41..=46 | 50..=54 | 61..=65 | 71 | 81..=83 | 91);
    province && (1850..=2100).contains(&year) && is_date(year, two(id, 10), two(id, 12)) && mod11_2(id)
}

fn taiwanese(id: &[u8]) -> bool {
    const PLACES: &[u8; 26] = b"ABCDEFGHJKLMNPQRSTUVXYWZIO";
    let Some(place) = PLACES.iter().position(|letter| *letter == id[0]) else { return false };
    let place = place as u32 + 10;
    let sum = place / 10 + place % 10 * 9 + weighted(&id[1..], &[8, 7, 6, 5, 4, 3, 2, 1, 1]);
    matches!(id[1], b'1' | b'2' | b'8' | b'9') && sum.is_multiple_of(10)
}

/// A space counts 36 before one letter; the sum with its check is divisible by 11, `A` stands for 10.
fn hkid(id: &[u8]) -> bool {
    let value = |byte: u8| if byte.is_ascii_digit() { digit(byte) } else { u32::from(byte - b'A') + 10 };
    let (lead, rest) = if id[1].is_ascii_digit() {
        (36 * 9 + value(id[0]) * 8, &id[1..])
    } else {
        (value(id[0]) * 9 + value(id[1]) * 8, &id[2..])
    };
    let Some((check, body)) = rest.split_last() else { return false };
    let check = match check {
        b'A' => 10,
        byte if byte.is_ascii_digit() => digit(*byte),
        _ => return false,
    };
    body.len() == 6 && (lead + weighted(body, &[7, 6, 5, 4, 3, 2]) + check).is_multiple_of(11)
}

fn nric(id: &[u8]) -> bool {
    let sum = weighted(&id[1..8], &[2, 7, 6, 5, 4, 3, 2]);
    let expected = match id[0] {
        b'S' => b"JZIHGFEDCBA"[(sum % 11) as usize],
        b'T' => b"JZIHGFEDCBA"[((sum + 4) % 11) as usize],
        b'F' => b"XWUTRQPNMLK"[(sum % 11) as usize],
        b'G' => b"XWUTRQPNMLK"[((sum + 4) % 11) as usize],
        b'M' => b"KLJNPQRTUWX"[10 - ((sum + 3) % 11) as usize],
        _ => return false,
    };
    expected == id[8]
}

/// Numbers given since October 2020 keep no sum, so a date and a century digit must do for them.
fn rrn(id: &[u8]) -> bool {
    let sum = weighted(id, &[2, 3, 4, 5, 6, 7, 8, 9, 2, 3, 4, 5]);
    let base = if matches!(id[6], b'5'..=b'8') { 13 } else { 11 };
    let check = (base - sum % 11) % 10;
    let region = two(id, 7);
    is_date(two(id, 0), two(id, 2), two(id, 4)) && region <= 96 && check == digit(id[12])
}

fn brn(id: &[u8]) -> bool {
    let sum = weighted(id, &[1, 3, 7, 1, 3, 7, 1, 3, 5]) + digit(id[8]) * 5 / 10;
    (10 - sum % 10) % 10 == digit(id[9]) && !one_digit_only(id)
}

fn my_number(id: &[u8]) -> bool {
    let rest = weighted(id, &[6, 5, 4, 3, 2, 7, 6, 5, 4, 3, 2]) % 11;
    let check = if rest < 2 { 0 } else { 11 - rest };
    check == digit(id[11]) && !one_digit_only(id)
}

fn thai(id: &[u8]) -> bool {
    let sum = weighted(id, &[13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2]);
    (b'1'..=b'8').contains(&id[0]) && id[1] != b'0' && (11 - sum % 11) % 10 == digit(id[12])
}

fn iranian(id: &[u8]) -> bool {
    let rest = weighted(id, &[10, 9, 8, 7, 6, 5, 4, 3, 2]) % 11;
    let check = if rest < 2 { rest } else { 11 - rest };
    check == digit(id[9]) && !one_digit_only(id)
}

#[cfg(test)]
mod tests {
    use crate::identity::is_valid;
    use crate::kind::Kind;

    #[test]
    fn published_specimens_are_valid_and_changed_ones_are_not() {
        for (kind, valid, invalid) in [
            ("in.aadhaar", "2341 2341 2346", "2341 2341 2347"),
            ("in.pan", "ABCPE1234F", "ABCDE1234F"),
            ("in.gstin", "27AAPFU0939F1ZV", "27AAPFU0939F1ZW"),
            ("cn.resident", "11010519491231002X", "110105194912310021"),
            ("tw.id", "A123456789", "A123456788"),
            ("hk.hkid", "A123456(3)", "A123456(4)"),
            ("sg.nric", "S0000001I", "S0000001J"),
            ("kr.rrn", "971013-9019902", "971013-9019903"),
            ("jp.my_number", "123456789018", "123456789019"),
            ("th.tnin", "1-1012-00001-00-9", "1-1012-00001-00-6"),
            ("ir.code", "0499370899", "0499370898"),
        ] {
            let kind = Kind::parse(&format!("national_id.{kind}")).unwrap();
            assert!(is_valid(kind, valid), "{kind} {valid}");
            assert!(!is_valid(kind, invalid), "{kind} {invalid}");
        }
    }
}
