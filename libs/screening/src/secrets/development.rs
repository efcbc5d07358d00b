//! Source hosting, packages, builds, observability and models.

use super::cloud::after;
use super::{Rule, named, token};

pub(super) const RULES: &[Rule] = &[
    Rule {
        checksum: Some(github_checksum),
        ..token(
            "secret.github.token",
            "GitHub",
            &["ghp_", "gho_", "ghu_", "ghs_", "ghr_"],
            r"(?-u)\Agh(?:[pous]_[A-Za-z0-9]{36}|r_[A-Za-z0-9]{36,76})\b",
            3.0,
        )
    },
    token(
        "secret.github.fine_grained_token",
        "GitHub",
        &["github_pat_"],
        r"(?-u)\Agithub_pat_[A-Za-z0-9]{22}_[A-Za-z0-9]{59}\b",
        3.0,
    ),
    named(
        "secret.github.client_secret",
        "GitHub",
        &["github", "gitalk"],
        r#"(?i-u)\A(?:github|gitalk)[\s\S]{0,80}?(?:secret|key|token)[\w.-]{0,20}["']?\s{0,3}(?:=|:|=>)\s{0,3}["']?([0-9a-f]{40})\b"#,
        3.0,
    ),
    token(
        "secret.gitlab.token",
        "GitLab",
        &["glpat-", "gldt-", "glrt-", "glsoat-", "glft-", "glagent-", "glcbt-", "glimt-"],
        r"(?-u)\Agl(?:pat|dt|rt|soat|ft|agent|cbt|imt)-[A-Za-z0-9_.-]{20,60}",
        3.0,
    ),
    token("secret.gitlab.trigger_token", "GitLab", &["glptt-"], r"(?-u)\Aglptt-[0-9a-f]{40}\b", 3.0),
    token("secret.gitlab.runner_token", "GitLab", &["gr1348941"], r"(?-u)\AGR1348941[A-Za-z0-9_-]{20}", 3.0),
    token(
        "secret.bitbucket.app_password",
        "Bitbucket",
        &["atbb", "atctt3"],
        r"(?-u)\A(?:ATBB[A-Za-z0-9]{32}|ATCTT3[A-Za-z0-9_=-]{50,300})",
        3.2,
    ),
    token("secret.atlassian.api_token", "Atlassian", &["atatt3"], r"(?-u)\AATATT3[A-Za-z0-9_=-]{80,300}", 3.5),
    named(
        "secret.atlassian.legacy_token",
        "Atlassian",
        &["jira", "confluence", "atlassian"],
        after!("(?:jira|confluence|atlassian)[_-]?(?:api)?[_-]?(?:token|key|password)", r"([A-Za-z0-9]{24})\b"),
        3.2,
    ),
    Rule {
        checksum: Some(npm_checksum),
        ..token("secret.npm.token", "npm", &["npm_"], r"(?-u)\Anpm_[A-Za-z0-9]{36}\b", 3.0)
    },
    token("secret.pypi.token", "PyPI", &["pypi-ag"], r"(?-u)\Apypi-Ag[A-Za-z0-9_-]{50,300}", 3.5),
    token("secret.rubygems.key", "RubyGems", &["rubygems_"], r"(?-u)\Arubygems_[0-9a-f]{48}\b", 3.0),
    token("secret.crates.token", "crates.io", &["cio"], r"(?-u)\Acio[A-Za-z0-9]{32}\b", 3.5),
    token("secret.nuget.key", "NuGet", &["oy2"], r"(?-u)\Aoy2[a-z0-9]{43}\b", 3.2),
    token(
        "secret.docker.token",
        "Docker Hub",
        &["dckr_pat_", "dckr_oat_"],
        r"(?-u)\Adckr_[po]at_[A-Za-z0-9_-]{27,32}",
        3.0,
    ),
    token(
        "secret.artifactory.key",
        "JFrog Artifactory",
        &["akc", "cmvmd"],
        r"(?-u)\A(?:AKC[A-Za-z0-9]{10,120}|cmVmdGtuO[A-Za-z0-9+/=]{50,80})",
        3.5,
    ),
    token("secret.sonarqube.token", "SonarQube", &["sqp_", "squ_", "sqa_"], r"(?-u)\Asq[pua]_[0-9a-f]{40}\b", 3.0),
    named(
        "secret.sonarqube.login",
        "SonarQube",
        &["sonar"],
        r#"(?i-u)\Asonar(?:[.\w]{0,20})(?:login|token)["']?\s{0,3}(?:=|:|,)\s{0,3}["']?([0-9a-f]{40})\b"#,
        3.0,
    ),
    named(
        "secret.codeclimate.reporter",
        "Code Climate",
        &["codeclimate", "cc_test_reporter"],
        r#"(?i-u)\A(?:codeclimate|cc_test)[\w.@/-]{0,40}[\s\S]{0,60}?[=:]\s{0,3}["']?([0-9a-f]{64})\b"#,
        3.0,
    ),
    named(
        "secret.sauce.key",
        "Sauce Labs",
        &["sauce"],
        after!("sauce", r"([0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12})(?:[^0-9A-Fa-f-]|\z)"),
        2.5,
    ),
    named("secret.travis.token", "Travis CI", &["travis"], after!("travis", r"([A-Za-z0-9]{22})\b"), 3.5),
    token(
        "secret.circleci.token",
        "CircleCI",
        &["cciprj_", "ccipat_"],
        r"(?-u)\Acci(?:prj|pat)_[A-Za-z0-9]{22}_[0-9a-f]{40}\b",
        3.0,
    ),
    named(
        "secret.jenkins.token",
        "Jenkins",
        &["jenkins"],
        r#"(?i-u)\Ajenkins[\s\S]{0,40}?["']?\s{0,3}[=:]\s{0,3}["']?((?:11)?[0-9a-f]{32}|[0-9a-f]{64}|[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})\b"#,
        2.8,
    ),
    token(
        "secret.teamcity.token",
        "TeamCity",
        &["eyj0exaioiaivenw"],
        r"(?-u)\AeyJ0eXAiOiAiVENWMiJ9\.[A-Za-z0-9_-]{36}\.[A-Za-z0-9_-]{48}",
        3.5,
    ),
    token(
        "secret.sourcegraph.token",
        "Sourcegraph",
        &["sgp_", "slk_"],
        r"(?-u)\A(?:sgp_(?:[0-9a-f]{16}_|local_)?[0-9a-f]{40}|slk_[0-9a-f]{64})\b",
        3.0,
    ),
    token("secret.segment.token", "Segment", &["sgp_"], r"(?-u)\Asgp_[A-Za-z0-9]{64}\b", 3.5),
    token("secret.stackhawk.key", "StackHawk", &["hawk."], r"(?-u)\Ahawk\.[A-Za-z0-9_-]{20}\.[A-Za-z0-9_-]{20}\b", 3.5),
    token("secret.snyk.token", "Snyk", &["snyk_"], r"(?-u)\Asnyk_(?:uat|sat)\.[0-9a-f]{8}\.[A-Za-z0-9_.-]{60,}", 3.5),
    token(
        "secret.dependency_track.key",
        "Dependency-Track",
        &["odt_"],
        r"(?-u)\Aodt_[A-Za-z0-9]{32}(?:[A-Za-z0-9]{4})?\b",
        3.2,
    ),
    token("secret.postman.key", "Postman", &["pmak-"], r"(?-u)\APMAK-[0-9a-f]{24}-[0-9a-f]{34}\b", 3.0),
    token("secret.figma.token", "Figma", &["figd_"], r"(?-u)\Afigd_[A-Za-z0-9_-]{38,44}", 3.2),
    named(
        "secret.figma.legacy_token",
        "Figma",
        &["figma"],
        after!("figma", r"([0-9a-f]{4}-[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12})\b"),
        2.5,
    ),
    token("secret.linear.key", "Linear", &["lin_api_"], r"(?-u)\Alin_api_[A-Za-z0-9]{40}\b", 3.2),
    token(
        "secret.notion.token",
        "Notion",
        &["secret_", "ntn_"],
        r"(?-u)\A(?:secret_[A-Za-z0-9]{43}|ntn_[A-Za-z0-9]{46})\b",
        3.8,
    ),
    token("secret.airtable.token", "Airtable", &["pat"], r"(?-u)\Apat[A-Za-z0-9]{14}\.[0-9a-f]{64}\b", 3.5),
    token("secret.asana.token", "Asana", &["1/1", "2/1"], r"(?-u)\A[12]/1\d{12,16}(?:/\d{13,17})?:[0-9a-f]{32}\b", 3.0),
    token(
        "secret.grafana.key",
        "Grafana",
        &["eyjrijoi", "glc_", "glsa_"],
        r"(?-u)\A(?:eyJrIjoi[A-Za-z0-9]{60,100}={0,2}|glc_[A-Za-z0-9+/]{32,400}={0,2}|glsa_[A-Za-z0-9]{32}_[0-9a-fA-F]{8})",
        3.2,
    ),
    token(
        "secret.newrelic.key",
        "New Relic",
        &["nrak-", "nrii-", "nriq-", "nraa-", "nrra-", "nrjs-"],
        r"(?-u)\ANR(?:AK-[A-Z0-9]{27}|II-[A-Za-z0-9_-]{32}|IQ-[A-Za-z0-9_-]{32}|AA-[0-9a-f]{27}|RA-[0-9a-f]{42}|JS-[0-9a-f]{19})",
        2.8,
    ),
    Rule {
        behind: 41,
        ..token(
            "secret.newrelic.license_key",
            "New Relic",
            &["nral"],
            r"(?-u)(?:^|[^A-Za-z0-9])([a-z0-9]{36}NRAL)(?:[^A-Za-z0-9]|\z)",
            0.0,
        )
    },
    named(
        "secret.newrelic.old_license_key",
        "New Relic",
        &["license_key", "licensekey"],
        after!("license_?key", r"([0-9a-f]{40})\b"),
        3.0,
    ),
    token(
        "secret.newrelic.pixie_key",
        "New Relic",
        &["px-api-", "px-dep-"],
        r"(?-u)\Apx-(?:api|dep)-[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b",
        2.8,
    ),
    named(
        "secret.datadog.key",
        "Datadog",
        &["datadog", "dd_api", "dd_app"],
        after!("(?:datadog|dd)[_-]?(?:api|app)?[_-]?key", r"([0-9a-f]{40}|[0-9a-f]{32})\b"),
        3.0,
    ),
    token(
        "secret.sentry.token",
        "Sentry",
        &["sntrys_", "sntryu_"],
        r"(?-u)\Asntry(?:s_[A-Za-z0-9_=-]{60,}|u_[0-9a-f]{64})",
        3.2,
    ),
    token(
        "secret.launchdarkly.key",
        "LaunchDarkly",
        &["api-", "sdk-"],
        r"(?-u)\A(?:api|sdk)-[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}\b",
        2.8,
    ),
    token(
        "secret.truenas.key",
        "TrueNAS",
        &["auth.login_with_api_key", "bearer "],
        r#"(?-u)\A(?:auth\.login_with_api_key"\s{0,4},\s{0,4}"params"\s{0,4}:\s{0,4}\[\s{0,6}"|(?i:bearer) )(\d{1,3}-[A-Za-z0-9]{64})\b"#,
        3.8,
    ),
    token(
        "secret.openai.key",
        "OpenAI",
        &["sk-"],
        r"(?-u)\Ask-(?:proj-|svcacct-|admin-|None-)?(?:[A-Za-z0-9_-]{20,90}T3BlbkFJ[A-Za-z0-9_-]{20,90}|[A-Za-z0-9]{48})(?:[^A-Za-z0-9_-]|\z)",
        3.5,
    ),
    token(
        "secret.anthropic.key",
        "Anthropic",
        &["sk-ant-"],
        r"(?-u)\Ask-ant-(?:api|admin|sid|oat)\d{2}-[A-Za-z0-9_-]{80,120}",
        3.5,
    ),
    token(
        "secret.huggingface.token",
        "Hugging Face",
        &["hf_", "api_org_"],
        r"(?-u)\A(?:hf_[A-Za-z]{34}|api_org_[A-Za-z]{34})\b",
        3.2,
    ),
    token("secret.groq.key", "Groq", &["gsk_"], r"(?-u)\Agsk_[A-Za-z0-9]{52}\b", 3.5),
    token("secret.replicate.token", "Replicate", &["r8_"], r"(?-u)\Ar8_[A-Za-z0-9]{37}\b", 3.5),
    token("secret.perplexity.key", "Perplexity", &["pplx-"], r"(?-u)\Applx-[A-Za-z0-9]{48}\b", 3.5),
    token("secret.xai.key", "xAI", &["xai-"], r"(?-u)\Axai-[A-Za-z0-9]{80}\b", 3.8),
    token("secret.langchain.key", "LangSmith", &["lsv2_"], r"(?-u)\Alsv2_(?:pt|sk)_[0-9a-f]{32}_[0-9a-f]{10}\b", 3.0),
    token("secret.firecrawl.key", "Firecrawl", &["fc-"], r"(?-u)\Afc-[0-9a-f]{32}\b", 2.8),
    token("secret.jina.key", "Jina AI", &["jina_"], r"(?-u)\Ajina_[0-9a-f]{32}[A-Za-z0-9_-]{28}", 3.5),
    token("secret.tavily.key", "Tavily", &["tvly-"], r"(?-u)\Atvly-(?:dev-|prod-)?[A-Za-z0-9]{32}\b", 0.0),
    named(
        "secret.kagi.key",
        "Kagi",
        &["kagi"],
        r#"(?i-u)\Akagi[\s\S]{0,40}?[=:]\s{0,3}["']?([A-Za-z0-9_-]{11}\.[A-Za-z0-9_-]{43})(?:[^A-Za-z0-9_-]|\z)"#,
        3.8,
    ),
    named(
        "secret.wandb.key",
        "Weights & Biases",
        &["wandb"],
        r#"(?i-u)\Awandb[\w.]{0,20}["']?[\s\S]{0,40}?\s{0,3}[=:\s]\s{0,3}["']?([0-9a-f]{40})\b"#,
        3.0,
    ),
    token("secret.adafruit.key", "Adafruit IO", &["aio_"], r"(?-u)\Aaio_[A-Za-z0-9]{28}\b", 3.2),
];

/// The last six characters are the CRC-32 of those between prefix and checksum, in base 62.
fn github_checksum(token: &[u8]) -> bool {
    token.len() == 40 && base62_crc(&token[4..34]) == token[34..]
}

fn npm_checksum(token: &[u8]) -> bool {
    github_checksum(token)
}

fn base62_crc(payload: &[u8]) -> [u8; 6] {
    const DIGITS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    let mut rest = crc32fast::hash(payload);
    let mut written = [b'0'; 6];
    for place in written.iter_mut().rev() {
        *place = DIGITS[(rest % 62) as usize];
        rest /= 62;
    }
    written
}

#[cfg(test)]
mod tests {
    use super::{base62_crc, github_checksum};

    #[test]
    fn a_token_with_its_own_checksum_passes() {
        let payload = b"zQWBuTSOoRi4A9spHcVY5ncnsDkxkJ";
        let mut token = b"ghp_".to_vec();
        token.extend_from_slice(payload);
        token.extend_from_slice(&base62_crc(payload));
        // GitHub's own published example of this scheme ends in 0mLq17.
        assert_eq!(&token[34..], b"0mLq17");
        assert!(github_checksum(&token));
        token[10] ^= 1;
        assert!(!github_checksum(&token));
    }
}
