//! Private keys, signed tokens and credentials in headers.

use super::{Rule, named, token};

pub(super) const RULES: &[Rule] = &[
    Rule {
        confidence: 99,
        closing: Some("-----END "),
        ..token(
            "secret.private_key.pem",
            "Private key (PEM)",
            &["-----begin "],
            r"(?-u)\A-----BEGIN (?:RSA |DSA |EC |OPENSSH |ENCRYPTED |SSH2 ENCRYPTED |ANY )?PRIVATE KEY-----",
            0.0,
        )
    },
    Rule {
        confidence: 99,
        closing: Some("-----END "),
        ..token(
            "secret.private_key.pgp",
            "Private key (PGP)",
            &["-----begin pgp private"],
            r"(?-u)\A-----BEGIN PGP PRIVATE KEY BLOCK-----",
            0.0,
        )
    },
    Rule {
        confidence: 99,
        closing: Some("---- END SSH2 "),
        ..token(
            "secret.private_key.ssh2",
            "Private key (SSH2)",
            &["---- begin ssh2"],
            r"(?-u)\A---- BEGIN SSH2 ENCRYPTED PRIVATE KEY ----",
            0.0,
        )
    },
    Rule {
        confidence: 99,
        closing: Some("Private-MAC: "),
        ..token(
            "secret.private_key.putty",
            "Private key (PuTTY)",
            &["putty-user-key-file-"],
            r"(?-u)\APuTTY-User-Key-File-\d: [a-z0-9@.-]{3,40}",
            0.0,
        )
    },
    Rule {
        reach: 16_000,
        ..token(
            "secret.private_key.base64_pem",
            "Private key (PEM in base64)",
            &["ls0tls1crudjti"],
            r"(?-u)\ALS0tLS1CRUdJTi[A-Za-z0-9+/]{0,24}?(?:UFJJVkFURS|BSSVZBVEUg|QUklWQVRFI)[A-Za-z0-9+/=]{40,}",
            3.5,
        )
    },
    named(
        "secret.private_key.wireguard",
        "WireGuard",
        &["privatekey", "presharedkey"],
        r"(?i-u)\A(?:Private|Preshared)Key\s{0,4}=\s{0,4}([A-Za-z0-9+/]{42}[AEIMQUYcgkosw048+/]=|[A-Za-z0-9+/]{43}=)",
        3.0,
    ),
    named(
        "secret.private_key.jwk",
        "Private key (JWK)",
        &["\"kty\""],
        r#"(?-u)\A"kty"\s{0,3}:\s{0,3}"(?:RSA|EC|OKP)"[^{}]*?"d"\s{0,3}:\s{0,3}"([A-Za-z0-9_-]{32,})""#,
        3.5,
    ),
    Rule {
        checksum: Some(jwt_header),
        reach: 12_000,
        ..token(
            "secret.jwt",
            "JSON Web Token",
            &["eyj"],
            r"(?-u)\AeyJ[A-Za-z0-9_-]{10,}\.eyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]*",
            3.5,
        )
    },
    named(
        "secret.http.basic",
        "HTTP Basic",
        &["basic "],
        r"(?-u)\A(?i:basic )([A-Za-z0-9+/]{8,200}={0,2})(?:[^A-Za-z0-9+/=]|\z)",
        2.8,
    ),
    named(
        "secret.http.bearer",
        "HTTP Bearer",
        &["bearer ", "bearer: "],
        r"(?-u)\A(?i:bearer):? ([A-Za-z0-9_.~+/-]{12,}=*)",
        3.0,
    ),
    named(
        "secret.django.key",
        "Django",
        &["secret_key"],
        r#"(?-u)\ASECRET_KEY\s{0,3}=\s{0,3}["']([^"'\s]{32,80})["']"#,
        3.5,
    ),
    named(
        "secret.jenkins.initial_password",
        "Jenkins",
        &["please use the following password"],
        r"(?i-u)\Aplease use the following password to proceed to installation:\s{1,8}([0-9a-f]{32})\b",
        2.8,
    ),
];

/// The first part must be a JSON object that names its algorithm.
fn jwt_header(token: &[u8]) -> bool {
    let header = token.split(|byte| *byte == b'.').next().unwrap_or_default();
    decode_base64url(header).is_some_and(|json| {
        serde_json::from_slice::<serde_json::Map<String, serde_json::Value>>(&json)
            .is_ok_and(|map| map.contains_key("alg") || map.contains_key("typ"))
    })
}

/// Base64url without padding (RFC 4648, section 5), at most four thousand characters.
fn decode_base64url(text: &[u8]) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len() * 3 / 4);
    let (mut bits, mut count) = (0u32, 0);
    for byte in text.iter().take(4096) {
        let value = match byte {
            b'A'..=b'Z' => byte - b'A',
            b'a'..=b'z' => byte - b'a' + 26,
            b'0'..=b'9' => byte - b'0' + 52,
            b'-' | b'+' => 62,
            b'_' | b'/' => 63,
            _ => return None,
        };
        bits = bits << 6 | u32::from(value);
        count += 6;
        if count >= 8 {
            count -= 8;
            bytes.push((bits >> count) as u8);
        }
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::jwt_header;

    #[test]
    fn a_token_names_its_algorithm() {
        assert!(jwt_header(b"eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiIxIn0.c2ln"));
        assert!(!jwt_header(b"eyJfb28iOiJiYXIifQ.eyJzdWIiOiIxIn0.c2ln"));
    }
}
