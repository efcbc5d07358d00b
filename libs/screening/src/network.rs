//! Addresses of machines: IPv4, IPv6 (RFC 4291), MAC (EUI-48).

use crate::Kind;
use crate::matching::Match;
use std::net::{Ipv4Addr, Ipv6Addr};

/// The dotted address that begins at byte `start` (the first digit of a word).
pub(crate) fn ipv4_at(text: &[u8], start: usize) -> Option<Match> {
    let before = start.checked_sub(1).map(|at| text[at]);
    if before.is_some_and(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-')) {
        return None;
    }
    let length = text[start..].iter().take(16).take_while(|byte| byte.is_ascii_digit() || **byte == b'.').count();
    let mut run = &text[start..start + length];
    // The full stop of a sentence.
    if run.last() == Some(&b'.') {
        run = &run[..run.len() - 1];
    }
    let end = start + run.len();
    let address: Ipv4Addr = std::str::from_utf8(run).ok()?.parse().ok()?;
    let after = text.get(end).copied().unwrap_or(b' ');
    let goes_on = after == b'.' && text.get(end + 1).is_some_and(u8::is_ascii_alphanumeric);
    if after.is_ascii_alphanumeric() || matches!(after, b'_' | b'-') || goes_on {
        return None;
    }
    // Four small numbers are a version or a section; addresses of machines rarely are below 10.
    if address.octets().iter().all(|octet| *octet < 10) && address != Ipv4Addr::UNSPECIFIED && !is_resolver(address) {
        return None;
    }
    Some(Match { kind: Kind::IPV4, start, end, confidence: 95, validated: true })
}

fn is_resolver(address: Ipv4Addr) -> bool {
    matches!(address.octets(), [a, b, c, d] if a == b && b == c && c == d)
}

/// The address around a run of hexadecimal digits and colons that begins at byte `start`.
pub(crate) fn ipv6_at(text: &[u8], start: usize) -> Option<Match> {
    let before = start.checked_sub(1).map(|at| text[at]);
    if before.is_some_and(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b':' | b'.' | b'_')) {
        return None;
    }
    let is_part = |byte: &&u8| byte.is_ascii_hexdigit() || matches!(**byte, b':' | b'.');
    let length = text[start..].iter().take(46).take_while(is_part).count();
    let mut run = &text[start..start + length];
    while run.last() == Some(&b'.') || run.last() == Some(&b':') && !run.ends_with(b"::") {
        run = &run[..run.len() - 1];
    }
    let end = start + run.len();
    if text.get(end).is_some_and(|byte| byte.is_ascii_alphanumeric() || *byte == b'_') {
        return None;
    }
    // `a::b` is code; an address has digits, or eight groups.
    let colons = memchr::memchr_iter(b':', run).count();
    if colons < 2 || !run.iter().any(u8::is_ascii_digit) && colons < 4 {
        return None;
    }
    let _: Ipv6Addr = std::str::from_utf8(run).ok()?.parse().ok()?;
    Some(Match { kind: Kind::IPV6, start, end, confidence: 95, validated: true })
}

/// Six or eight pairs with spaces, which much else is: for places where a word announces such an address.
pub(crate) fn spaced_mac_at(text: &[u8], start: usize) -> Option<Match> {
    let before = start.checked_sub(1).map(|at| text[at]);
    if before.is_some_and(|byte| byte.is_ascii_alphanumeric()) {
        return None;
    }
    let pairs = text[start..]
        .chunks(3)
        .take(9)
        .take_while(|pair| {
            pair.len() >= 2
                && pair[..2].iter().all(u8::is_ascii_hexdigit)
                && !pair.get(2).is_some_and(u8::is_ascii_alphanumeric)
        })
        .enumerate()
        .take_while(|(place, _)| *place == 0 || text[start + place * 3 - 1] == b' ')
        .count();
    if pairs != 6 && pairs != 8 {
        return None;
    }
    let end = start + pairs * 3 - 1;
    Some(Match { kind: Kind::MAC, start, end, confidence: 75, validated: true })
}

/// Six pairs (EUI-48) or eight (EUI-64) with `:` or `-`, or three fours with dots, beginning at byte `start`.
pub(crate) fn mac_at(text: &[u8], start: usize) -> Option<Match> {
    let before = start.checked_sub(1).map(|at| text[at]);
    if before.is_some_and(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b':' | b'-' | b'.')) {
        return None;
    }
    let pairs = |length: usize| {
        let run = text.get(start..start + length)?;
        let separator = run[2];
        let fits = run.iter().enumerate().all(|(at, byte)| {
            if at % 3 == 2 { *byte == separator && matches!(separator, b':' | b'-') } else { byte.is_ascii_hexdigit() }
        });
        fits.then_some(length)
    };
    let dotted = |length: usize| {
        let run = text.get(start..start + length)?;
        let fits =
            run.iter().enumerate().all(|(at, byte)| if at % 5 == 4 { *byte == b'.' } else { byte.is_ascii_hexdigit() });
        fits.then_some(length)
    };
    let length = pairs(23).or_else(|| pairs(17)).or_else(|| dotted(19)).or_else(|| dotted(14))?;
    let end = start + length;
    let run = &text[start..end];
    let after = text.get(end).copied().unwrap_or(b' ');
    let goes_on = matches!(after, b':' | b'-' | b'.') && text.get(end + 1).is_some_and(u8::is_ascii_hexdigit);
    let first = run[0];
    let empty = run.iter().all(|byte| *byte == first || !byte.is_ascii_hexdigit());
    if after.is_ascii_alphanumeric() || goes_on || empty {
        return None;
    }
    Some(Match { kind: Kind::MAC, start, end, confidence: 95, validated: true })
}

#[cfg(test)]
mod tests {
    use super::{ipv4_at, ipv6_at, mac_at, spaced_mac_at};

    #[test]
    fn addresses_and_what_only_looks_like_them() {
        assert!(ipv4_at(b"192.168.17.4", 0).is_some() && ipv4_at(b"8.8.8.8.", 0).is_some());
        for text in ["1.2.3.4", "256.1.1.1", "10.20.30", "10.20.30.40.50", "10.20.30.40a"] {
            assert!(ipv4_at(text.as_bytes(), 0).is_none(), "{text}");
        }
        assert!(ipv6_at(b"2001:db8::8a2e:370:7334", 0).is_some() && ipv6_at(b"fe80::1", 0).is_some());
        for text in ["12:30:45", "add::bad", "std::fmt", "1:2"] {
            assert!(ipv6_at(text.as_bytes(), 0).is_none(), "{text}");
        }
        assert!(mac_at(b"00:1B:44:11:3A:B7", 0).is_some() && mac_at(b"001b.4411.3ab7", 0).is_some());
        assert!(
            spaced_mac_at(b"A9 C5 D4 9F EB D3", 0).is_some() && spaced_mac_at(b"A9 C5 D4 9F EB D3 B6 65.", 0).is_some()
        );
        for text in ["A9 C5 D4 9F EB", "A9 C5 D4 9F EB D3 B6", "A9 C5 D4 9F EB D3a", "be ad"] {
            assert!(spaced_mac_at(text.as_bytes(), 0).is_none(), "{text}");
        }
        for text in ["00:1B:44:11:3A", "00:1B:44-11:3A:B7", "00:00:00:00:00:00", "00:1B:44:11:3A:B7:01"] {
            assert!(mac_at(text.as_bytes(), 0).is_none(), "{text}");
        }
    }
}
