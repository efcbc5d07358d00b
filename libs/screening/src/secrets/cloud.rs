//! Clouds and infrastructure.

use super::{Rule, named, token};

/// What may stand between a name and its value: quotes, a sign of assignment, white space.
macro_rules! after {
    ($name:literal, $value:literal) => {
        concat!(
            r#"(?i-u)\A"#,
            $name,
            r#"[\w.\-]{0,30}["'`\]]{0,2}\s{0,4}(?:=|:|=>|:=|,|\||\s)\s{0,4}["'`]{0,2}"#,
            $value
        )
    };
}
pub(super) use after;

pub(super) const RULES: &[Rule] = &[
    token(
        "secret.aws.access_key_id",
        "Amazon Web Services",
        &["akia", "asia", "abia", "acca", "a3t"],
        r"(?-u)\A(?:AKIA|ASIA|ABIA|ACCA|A3T[A-Z0-9])[A-Z2-7][A-Z0-9]{15}\b",
        2.0,
    ),
    named(
        "secret.aws.secret_access_key",
        "Amazon Web Services",
        &["aws_secret", "aws.secret", "secret_access_key", "secretaccesskey", "secret access key", "secret key"],
        after!("(?:aws[_.]?)?secret[_. ]?(?:access)?[_. ]?(?:key)?", r"([A-Za-z0-9/+]{40})(?:[^A-Za-z0-9/+=]|\z)"),
        0.0,
    ),
    named(
        "secret.aws.session_token",
        "Amazon Web Services",
        &["aws_session_token", "aws_security_token", "sessiontoken"],
        after!("(?:aws_)?(?:session|security)_?token", r"([A-Za-z0-9/+=._-]{60,})"),
        3.5,
    ),
    token(
        "secret.aws.mws_token",
        "Amazon Marketplace",
        &["amzn.mws."],
        r"(?-u)\Aamzn\.mws\.[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b",
        2.5,
    ),
    token("secret.aws.appsync_key", "Amazon AppSync", &["da2-"], r"(?-u)\Ada2-[a-z0-9]{26}\b", 3.0),
    token("secret.aws.bedrock_key", "Amazon Bedrock", &["absk"], r"(?-u)\AABSK[A-Za-z0-9+/]{109,269}={0,2}", 4.0),
    token(
        "secret.google.api_key",
        "Google Cloud",
        &["aiza"],
        r"(?-u)\AAIza[A-Za-z0-9_-]{35}(?:[^A-Za-z0-9_-]|\z)",
        3.0,
    ),
    token("secret.google.oauth_token", "Google Cloud", &["ya29."], r"(?-u)\Aya29\.[A-Za-z0-9_-]{20,}", 3.0),
    token("secret.google.oauth_secret", "Google Cloud", &["gocspx-"], r"(?-u)\AGOCSPX-[A-Za-z0-9_-]{28}", 3.0),
    token("secret.google.refresh_token", "Google Cloud", &["1//0"], r"(?-u)\A1//0[A-Za-z0-9_-]{40,120}", 3.5),
    named(
        "secret.google.client_secret",
        "Google Cloud",
        &["client_secret", "clientsecret", "client-secret"],
        after!("client[_-]?secret", r"([A-Za-z0-9_-]{24})(?:[^A-Za-z0-9_-]|\z)"),
        0.8,
    ),
    Rule {
        behind: 30,
        ..named(
            "secret.google.service_account",
            "Google Cloud",
            &["private_key_id"],
            r#"(?-u)"private_key_id"\s{0,4}:\s{0,4}"([0-9a-f]{40})""#,
            3.0,
        )
    },
    Rule {
        behind: 78,
        ..token(
            "secret.azure.devops_token",
            "Microsoft Azure",
            &["azdo"],
            r"(?-u)(?:^|[^A-Za-z0-9])([A-Za-z0-9]{76}AZDO[A-Za-z0-9]{4})(?:[^A-Za-z0-9]|\z)",
            3.5,
        )
    },
    named(
        "secret.azure.devops_pat",
        "Microsoft Azure",
        &["ado_pat", "azure_devops", "personalaccesstoken", "token", "azure"],
        r#"(?i-u)\A(?:\w{0,30})["'\]]{0,2}\s{0,4}(?:=|:|=>)\s{0,4}["']?([a-z2-7]{52})(?:[^A-Za-z0-9]|\z)"#,
        3.5,
    ),
    token(
        "secret.azure.storage_key",
        "Microsoft Azure",
        &["accountkey=", "sharedaccesskey="],
        r"(?i-u)\A(?:Account|SharedAccess)Key=([A-Za-z0-9+/]{40,90}={0,2})",
        3.0,
    ),
    token(
        "secret.azure.app_configuration",
        "Microsoft Azure",
        &[".azconfig.io;"],
        r"(?-u)\A\.azconfig\.io;Id=[^;\s]{4,60};Secret=([A-Za-z0-9+/]{40,90}={0,2})",
        3.0,
    ),
    token("secret.azure.sas", "Microsoft Azure", &["sig="], r"(?-u)\Asig=([A-Za-z0-9%+/]{40,80}(?:=|%3[dD]))", 3.5),
    Rule {
        behind: 5,
        ..token(
            "secret.azure.client_secret",
            "Microsoft Azure",
            &["8q~", "7q~"],
            r"(?-u)(?:^|[^A-Za-z0-9_~.-])([A-Za-z0-9_~.-]{3}[78]Q~[A-Za-z0-9_~.-]{31,34})(?:[^A-Za-z0-9_~.-]|\z)",
            3.5,
        )
    },
    token(
        "secret.digitalocean.token",
        "DigitalOcean",
        &["dop_v1_", "doo_v1_", "dor_v1_"],
        r"(?-u)\Ado[opr]_v1_[0-9a-f]{64}\b",
        3.0,
    ),
    token("secret.cloudflare.origin_key", "Cloudflare", &["v1.0-"], r"(?-u)\Av1\.0-[0-9a-f]{24}-[0-9a-f]{146}\b", 3.0),
    named(
        "secret.cloudflare.api_token",
        "Cloudflare",
        &["cloudflare", "cf_api", "cf_token"],
        after!("(?:cloudflare|cf)[_-]?", r"([A-Za-z0-9_-]{40}|[0-9a-f]{37})(?:[^A-Za-z0-9_-]|\z)"),
        3.2,
    ),
    token("secret.alibaba.access_key_id", "Alibaba Cloud", &["ltai"], r"(?-u)\ALTAI[A-Za-z0-9]{17,21}\b", 3.2),
    token("secret.tencent.secret_id", "Tencent Cloud", &["akid"], r"(?-u)\AAKID[A-Za-z0-9]{32}\b", 3.2),
    token("secret.linode.token", "Akamai Linode", &["lin_"], r"(?-u)\Alin_[0-9a-f]{64}\b", 3.0),
    named(
        "secret.heroku.api_key",
        "Heroku",
        &["heroku"],
        after!("heroku", r"([0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12})\b"),
        2.5,
    ),
    token("secret.heroku.token", "Heroku", &["hrku-"], r"(?-u)\AHRKU-[A-Za-z0-9_-]{36,64}", 3.2),
    token(
        "secret.fly.token",
        "Fly.io",
        &["fo1_", "fm1r_", "fm2_"],
        r"(?-u)\A(?:fo1_[A-Za-z0-9_-]{43}|fm(?:1r|2)_[A-Za-z0-9+/=]{80,})",
        3.5,
    ),
    token(
        "secret.databricks.token",
        "Databricks",
        &["dapi", "dkea"],
        r"(?-u)\A(?:dapi|dkea)[0-9a-f]{32}(?:-\d{1,2})?\b",
        2.8,
    ),
    token(
        "secret.vault.token",
        "HashiCorp Vault",
        &["hvs.", "hvb.", "hvr."],
        r"(?-u)\Ahv[sbr]\.[A-Za-z0-9_-]{24,300}",
        3.2,
    ),
    token(
        "secret.vault.legacy_token",
        "HashiCorp Vault",
        &["vault"],
        r#"(?i-u)\Avault[\w.-]{0,30}["']?\s{0,3}[=:\s]\s{0,3}["']?([sbr]\.(?:[A-Za-z0-9]{24,26}|[A-Za-z0-9_-]{90,300}))(?:[^A-Za-z0-9_.-]|\z)"#,
        3.0,
    ),
    named(
        "secret.vault.unseal_key",
        "HashiCorp Vault",
        &["unseal"],
        r"(?i-u)\Aunseal(?:[ _-]?key)?[ _]?\d{0,2}:?\s{1,3}([A-Za-z0-9+/]{43,44}=?)(?:[^A-Za-z0-9+/]|\z)",
        3.5,
    ),
    Rule {
        behind: 15,
        ..token(
            "secret.terraform.token",
            "Terraform Cloud",
            &[".atlasv1."],
            r"(?-u)(?:^|[^A-Za-z0-9])([A-Za-z0-9]{14}\.atlasv1\.[A-Za-z0-9_=-]{60,70})",
            3.5,
        )
    },
    token("secret.pulumi.token", "Pulumi", &["pul-"], r"(?-u)\Apul-[0-9a-f]{40}\b", 3.0),
    token(
        "secret.doppler.token",
        "Doppler",
        &["dp.ct.", "dp.pt.", "dp.st.", "dp.sa.", "dp.scim.", "dp.audit."],
        r"(?-u)\Adp\.(?:ct|pt|st|sa|scim|audit)\.(?:[a-z0-9_-]{2,35}\.)?[A-Za-z0-9]{40,44}\b",
        3.2,
    ),
    token(
        "secret.dynatrace.token",
        "Dynatrace",
        &["dt0c01.", "dt0s01."],
        r"(?-u)\Adt0[cs]01\.[A-Z2-7]{24}\.[A-Z2-7]{64}\b",
        3.2,
    ),
    named(
        "secret.kubernetes.bootstrap_token",
        "Kubernetes",
        &["bootstrap"],
        r#"(?i-u)\Abootstrap[-_]?token[\w.-]{0,20}["']?\s{0,3}[=:\s]\s{0,3}["']?([a-z0-9]{6}\.[a-z0-9]{16})\b"#,
        2.0,
    ),
    named(
        "secret.kubernetes.token_secret",
        "Kubernetes",
        &["token-secret"],
        r#"(?i-u)\Atoken-secret["']?\s{0,3}[=:]\s{0,3}["']?([a-z0-9]{16})\b"#,
        2.0,
    ),
    token("secret.age.identity", "age", &["age-secret-key-1"], r"(?-u)\AAGE-SECRET-KEY-1[0-9A-Z]{58}\b", 2.0),
    token("secret.1password.token", "1Password", &["ops_ey"], r"(?-u)\Aops_ey[A-Za-z0-9_-]{240,}", 4.0),
    token(
        "secret.confluent.key",
        "Confluent",
        &["confluent"],
        after!("confluent", r"([A-Za-z0-9+/]{64})(?:[^A-Za-z0-9+/]|\z)"),
        4.0,
    ),
    token(
        "secret.planetscale.token",
        "PlanetScale",
        &["pscale_tkn_", "pscale_pw_", "pscale_oauth_"],
        r"(?-u)\Apscale_(?:tkn|pw|oauth)_[A-Za-z0-9_.=-]{32,64}",
        3.2,
    ),
    token(
        "secret.supabase.key",
        "Supabase",
        &["sbp_", "sb_secret_"],
        r"(?-u)\A(?:sbp_[0-9a-f]{40}|sb_secret_[A-Za-z0-9_-]{31,})",
        3.0,
    ),
    token(
        "secret.okta.sws_token",
        "Okta",
        &["ssws "],
        r"(?-u)\A(?i:ssws )(00[A-Za-z0-9_-]{39}[A-Za-z0-9_])(?:[^A-Za-z0-9_-]|\z)",
        2.5,
    ),
    named(
        "secret.okta.api_token",
        "Okta",
        &["okta"],
        r#"(?i-u)\Aokta[\w.-]{0,30}["']?\s{0,3}(?:=|:|=>|\{\s{0,6}default\s{0,3}=)\s{0,3}["']?(00[A-Za-z0-9_-]{39}[A-Za-z0-9_])(?:[^A-Za-z0-9_-]|\z)"#,
        0.3,
    ),
];
