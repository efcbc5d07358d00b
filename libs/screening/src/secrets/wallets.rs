//! Addresses and private keys of cryptocurrencies, each by its own checksum.

use crate::Kind;
use crate::matching::{Context, Match};
use bech32::{Hrp, segwit};
use sha3::{Digest, Keccak256};

/// Shortest and longest word that can be one.
pub(crate) const LENGTHS: std::ops::RangeInclusive<usize> = 25..=112;

/// The address or key that the word `text[start..end]` (letters and digits only) is.
pub(crate) fn word(text: &[u8], start: usize, end: usize, context: Context) -> Option<Match> {
    let word = &text[start..end];
    let found = |kind, confidence, validated| Some(Match { kind, start, end, confidence, validated });
    match word[0] {
        b'0' if word.len() == 42 && word[1] == b'x' => match ethereum(word) {
            Some(true) => found(Kind::ETHEREUM, 98, true),
            Some(false) => found(Kind::ETHEREUM, 70, false),
            None => None,
        },
        b'b' | b'B' | b't' | b'l' if word.len() >= 26 => {
            let word = std::str::from_utf8(word).ok()?;
            let (hrp, _, _) = segwit::decode(word).ok()?;
            let litecoin = Hrp::parse("ltc").is_ok_and(|ltc| ltc == hrp);
            let known = litecoin || hrp == bech32::hrp::BC || hrp == bech32::hrp::TB;
            if known { found(if litecoin { Kind::LITECOIN } else { Kind::BITCOIN }, 99, true) } else { None }
        }
        b'r' if (25..=35).contains(&word.len()) => {
            let payload =
                bs58::decode(word).with_alphabet(bs58::Alphabet::RIPPLE).with_check(Some(0)).into_vec().ok()?;
            if payload.len() == 21 { found(Kind::XRP, 98, true) } else { None }
        }
        b'1' | b'2' | b'3' | b'L' | b'M' | b'D' | b'X' | b'T' | b'm' | b'n' | b't'
            if (26..=35).contains(&word.len()) =>
        {
            let kind = base58_address(word)?;
            found(kind, 99, true)
        }
        b'5' | b'K' | b'L' if (51..=52).contains(&word.len()) => {
            let payload = bs58::decode(word).with_check(Some(0x80)).into_vec().ok()?;
            if matches!(payload.len(), 33 | 34) { found(Kind::WALLET_KEY, 99, true) } else { None }
        }
        b'x' | b'y' | b'z' | b't' if word.len() == 111 && word[1..].starts_with(b"prv") => {
            let payload = bs58::decode(word).with_check(None).into_vec().ok()?;
            if payload.len() == 78 { found(Kind::WALLET_KEY, 99, true) } else { None }
        }
        _ => hash(word, context).and_then(|kind| found(kind, 75, false)),
    }
}

fn base58_address(word: &[u8]) -> Option<Kind> {
    let payload = bs58::decode(word).with_check(None).into_vec().ok()?;
    let kind = match (payload.len(), payload[0]) {
        // The last two are of its test network.
        (21, 0x00 | 0x05 | 0x6f | 0xc4) => Kind::BITCOIN,
        (21, 0x30 | 0x32) => Kind::LITECOIN,
        (21, 0x1e) => Kind::DOGECOIN,
        (21, 0x4c | 0x10) => Kind::DASH,
        (21, 0x41) => Kind::TRON,
        (22, 0x1c) if matches!(payload[1], 0xb8 | 0xbd) => Kind::ZCASH,
        _ => return None,
    };
    Some(kind)
}

/// EIP-55: mixed case is a checksum; one case only has none.
fn ethereum(word: &[u8]) -> Option<bool> {
    let hex = &word[2..];
    if !hex.iter().all(u8::is_ascii_hexdigit) {
        return None;
    }
    let upper = hex.iter().any(u8::is_ascii_uppercase);
    let lower = hex.iter().any(u8::is_ascii_lowercase);
    if !(upper && lower) {
        return Some(false);
    }
    let hash = Keccak256::digest(hex.to_ascii_lowercase());
    let right = hex.iter().enumerate().all(|(place, byte)| {
        let nibble = hash[place / 2] >> (4 * (1 - (place & 1))) & 0xf;
        !byte.is_ascii_alphabetic() || byte.is_ascii_uppercase() == (nibble >= 8)
    });
    Some(right)
}

/// A run of hexadecimal digits beside a word such as `hash`.
fn hash(word: &[u8], context: Context) -> Option<Kind> {
    if !context.has(Context::HASH) {
        return None;
    }
    hash_kind(word)
}

/// The hash function whose output is written like this.
pub(crate) fn hash_kind(word: &[u8]) -> Option<Kind> {
    let kind = match word.len() {
        32 => Kind::HASH_MD5,
        40 => Kind::HASH_SHA1,
        56 => Kind::HASH_SHA224,
        64 => Kind::HASH_SHA256,
        96 => Kind::HASH_SHA384,
        128 => Kind::HASH_SHA512,
        _ => return None,
    };
    let one_case = !(word.iter().any(u8::is_ascii_lowercase) && word.iter().any(u8::is_ascii_uppercase));
    (one_case && word.iter().all(u8::is_ascii_hexdigit)).then_some(kind)
}

#[cfg(test)]
mod tests {
    use super::word;
    use crate::Kind;
    use crate::matching::Context;

    #[test]
    fn specimens_of_the_standards() {
        for (address, kind) in [
            // The genesis block, BIP 16, BIP 173, BIP 350, EIP-55.
            ("1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa", Kind::BITCOIN),
            ("3P14159f73E4gFr7JterCCQh9QjiTjiZrG", Kind::BITCOIN),
            ("bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4", Kind::BITCOIN),
            ("bc1p0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7vqzk5jj0", Kind::BITCOIN),
            ("0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed", Kind::ETHEREUM),
            ("5KYZdUEo39z3FPrtuX2QbbwGnNP5zTd7yyr2SC1j299sBCnWjss", Kind::WALLET_KEY),
        ] {
            let found = word(address.as_bytes(), 0, address.len(), Context::default()).unwrap();
            assert_eq!((found.kind, found.validated), (kind, true), "{kind}");
        }
        for wrong in ["1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNb", "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t5"] {
            assert_eq!(word(wrong.as_bytes(), 0, wrong.len(), Context::default()), None, "{wrong}");
        }
        let mixed = "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAEd";
        assert!(!word(mixed.as_bytes(), 0, mixed.len(), Context::default()).unwrap().validated);
    }

    #[test]
    fn hexadecimal_digits_are_a_hash_beside_such_a_word_only() {
        let digits = "5f4dcc3b5aa765d61d8327deb882cf99";
        assert_eq!(word(digits.as_bytes(), 0, 32, Context::default()), None);
        assert_eq!(word(digits.as_bytes(), 0, 32, Context::HASH).unwrap().kind, Kind::HASH_MD5);
    }
}
