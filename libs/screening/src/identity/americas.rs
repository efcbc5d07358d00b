//! United States, Canada, Mexico, Brazil, Argentina, Chile, Colombia, Peru, Ecuador, Uruguay, Dominican Republic.

use super::{Belief, Spec, spec};
use crate::checks::{digit, is_date, luhn, number, one_digit_only, two, weighted};

pub(super) const SPECS: &[Spec] = &[
    spec(
        "national_id.us.ssn",
        "US",
        "999-99-9999|999 99 9999|999.99.9999",
        Belief::Written,
        &["ssn", "social security", "ssid", "social insurance", "soc sec"],
        ssn,
    ),
    // As ZIP codes and account numbers are written too.
    spec(
        "national_id.us.ssn",
        "US",
        "999999999|99999-9999|999-999999",
        Belief::Named,
        &["ssn", "social security", "soc sec"],
        ssn,
    ),
    spec(
        "national_id.us.ein",
        "US",
        "99-9999999|99 9999999",
        Belief::Named,
        &["ein", "employer identification", "fein", "tax id"],
        |id| {
            !matches!(two(id, 0), 0 | 7..=9 | 17..=19 | 28 | 29 | 49 | 69 | 70 | 78 | 79 | 89 | 96 | 97)
                && !one_digit_only(id)
        },
    ),
    spec(
        "national_id.us.itin",
        "US",
        "999-99-9999|999 99 9999|999999999|999-999999|99999-9999",
        Belief::Named,
        &["itin", "individual taxpayer", "taxpayer identification", "tax id"],
        itin,
    ),
    spec(
        "national_id.us.npi",
        "US",
        "9999999999|9999-999-999|9999 999 999|999-999-9999",
        Belief::Named,
        &["npi", "national provider"],
        npi,
    ),
    spec(
        "national_id.us.mbi",
        "US",
        "9AA9AA9AA99|9AA9-AA9-AA99|9A99A99AA99|9A99-A99-AA99|9AA9A99AA99|9AA9-A99-AA99|9A99AA9AA99|9A99-AA9-AA99",
        Belief::Named,
        &["mbi", "medicare", "beneficiary"],
        mbi,
    ),
    spec(
        "national_id.ca.sin",
        "CA",
        "999-999-999|999 999 999|999999999",
        Belief::Named,
        &["sin", "social insurance", "nas", "assurance sociale", "canadian"],
        sin,
    ),
    spec(
        "national_id.mx.curp",
        "MX",
        "AAAA999999AAAAAA99|AAAA999999AAAAAAA9",
        Belief::Always,
        &["curp", "clave única", "clave unica"],
        curp,
    ),
    spec(
        "national_id.br.cpf",
        "BR",
        "999.999.999-99|99999999999|999 999 999 99",
        Belief::Written,
        &["cpf", "cadastro de pessoas"],
        cpf,
    ),
    spec(
        "national_id.br.cnpj",
        "BR",
        "99.999.999/9999-99|99999999999999",
        Belief::Written,
        &["cnpj", "cadastro nacional"],
        cnpj,
    ),
    spec(
        "national_id.ar.cuit",
        "AR",
        "99-99999999-9|99999999999|99.99999999.9",
        Belief::Written,
        &["cuit", "cuil"],
        cuit,
    ),
    spec(
        "national_id.cl.rut",
        "CL",
        "99.999.999-9|9.999.999-9|99.999.999-A|9.999.999-A",
        Belief::Written,
        &["rut", "run", "rol único", "rol unico"],
        rut,
    ),
    spec(
        "national_id.cl.rut",
        "CL",
        "99999999-9|99999999-A|9999999-9|9999999-A",
        Belief::Named,
        &["rut", "run", "rol único", "rol unico"],
        rut,
    ),
    spec(
        "national_id.co.nit",
        "CO",
        "999.999.999-9|999999999-9|9999999999",
        Belief::Named,
        &["nit", "rut", "tributaria"],
        nit,
    ),
    spec("national_id.pe.ruc", "PE", "99999999999", Belief::Named, &["ruc", "contribuyente"], ruc),
    spec(
        "national_id.ec.cedula",
        "EC",
        "9999999999|999999999-9",
        Belief::Named,
        &["cédula", "cedula", "cédula de identidad", "identificación"],
        ecuadorian,
    ),
    spec(
        "national_id.uy.cedula",
        "UY",
        "9.999.999-9|9999999-9|99999999",
        Belief::Written,
        &["cédula", "cedula", "documento de identidad"],
        uruguayan,
    ),
    spec(
        "national_id.do.cedula",
        "DO",
        "999-9999999-9|99999999999",
        Belief::Written,
        &["cédula", "cedula", "dominicana"],
        |id| luhn(id) && !one_digit_only(id),
    ),
];

/// No check digit; areas 000, 666 and 900 up, group 00 and serial 0000 are never given (SSA, 2011).
fn ssn(id: &[u8]) -> bool {
    const PRINTED: [&[u8]; 3] = [b"078051120", b"219099999", b"123456789"];
    let (area, group, serial) = (&id[..3], &id[3..5], &id[5..]);
    area != b"000"
        && area != b"666"
        && id[0] != b'9'
        && group != b"00"
        && serial != b"0000"
        && !one_digit_only(id)
        && !PRINTED.contains(&id)
}

fn itin(id: &[u8]) -> bool {
    id[0] == b'9' && matches!(two(id, 3), 50..=65 | 70..=88 | 90..=92 | 94..=99)
}

/// Luhn over 80840 and the ten digits.
fn npi(id: &[u8]) -> bool {
    let mut whole = *b"808400000000000";
    whole[5..].copy_from_slice(id);
    matches!(id[0], b'1' | b'2') && luhn(&whole)
}

/// No check digit; letters S, L, O, I, B and Z are never used.
fn mbi(id: &[u8]) -> bool {
    id[0] != b'0' && !id.iter().any(|byte| b"SLOIBZ".contains(byte))
}

fn sin(id: &[u8]) -> bool {
    luhn(id) && !one_digit_only(id) && id[0] != b'8'
}

fn curp(id: &[u8]) -> bool {
    const ORDER: &[u8; 37] = b"0123456789ABCDEFGHIJKLMN#OPQRSTUVWXYZ";
    let value = |byte: u8| ORDER.iter().position(|other| *other == byte).unwrap_or(0) as u32;
    let sum: u32 = id[..17].iter().zip((2..=18).rev()).map(|(byte, weight)| value(*byte) * weight).sum();
    is_date(two(id, 4), two(id, 6), two(id, 8))
        && matches!(id[10], b'H' | b'M' | b'X')
        && (10 - sum % 10) % 10 == digit(id[17])
}

/// The check digit of sums modulo 11, 0 for remainders below 2.
fn eleven(digits: &[u8], weights: &[u32]) -> u32 {
    match weighted(digits, weights) % 11 {
        0 | 1 => 0,
        rest => 11 - rest,
    }
}

fn cpf(id: &[u8]) -> bool {
    eleven(id, &[10, 9, 8, 7, 6, 5, 4, 3, 2]) == digit(id[9])
        && eleven(id, &[11, 10, 9, 8, 7, 6, 5, 4, 3, 2]) == digit(id[10])
        && !one_digit_only(id)
}

fn cnpj(id: &[u8]) -> bool {
    eleven(id, &[5, 4, 3, 2, 9, 8, 7, 6, 5, 4, 3, 2]) == digit(id[12])
        && eleven(id, &[6, 5, 4, 3, 2, 9, 8, 7, 6, 5, 4, 3, 2]) == digit(id[13])
        && !one_digit_only(id)
}

fn cuit(id: &[u8]) -> bool {
    let check = (11 - weighted(id, &[5, 4, 3, 2, 7, 6, 5, 4, 3, 2]) % 11) % 11;
    matches!(&id[..2], b"20" | b"23" | b"24" | b"25" | b"26" | b"27" | b"30" | b"33" | b"34")
        && check % 10 == digit(id[10])
        && check < 10
}

fn rut(id: &[u8]) -> bool {
    let Some((check, body)) = id.split_last() else { return false };
    let sum: u32 =
        body.iter().rev().zip([2, 3, 4, 5, 6, 7].iter().cycle()).map(|(byte, weight)| digit(*byte) * weight).sum();
    let expected = match 11 - sum % 11 {
        11 => b'0',
        10 => b'K',
        value => b'0' + value as u8,
    };
    expected == *check && !one_digit_only(body)
}

fn nit(id: &[u8]) -> bool {
    let rest = weighted(id, &[41, 37, 29, 23, 19, 17, 13, 7, 3]) % 11;
    let check = if rest < 2 { rest } else { 11 - rest };
    check == digit(id[9])
}

fn ruc(id: &[u8]) -> bool {
    let check = (11 - weighted(id, &[5, 4, 3, 2, 7, 6, 5, 4, 3, 2]) % 11) % 10;
    matches!(&id[..2], b"10" | b"15" | b"16" | b"17" | b"20") && check == digit(id[10])
}

/// Luhn's sum; the first two digits are a province.
fn ecuadorian(id: &[u8]) -> bool {
    matches!(two(id, 0), 1..=24 | 30) && id[2] < b'6' && luhn(id)
}

fn uruguayan(id: &[u8]) -> bool {
    let sum = weighted(id, &[2, 9, 8, 7, 6, 3, 4]);
    number(id).is_some_and(|whole| whole > 1_000_000) && (10 - sum % 10) % 10 == digit(id[7])
}

#[cfg(test)]
mod tests {
    use crate::identity::is_valid;
    use crate::kind::Kind;

    #[test]
    fn published_specimens_are_valid_and_changed_ones_are_not() {
        for (kind, valid, invalid) in [
            ("us.ssn", "536-90-4399", "666-90-4399"),
            ("us.itin", "911-70-1234", "911-93-1234"),
            ("us.npi", "1234567893", "1234567894"),
            ("us.mbi", "1EG4-TE5-MK73", "0EG4-TE5-MK73"),
            ("ca.sin", "130 692 544", "130 692 545"),
            ("mx.curp", "BOXW310820HNERXN09", "BOXW310820HNERXN08"),
            ("br.cpf", "111.444.777-35", "111.444.777-36"),
            ("br.cnpj", "11.222.333/0001-81", "11.222.333/0001-82"),
            ("ar.cuit", "20-05536168-2", "20-05536168-3"),
            ("cl.rut", "12.345.678-5", "12.345.678-6"),
            ("co.nit", "213.123.432-1", "213.123.432-2"),
            ("pe.ruc", "20512333797", "20512333798"),
            ("ec.cedula", "1713175071", "1713175072"),
            ("do.cedula", "001-1391820-5", "001-1391820-6"),
        ] {
            let kind = Kind::parse(&format!("national_id.{kind}")).unwrap();
            assert!(is_valid(kind, valid), "{kind} {valid}");
            assert!(!is_valid(kind, invalid), "{kind} {invalid}");
        }
    }
}
