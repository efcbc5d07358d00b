//! Names and passwords inside URLs: `scheme://user:password@host` (RFC 3986, section 3.2.1).

use super::assignment::is_placeholder;
use crate::Kind;
use crate::matching::Match;

/// Farther than this behind `://` no `@` is looked for.
const REACH: usize = 300;

/// The password in the URL whose `://` begins at byte `at`.
pub(crate) fn at(text: &[u8], at: usize) -> Option<Match> {
    let scheme = text[at.saturating_sub(20)..at]
        .iter()
        .rev()
        .take_while(|byte| byte.is_ascii_alphanumeric() || b"+.-".contains(byte))
        .count();
    if scheme == 0 {
        return None;
    }
    let from = at + 3;
    let reach = &text[from..text.len().min(from + REACH)];
    let ends = |byte: &u8| byte.is_ascii_whitespace() || byte.is_ascii_control() || b"\"'`<>\\".contains(byte);
    let authority = reach.split(ends).next().unwrap_or_default();
    let colon = memchr::memchr(b':', authority)?;
    // An unescaped `@` or `/` in a password is against the standard and common: the last `@` before a host counts.
    let mut host = None;
    for place in memchr::memchr_iter(b'@', authority) {
        let rest = &authority[place + 1..];
        let plausible = rest.first().is_some_and(|byte| {
            byte.is_ascii_alphanumeric() || matches!(byte, b'[' | b'%' | b'$' | b'{' | b'*' | b'(')
        });
        if place > colon && plausible {
            host = Some(place);
        } else if place < colon && host.is_none() {
            return None;
        }
        if rest.contains(&b'/') && !rest[..memchr::memchr(b'/', rest)?].contains(&b'@') {
            break;
        }
    }
    let host = host?;
    let user = &authority[..colon];
    let password = &authority[colon + 1..host];
    if user.iter().any(|byte| b"/?#@".contains(byte))
        || password.is_empty()
        || password.contains(&b'?')
        || is_placeholder(password)
    {
        return None;
    }
    // `host:8080/path@version` has a port where a password would be.
    if password.iter().take_while(|byte| byte.is_ascii_digit()).count() > 0 && password.contains(&b'/') {
        return None;
    }
    Some(Match {
        kind: Kind::CONNECTION_STRING,
        start: from + colon + 1,
        end: from + host,
        confidence: 97,
        validated: true,
    })
}

#[cfg(test)]
mod tests {
    use super::at;

    fn password(text: &str) -> Option<&str> {
        at(text.as_bytes(), text.find("://")?).map(|found| &text[found.start..found.end])
    }

    #[test]
    fn passwords_between_colon_and_at() {
        assert_eq!(password("postgres://app:s3cret@db:5432/x"), Some("s3cret"));
        assert_eq!(password("mongodb+srv://u:p%40ss@host/?w=1"), Some("p%40ss"));
        assert_eq!(password("redis://:only@cache"), Some("only"));
        assert_eq!(password("amqp://u:pa@ss@mq.example.org/v"), Some("pa@ss"));
        for clean in [
            "https://example.org/a@b",
            "http://host:8080/x@y",
            "postgres://u:${PW}@db",
            "postgres://user@db/x",
            "x://a b:c@d",
        ] {
            assert_eq!(password(clean), None, "{clean}");
        }
    }
}
