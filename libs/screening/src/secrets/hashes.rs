//! Password hashes that name their own function (crypt(3), PHC strings, LDAP, databases, network gear).

use super::{Rule, hash};

pub(super) const RULES: &[Rule] = &[
    hash("hash.bcrypt", "bcrypt", &["$2a$", "$2b$", "$2x$", "$2y$"], r"(?-u)\A\$2[abxy]\$\d{2}\$[./A-Za-z0-9]{53}"),
    hash(
        "hash.argon2",
        "Argon2",
        &["$argon2"],
        r"(?-u)\A\$argon2(?:id|i|d)\$(?:v=\d+\$)?m=\d+,t=\d+,p=\d+\$[A-Za-z0-9+/=]{8,128}\$[A-Za-z0-9+/=]{16,256}",
    ),
    hash(
        "hash.scrypt",
        "scrypt",
        &["$scrypt$", "scrypt:", "$7$"],
        r"(?-u)\A(?:\$scrypt\$[^\s$]{3,60}\$[A-Za-z0-9+/=]{8,128}\$[A-Za-z0-9+/=]{16,256}|scrypt:\d+:\d+:\d+\$[A-Za-z0-9]{8,64}\$[0-9a-f]{64,128}|\$7\$[./A-Za-z0-9]{11,97}\$[./A-Za-z0-9]{43})",
    ),
    hash(
        "hash.yescrypt",
        "yescrypt",
        &["$y$", "$gy$"],
        r"(?-u)\A\$g?y\$[./A-Za-z0-9]+\$[./A-Za-z0-9]{0,86}\$[./A-Za-z0-9]{43}",
    ),
    hash(
        "hash.sha512crypt",
        "sha512crypt",
        &["$6$"],
        r"(?-u)\A\$6\$(?:rounds=\d{1,9}\$)?[^\s$:]{1,16}\$[./A-Za-z0-9]{86}",
    ),
    hash(
        "hash.sha256crypt",
        "sha256crypt",
        &["$5$"],
        r"(?-u)\A\$5\$(?:rounds=\d{1,9}\$)?[^\s$:]{1,16}\$[./A-Za-z0-9]{43}",
    ),
    hash("hash.md5crypt", "md5crypt", &["$1$", "$apr1$"], r"(?-u)\A\$(?:1|apr1)\$[^\s$:]{1,8}\$[./A-Za-z0-9]{22}"),
    hash("hash.phpass", "phpass", &["$p$", "$h$"], r"(?-u)\A\$[PH]\$[./A-Za-z0-9]{31}"),
    hash("hash.drupal7", "Drupal 7", &["$s$"], r"(?-u)\A\$S\$[./A-Za-z0-9]{52}"),
    hash(
        "hash.pbkdf2",
        "PBKDF2",
        &["pbkdf2_sha", "$pbkdf2", "pbkdf2:sha"],
        r"(?-u)\A(?:pbkdf2_sha(?:1|256|512)\$\d+\$[^\s$]{4,64}\$[A-Za-z0-9+/=]{20,128}|\$pbkdf2(?:-sha(?:1|256|512))?\$[^\s$]{1,60}\$[A-Za-z0-9+/=.]{4,128}\$[A-Za-z0-9+/=.]{16,256}|pbkdf2:sha\d+(?::\d+)?\$[A-Za-z0-9]{4,64}\$[0-9a-f]{40,128})",
    ),
    hash(
        "hash.ldap_ssha",
        "LDAP salted SHA",
        &["{ssha", "{sha", "{smd5}", "{md5}"],
        r"(?-u)\A(?i:\{(?:SSHA(?:256|384|512)?|SHA(?:256|384|512)?|SMD5|MD5)\})[A-Za-z0-9+/]{22,140}={0,2}",
    ),
    hash(
        "hash.scram",
        "SCRAM",
        &["scram-sha-"],
        r"(?-u)\ASCRAM-SHA-(?:1|256|512)\$\d+:[A-Za-z0-9+/=]{8,128}\$[A-Za-z0-9+/=]{20,128}:[A-Za-z0-9+/=]{20,128}",
    ),
    Rule {
        reach: 20_000,
        ..hash(
            "hash.kerberos_asrep",
            "Kerberos AS-REP",
            &["$krb5asrep$", "$krb5tgs$"],
            r"(?-u)\A\$krb5(?:asrep|tgs)\$\d{2}\$[^\s]{32,}",
        )
    },
    hash("hash.cisco_8", "Cisco type 8 and 9", &["$8$", "$9$"], r"(?-u)\A\$[89]\$[./A-Za-z0-9]{14}\$[./A-Za-z0-9]{43}"),
    Rule {
        confidence: 85,
        ..hash(
            "hash.mysql",
            "MySQL 4.1",
            &["identified by password '", "mysql_native_password"],
            r"(?-u)\A(?i:identified by password '|mysql_native_password'? as ')(\*[0-9A-Fa-f]{40})",
        )
    },
    hash(
        "hash.mssql",
        "SQL Server",
        &["0x0100", "0x0200"],
        r"(?-u)\A0x0[12]00[0-9A-Fa-f]{48}(?:[0-9A-Fa-f]{40,88})?\b",
    ),
    Rule { behind: 66, ..hash("hash.ntlm", "NTLM", &[":::"], r"(?-u)([0-9A-Fa-f]{32}:[0-9A-Fa-f]{32}):::") },
    hash(
        "hash.netntlm",
        "NetNTLMv2",
        &["::"],
        r"(?-u)\A::[^\s:]{0,64}:[0-9A-Fa-f]{16}:[0-9A-Fa-f]{32}:[0-9A-Fa-f]{32,}",
    ),
    Rule {
        confidence: 85,
        ..hash("hash.postgres_md5", "PostgreSQL MD5", &["password 'md5"], r"(?-u)\A(?i:password ')(md5[0-9a-f]{32})'")
    },
];
