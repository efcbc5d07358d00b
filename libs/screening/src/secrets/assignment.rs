//! Passwords and keys known by the word before them: `password = "…"`, `--password …`, `"apiKey": "…"`.

use super::entropy;
use crate::Kind;
use crate::matching::Match;

/// What a word announces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Announced {
    /// Something that people choose: short, any characters.
    Password,
    /// Something that machines make: long, high entropy.
    Key,
}

/// Words that announce a password, lower case.
pub(crate) const PASSWORD_WORDS: &[&str] = &[
    "password",
    "passwd",
    "passwrd",
    "passphrase",
    "passcode",
    "_pass",
    "pass=",
    "pass:",
    "pass =",
    "pwd",
    "kennwort",
    "passwort",
    "contraseña",
    "contrasena",
    "mot de passe",
    "motdepasse",
    "senha",
    "wachtwoord",
    "lösenord",
    "пароль",
    "密码",
    "密碼",
    "パスワード",
    "networkcredential(",
    "directoryentry(",
];

/// Words that announce a key, lower case.
pub(crate) const KEY_WORDS: &[&str] = &[
    "secret",
    "api_key",
    "apikey",
    "api-key",
    "api key",
    "token",
    "access_key",
    "accesskey",
    "access-key",
    "auth_key",
    "authkey",
    "private_key",
    "encryption_key",
    "signing_key",
    "client_key",
    "app_key",
    "appkey",
    "master_key",
    "credential",
    "session_key",
    "jwtsecret",
];

/// Longest name that may go on behind the word, and longest value.
const NAME: usize = 40;
const VALUE: usize = 256;

/// The value that the word at `word` announces.
pub(crate) fn value_of(text: &[u8], word: std::ops::Range<usize>, announced: Announced) -> Option<Match> {
    let mut reader = Reader { text, at: word.end };
    let call = text[word.end - 1] == b'(';
    let ends_in_sign = matches!(text[word.end - 1], b'=' | b':');
    if call {
        return second_argument(text, word.end);
    }
    if ends_in_sign {
        reader.at -= 1;
    } else {
        reader.skip_while(NAME, |byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.'));
    }
    let separator = reader.separator(word.start)?;
    let (range, quoted) = reader.value(separator)?;
    let value = &text[range.clone()];
    if is_placeholder(value) || looks_like_code(text, &range, quoted, separator) {
        return None;
    }
    let found =
        |kind, confidence| Some(Match { kind, start: range.start, end: range.end, confidence, validated: false });
    match announced {
        Announced::Password => {
            let shortest = if quoted { 4 } else { 5 };
            let plain_word = value.iter().all(u8::is_ascii_lowercase);
            // In prose (`password is …`) and behind options only something that is no ordinary word is believed.
            if value.len() < shortest
                || separator == Separator::Blank && !quoted && plain_word && !is_option(text, word.start)
            {
                return None;
            }
            found(Kind::PASSWORD, if quoted || separator == Separator::Sign { 85 } else { 70 })
        }
        Announced::Key => {
            let digits = value.iter().any(u8::is_ascii_digit);
            let random = value.len() >= 16 && digits && entropy(value) >= 3.0 && value.iter().all(u8::is_ascii_graphic);
            let chosen = value.len() >= 6
                && quoted
                && separator == Separator::Sign
                && secret_word(text, &word)
                && !is_identifier(value);
            if random {
                return found(Kind::GENERIC_KEY, if entropy(value) >= 3.5 { 85 } else { 75 });
            }
            if chosen { found(Kind::GENERIC_KEY, 65) } else { None }
        }
    }
}

/// The last literal among a call's arguments: `NetworkCredential("user", "password")`.
fn second_argument(text: &[u8], from: usize) -> Option<Match> {
    let reach = &text[from..text.len().min(from + 300)];
    let reach = &reach[..memchr::memchr(b')', reach)?];
    let mut quotes = reach.iter().enumerate().filter(|(_, byte)| **byte == b'"').map(|(place, _)| place);
    let (mut last, mut count) = (None, 0);
    while let (Some(open), Some(close)) = (quotes.next(), quotes.next()) {
        last = Some(from + open + 1..from + close);
        count += 1;
    }
    let range = last.filter(|range| count >= 2 && range.len() >= 4 && !is_placeholder(&text[range.clone()]))?;
    Some(Match { kind: Kind::PASSWORD, start: range.start, end: range.end, confidence: 85, validated: false })
}

fn secret_word(text: &[u8], word: &std::ops::Range<usize>) -> bool {
    text[word.clone()].eq_ignore_ascii_case(b"secret") || text[word.clone()].eq_ignore_ascii_case(b"jwtsecret")
}

fn is_option(text: &[u8], start: usize) -> bool {
    start >= 1 && text[start - 1] == b'-' || text[..start].ends_with(b"login ") || {
        // netrc: `login name password value`.
        let before = &text[start.saturating_sub(60)..start];
        before.windows(6).any(|window| window.eq_ignore_ascii_case(b"login "))
            || before.windows(8).any(|window| window.eq_ignore_ascii_case(b"username"))
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Separator {
    /// `=`, `:`, `=>`, `:=`, `==`, `!=`, `,` between literals.
    Sign,
    /// `is`, or only white space.
    Blank,
}

struct Reader<'t> {
    text: &'t [u8],
    at: usize,
}

impl Reader<'_> {
    fn byte(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    fn skip_while(&mut self, limit: usize, accept: impl Fn(u8) -> bool) {
        let end = self.text.len().min(self.at + limit);
        while self.at < end && accept(self.text[self.at]) {
            self.at += 1;
        }
    }

    fn skip_blanks(&mut self) {
        self.skip_while(20, |byte| byte == b' ' || byte == b'\t');
    }

    fn separator(&mut self, _start: usize) -> Option<Separator> {
        let before = self.at;
        // A closing quote or bracket of the name; escaped quotes inside strings too.
        self.skip_while(3, |byte| matches!(byte, b'"' | b'\'' | b'`' | b']' | b')' | b'\\'));
        self.skip_blanks();
        let sign = self.at;
        match self.byte()? {
            b'=' | b':' | b'!' | b'?' => {
                self.skip_while(3, |byte| matches!(byte, b'=' | b':' | b'>' | b'~' | b'!' | b'?'));
                if self.text[sign..self.at].iter().all(|byte| matches!(byte, b'!' | b'?')) {
                    return None;
                }
            }
            b',' => self.at += 1,
            b'/' | b'>' => {
                // `<password>value</password>` and `key="password" value="…"`.
                if self.byte() == Some(b'>') {
                    self.at += 1;
                } else {
                    return None;
                }
            }
            b'v' if self.text[self.at..].starts_with(b"value=") => self.at += 6,
            b'i' if self.text[self.at..].starts_with(b"is ") => {
                self.at += 3;
                return Some(Separator::Blank);
            }
            b'f' if self.text[self.at..].starts_with(b"for ") => return self.quoted_after_is(),
            _ => return (self.at > before).then_some(Separator::Blank),
        }
        self.skip_blanks();
        // `: String = "…"`, `{ default = "…"`.
        Some(Separator::Sign)
    }

    /// `password for the user "x" is "y"`.
    fn quoted_after_is(&mut self) -> Option<Separator> {
        let reach = &self.text[self.at..self.text.len().min(self.at + 80)];
        let place = reach.windows(4).position(|window| window == b" is ")?;
        self.at += place + 4;
        Some(Separator::Blank)
    }

    /// The value's bytes and whether quotes stood around it.
    fn value(&mut self, separator: Separator) -> Option<(std::ops::Range<usize>, bool)> {
        self.skip_blanks();
        self.skip_while(2, |byte| matches!(byte, b'(' | b'[' | b'{' | b'\\' | b'@'));
        self.skip_blanks();
        let quote = self.byte().filter(|byte| matches!(byte, b'"' | b'\'' | b'`'));
        if let Some(quote) = quote {
            // A wrapped literal: `'"value"'`.
            let inner =
                self.text.get(self.at + 1).copied().filter(|byte| *byte != quote && matches!(byte, b'"' | b'\''));
            let start = self.at + 1 + usize::from(inner.is_some());
            let quote = inner.unwrap_or(quote);
            let reach = &self.text[start..self.text.len().min(start + VALUE)];
            let length = reach.iter().position(|byte| *byte == quote || *byte == b'\n')?;
            if reach[length] == b'\n' {
                return None;
            }
            let length = length - usize::from(length > 0 && reach[length - 1] == b'\\');
            return Some((start..start + length, true));
        }
        if separator == Separator::Blank && self.byte().is_some_and(|byte| !byte.is_ascii_graphic()) {
            return None;
        }
        let start = self.at;
        let reach = &self.text[start..self.text.len().min(start + VALUE)];
        let length = reach
            .iter()
            .position(|byte| byte.is_ascii_whitespace() || b"\"'`;<>,|&".contains(byte) || byte.is_ascii_control())
            .unwrap_or(reach.len());
        let trimmed = reach[..length].iter().rposition(|byte| !b").:}]".contains(byte)).map_or(0, |last| last + 1);
        Some((start..start + trimmed, false))
    }
}

/// True for what stands where a secret would stand: variables, templates, stars, `example`.
pub(crate) fn is_placeholder(value: &[u8]) -> bool {
    const WORDS: [&[u8]; 24] = [
        b"null",
        b"none",
        b"nil",
        b"true",
        b"false",
        b"undefined",
        b"string",
        b"password",
        b"passwd",
        b"secret",
        b"token",
        b"required",
        b"optional",
        b"changeme",
        b"xxxx",
        b"your",
        b"insert",
        b"placeholder",
        b"redacted",
        b"hidden",
        b"empty",
        b"masked",
        b"not-set",
        b"todo",
    ];
    let first = value.first().copied().unwrap_or(b' ');
    let variable = matches!(first, b'$' | b'%' | b'<' | b'{')
        && !value
            .iter()
            .skip(1)
            .any(|byte| !byte.is_ascii_alphanumeric() && !b"_{}()<>%.[]'\" -$/:|&;#".contains(byte));
    let templated = [&b"${"[..], b"{{", b"#{", b"%(", b"<%", b"$(", b"&lt;"]
        .iter()
        .any(|mark| value.windows(mark.len()).any(|window| window == *mark));
    let one_character = value.len() >= 3 && value.windows(2).all(|pair| pair[0] == pair[1]);
    let word = WORDS.iter().any(|word| {
        let whole = matches!(*word, b"xxxx" | b"your" | b"insert" | b"placeholder" | b"redacted");
        if whole {
            value.len() >= word.len() && value[..word.len()].eq_ignore_ascii_case(word)
        } else {
            value.eq_ignore_ascii_case(word)
        }
    });
    value.is_empty() || variable || templated || one_character || word
}

fn is_identifier(value: &[u8]) -> bool {
    value.iter().all(|byte| byte.is_ascii_alphabetic() || *byte == b'_') && value.contains(&b'_')
}

/// Calls, members and types where a literal would stand: `password = getPassword()`, `String password;`.
fn looks_like_code(text: &[u8], range: &std::ops::Range<usize>, quoted: bool, separator: Separator) -> bool {
    let value = &text[range.clone()];
    if quoted {
        // A label, a sentence or a path rather than a secret.
        let blanks = memchr::memchr_iter(b' ', value).count();
        let path =
            value.first() == Some(&b'/') && value.contains(&b'/') && value.len() > 1 && value[1..].contains(&b'/');
        return blanks > 3 || value.ends_with(b":") || path || value.starts_with(b"#") && is_lower_words(&value[1..]);
    }
    let next = text.get(range.end).copied().unwrap_or(b'\n');
    let call = value.contains(&b'(') || next == b'(' || value.contains(&b'[') || value.starts_with(b"&");
    let member =
        value.windows(2).any(|pair| pair[0] == b'.' && pair[1].is_ascii_alphabetic() || pair == b"->" || pair == b"::")
            && value.iter().all(|byte| byte.is_ascii_alphanumeric() || b"._->:".contains(byte))
            && !value.iter().any(u8::is_ascii_digit);
    let prose = separator == Separator::Blank && !value.iter().any(|byte| !byte.is_ascii_alphabetic() && *byte != b'-');
    let concatenated = next == b'+'
        || value.starts_with(b"+")
        || next == b'"'
            && !value.is_empty()
            && separator == Separator::Sign
            && value.iter().all(|byte| byte.is_ascii_alphanumeric() || *byte == b'.');
    call || member || concatenated || prose && value.len() < 5
}

fn is_lower_words(value: &[u8]) -> bool {
    value.iter().all(|byte| byte.is_ascii_lowercase() || *byte == b'-' || *byte == b'_')
}

#[cfg(test)]
mod tests {
    use super::{Announced, is_placeholder, value_of};

    fn value<'t>(text: &'t str, word: &str, announced: Announced) -> Option<&'t str> {
        let start = text.to_ascii_lowercase().find(word)?;
        value_of(text.as_bytes(), start..start + word.len(), announced).map(|found| &text[found.start..found.end])
    }

    #[test]
    fn passwords_where_configurations_keep_them() {
        for (text, expected) in [
            ("password = \"super$ecret\"", "super$ecret"),
            ("db_password: hunter22", "hunter22"),
            ("my_password := 'open sesame'", "open sesame"),
            ("\"AdminPassword\" : \"thisisit1\",", "thisisit1"),
            (":password   =>  '4ian1234',", "4ian1234"),
            ("Server=h;User Id=u;Password=s3cr3t;Database=d", "s3cr3t"),
            ("machine h login ann password 0123abc", "0123abc"),
            ("the password is \"centipede\"", "centipede"),
        ] {
            assert_eq!(value(text, "password", Announced::Password), Some(expected), "{text}");
        }
    }

    #[test]
    fn code_and_prose_hold_no_password() {
        for text in [
            "password = os.environ.get(\"X\")",
            "password = ${DB_PASSWORD}",
            "char *password = NULL;",
            "Enter your password to continue",
            "password: \"\"",
            "password = request.form",
            "passwordLabel:\"Password:\",",
            "password = '<your password>'",
        ] {
            assert_eq!(value(text, "password", Announced::Password), None, "{text}");
        }
    }

    #[test]
    fn keys_need_entropy() {
        assert_eq!(
            value("api_key = \"951bc382db9abad29c68634761dd6e19\"", "api_key", Announced::Key),
            Some("951bc382db9abad29c68634761dd6e19")
        );
        assert_eq!(value("api_key = \"the_name_of_the_key\"", "api_key", Announced::Key), None);
        assert_eq!(value("token = parser.next_token", "token", Announced::Key), None);
    }

    #[test]
    fn placeholders() {
        for text in ["", "********", "${X}", "{{ x }}", "<password>", "xxxxxxxx", "your-api-key", "None", "$PASSWORD"] {
            assert!(is_placeholder(text.as_bytes()), "{text}");
        }
        assert!(!is_placeholder(b"hunter2") && !is_placeholder(b"#gets0m3"));
    }
}
