//! Spain, Portugal, Italy, Greece, Malta, Cyprus, Turkey, Israel.

use super::{Belief, Spec, spec};
use crate::checks::{digit, luhn, number, one_digit_only, starts_with_ddmmyy, two, weighted};

pub(super) const SPECS: &[Spec] = &[
    spec(
        "national_id.es.nif",
        "ES",
        "99999999A|99999999-A|9999999A|9999999-A|99.999.999-A|99 999 999 A|99 999 999-A|99999999 A",
        Belief::Always,
        &["dni", "nif", "documento nacional"],
        nif,
    ),
    spec(
        "national_id.es.nie",
        "ES",
        "A9999999A|A-9999999-A|A9999999-A|A 9999999 A",
        Belief::Always,
        &["nie", "extranjero"],
        nie,
    ),
    // The tax numbers of Spaniards without a national identity document, and of foreigners without a number of theirs.
    spec("national_id.es.nif", "ES", "A9999999A|A-9999999-A", Belief::Named, &["nif"], |id| {
        b"KLM".contains(&id[0]) && number(&id[1..8]).is_some_and(|n| SPANISH[(n % 23) as usize] == id[8])
    }),
    spec(
        "national_id.es.cif",
        "ES",
        "A99999999|A9999999A|A-99999999|A-9999999-A",
        Belief::Named,
        &["cif", "nif", "empresa", "sociedad"],
        cif,
    ),
    spec(
        "national_id.pt.nif",
        "PT",
        "999999999|999 999 999",
        Belief::Named,
        &["nif", "contribuinte", "número fiscal", "numero fiscal"],
        portuguese,
    ),
    spec(
        "national_id.it.fiscal_code",
        "IT",
        "AAAAAA99A99A999A|AAA AAA 99A99 A999A|AAAAAA 99A99 A999A",
        Belief::Always,
        &["codice fiscale", "fiscal code", "cf"],
        fiscal_code,
    )
    .or_plausible(|id| b"ABCDEHLMPRST".contains(&id[8])),
    // The electronic identity card (since 2016): two letters of which the first is C, five digits, two letters.
    spec(
        "national_id.it.id_card",
        "IT",
        "AA99999AA",
        Belief::Named,
        &["carta d'identità", "carta di identità", "carta d'identita", "carta d’identità", "documento n"],
        |id| id[0] == b'C',
    ),
    spec(
        "national_id.it.vat",
        "IT",
        "99999999999|99999999_999|99999999-999|99999999 999",
        Belief::Named,
        &["partita iva", "p.iva", "piva", "p. iva", "vat"],
        |id| luhn(id) && !one_digit_only(id),
    ),
    spec("national_id.gr.amka", "GR", "99999999999", Belief::Named, &["amka", "αμκα"], |id| {
        starts_with_ddmmyy(id) && luhn(id)
    }),
    spec("national_id.gr.afm", "GR", "999999999", Belief::Named, &["afm", "αφμ", "α.φ.μ"], afm),
    spec(
        "national_id.cy.tax",
        "CY",
        "99999999A",
        Belief::Named,
        &["tic", "tax identification", "φορολογικής"],
        cypriot,
    ),
    spec(
        "national_id.mt.id",
        "MT",
        "9999999A|999999A",
        Belief::Named,
        &["identity card", "maltese", "karta tal-identità", "id card"],
        |id| id.last().is_some_and(|letter| b"MGAPLHBZ".contains(letter)),
    ),
    spec(
        "national_id.tr.tckn",
        "TR",
        "99999999999|999 999 999 99",
        Belief::Named,
        &["tckn", "tc kimlik", "t.c. kimlik", "kimlik", "vatandaşlık"],
        tckn,
    ),
    spec(
        "national_id.il.id",
        "IL",
        "999999999|99999999-9|9-9999999-9",
        Belief::Named,
        &["teudat zehut", "תעודת זהות", "ת.ז", "mispar zehut"],
        |id| luhn(id) && !one_digit_only(id),
    ),
];

const SPANISH: &[u8] = b"TRWAGMYFPDXBNJZSQVHLCKE";

fn nif(id: &[u8]) -> bool {
    let Some((letter, digits)) = id.split_last() else { return false };
    number(digits).is_some_and(|number| SPANISH[(number % 23) as usize] == *letter)
}

/// X, Y and Z count as 0, 1 and 2 before the seven digits.
fn nie(id: &[u8]) -> bool {
    let lead = match id[0] {
        b'X' => 0,
        b'Y' => 1,
        b'Z' => 2,
        _ => return false,
    };
    number(&id[1..8]).is_some_and(|number| SPANISH[((lead * 10_000_000 + number) % 23) as usize] == id[8])
}

fn cif(id: &[u8]) -> bool {
    let sum: u32 = id[1..8]
        .iter()
        .enumerate()
        .map(|(place, byte)| {
            let product = digit(*byte) << (1 - (place & 1));
            product / 10 + product % 10
        })
        .sum();
    let check = (10 - sum % 10) % 10;
    let as_letter = b"JABCDEFGHI"[check as usize] == id[8];
    let as_digit = id[8].is_ascii_digit() && digit(id[8]) == check;
    match id[0] {
        b'A' | b'B' | b'E' | b'H' => as_digit,
        b'P' | b'Q' | b'R' | b'S' | b'N' | b'W' => as_letter,
        b'C' | b'D' | b'F' | b'G' | b'J' | b'U' | b'V' => as_digit || as_letter,
        _ => false,
    }
}

fn portuguese(id: &[u8]) -> bool {
    let check = match weighted(id, &[9, 8, 7, 6, 5, 4, 3, 2]) % 11 {
        0 | 1 => 0,
        rest => 11 - rest,
    };
    id[0] != b'0' && check == digit(id[8]) && !one_digit_only(id)
}

/// Odd places count by a table of their own (decree of 23 December 1976).
fn fiscal_code(id: &[u8]) -> bool {
    const ODD: [u32; 26] =
        [1, 0, 5, 7, 9, 13, 15, 17, 19, 21, 2, 4, 18, 20, 11, 3, 6, 8, 12, 14, 16, 10, 22, 25, 24, 23];
    let place = |byte: u8| usize::from(if byte.is_ascii_digit() { byte - b'0' } else { byte - b'A' });
    let sum: u32 = id[..15]
        .iter()
        .enumerate()
        .map(|(at, byte)| if at % 2 == 0 { ODD[place(*byte)] } else { place(*byte) as u32 })
        .sum();
    let day = two(id, 9) % 40;
    b"ABCDEHLMPRST".contains(&id[8]) && (1..=31).contains(&day) && u32::from(id[15] - b'A') == sum % 26
}

fn afm(id: &[u8]) -> bool {
    let sum = weighted(id, &[256, 128, 64, 32, 16, 8, 4, 2]);
    sum % 11 % 10 == digit(id[8]) && !one_digit_only(id)
}

fn cypriot(id: &[u8]) -> bool {
    const ODD: [u32; 10] = [1, 0, 5, 7, 9, 13, 15, 17, 19, 21];
    let sum: u32 = id[..8]
        .iter()
        .enumerate()
        .map(|(at, byte)| if at % 2 == 0 { ODD[digit(*byte) as usize] } else { digit(*byte) })
        .sum();
    u32::from(id[8] - b'A') == sum % 26
}

/// Two check digits over nine (Nüfus ve Vatandaşlık İşleri).
fn tckn(id: &[u8]) -> bool {
    let odd: u32 = id[..9].iter().step_by(2).map(|byte| digit(*byte)).sum();
    let even: u32 = id[1..8].iter().step_by(2).map(|byte| digit(*byte)).sum();
    let tenth = (odd * 7 + 90 - even) % 10;
    id[0] != b'0' && tenth == digit(id[9]) && (odd + even + tenth) % 10 == digit(id[10])
}

#[cfg(test)]
mod tests {
    use crate::identity::is_valid;
    use crate::kind::Kind;

    #[test]
    fn published_specimens_are_valid_and_changed_ones_are_not() {
        for (kind, valid, invalid) in [
            ("es.nif", "12345678Z", "12345678A"),
            ("es.nie", "X-1234567-L", "X-1234567-M"),
            ("es.cif", "A58818501", "A58818502"),
            ("pt.nif", "123456789", "123456780"),
            ("it.fiscal_code", "RSSMRA85T10A562S", "RSSMRA85T10A562T"),
            ("it.vat", "00743110157", "00743110158"),
            ("gr.amka", "01013099997", "01013099998"),
            ("tr.tckn", "10000000146", "10000000147"),
            ("il.id", "123456782", "123456783"),
        ] {
            let kind = Kind::parse(&format!("national_id.{kind}")).unwrap();
            assert!(is_valid(kind, valid), "{kind} {valid}");
            assert!(!is_valid(kind, invalid), "{kind} {invalid}");
        }
    }
}
