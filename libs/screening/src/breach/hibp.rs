//! Have I Been Pwned: Pwned Passwords by range (k-anonymity) and accounts, version 3 of its API.
//!
//! Of a password the first five hexadecimal digits of its SHA-1 leave the machine; the service answers with all
//! suffixes of that range, padded to hide how many there are, and the comparison happens here.

use super::{Answers, Breach, Breaches, Lookup, Reason};
use crate::ScreeningError;
use async_trait::async_trait;
use moka::future::Cache;
use reqwest::{Client, StatusCode, Url};
use secrecy::{ExposeSecret, SecretString};
use sha1::{Digest, Sha1};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Mutex;
use tokio::time::{Instant, sleep_until};

/// A range's answer is about 40 kilobytes; nothing longer than this is read.
const LONGEST_ANSWER: usize = 4 << 20;
/// Longest that the service may make us wait.
const LONGEST_PAUSE: Duration = Duration::from_secs(600);

/// Where and how the service is asked.
#[derive(Clone, Debug)]
pub struct HibpSettings {
    /// Base of the range API, such as `https://api.pwnedpasswords.com/`.
    pub passwords: String,
    /// Base of the account API, such as `https://haveibeenpwned.com/api/v3/`.
    pub accounts: String,
    /// Key of the account API; without one accounts are not looked up.
    pub key: Option<SecretString>,
    /// Name that the service demands of every client.
    pub user_agent: String,
    /// Least time between two requests for accounts (the service's plans begin at ten a minute).
    pub account_interval: Duration,
    /// Least time between two requests for ranges.
    pub password_interval: Duration,
    /// How long an answer may take.
    pub timeout: Duration,
    /// How long nobody asks after a failure.
    pub pause: Duration,
    /// How long answers are kept.
    pub keep: Duration,
    /// Ranges that are kept (about 25 kilobytes each).
    pub ranges: u64,
}

impl Default for HibpSettings {
    fn default() -> Self {
        Self {
            passwords: "https://api.pwnedpasswords.com/".to_owned(),
            accounts: "https://haveibeenpwned.com/api/v3/".to_owned(),
            key: None,
            user_agent: "carrel".to_owned(),
            account_interval: Duration::from_secs(6),
            password_interval: Duration::from_millis(20),
            timeout: Duration::from_secs(5),
            pause: Duration::from_secs(60),
            keep: Duration::from_secs(24 * 3600),
            ranges: 1000,
        }
    }
}

/// One hash suffix with its count.
type Suffix = ([u8; 35], u64);

/// The client. Clones share caches and pace.
#[derive(Clone)]
pub struct HaveIBeenPwned {
    client: Client,
    settings: Arc<HibpSettings>,
    passwords: Url,
    accounts: Url,
    ranges: Cache<[u8; 5], Arc<Vec<Suffix>>>,
    found: Cache<[u8; 32], Arc<Vec<Breach>>>,
    password_pace: Arc<Mutex<Pace>>,
    account_pace: Arc<Mutex<Pace>>,
    cache_key: [u8; 32],
    answers: Option<Arc<dyn Answers>>,
}

/// When the next request may leave.
#[derive(Default)]
struct Pace {
    next: Option<Instant>,
    /// After a failure or an order to wait, nobody asks before this.
    closed_until: Option<Instant>,
}

impl HaveIBeenPwned {
    /// A client over `client`, which decides about proxies and certificates. `cache_key` keys the digests under
    /// which account answers are kept in memory.
    ///
    /// # Errors
    /// [`ScreeningError::BreachSettings`] when a base is no URL that can be extended.
    pub fn new(client: Client, settings: HibpSettings, cache_key: [u8; 32]) -> Result<Self, ScreeningError> {
        let base = |text: &str| {
            let slash = if text.ends_with('/') { text.to_owned() } else { format!("{text}/") };
            Url::parse(&slash).map_err(|error| ScreeningError::BreachSettings { reason: error.to_string() })
        };
        Ok(Self {
            passwords: base(&settings.passwords)?,
            accounts: base(&settings.accounts)?,
            ranges: Cache::builder().max_capacity(settings.ranges).time_to_live(settings.keep).build(),
            found: Cache::builder().max_capacity(100_000).time_to_live(settings.keep).build(),
            password_pace: Arc::default(),
            account_pace: Arc::default(),
            settings: Arc::new(settings),
            client,
            cache_key,
            answers: None,
        })
    }

    /// The same client (caches in memory and pace are shared) with answers that outlive the process.
    pub fn with_answers(&self, answers: Arc<dyn Answers>) -> Self {
        Self { answers: Some(answers), ..self.clone() }
    }

    async fn kept(&self, key: &str) -> Option<Vec<u8>> {
        match &self.answers {
            Some(answers) => answers.get(key).await,
            None => None,
        }
    }

    async fn keep(&self, key: &str, answer: &[u8]) {
        if let Some(answers) = &self.answers {
            answers.put(key, answer).await;
        }
    }

    /// Waits for this request's turn; refuses while the service is to be left alone.
    async fn turn(&self, pace: &Mutex<Pace>, interval: Duration) -> Result<(), Reason> {
        let at = {
            let mut pace = pace.lock().await;
            let now = Instant::now();
            if pace.closed_until.is_some_and(|until| now < until) {
                return Err(Reason::Waiting);
            }
            let at = pace.next.map_or(now, |next| next.max(now));
            pace.next = Some(at + interval);
            at
        };
        sleep_until(at).await;
        Ok(())
    }

    async fn close(&self, pace: &Mutex<Pace>, pause: Duration) {
        pace.lock().await.closed_until = Some(Instant::now() + pause.min(LONGEST_PAUSE));
    }

    async fn fetch(
        &self,
        url: Url,
        pace: &Mutex<Pace>,
        interval: Duration,
        key: Option<&SecretString>,
    ) -> Result<Option<Vec<u8>>, Reason> {
        self.turn(pace, interval).await?;
        let mut request =
            self.client.get(url).timeout(self.settings.timeout).header("user-agent", &self.settings.user_agent);
        request = match key {
            Some(key) => request.header("hibp-api-key", key.expose_secret()),
            None => request.header("add-padding", "true"),
        };
        let Ok(mut response) = request.send().await else {
            self.close(pace, self.settings.pause).await;
            return Err(Reason::Unreachable);
        };
        match response.status() {
            StatusCode::OK => {}
            // Accounts that are in no breach.
            StatusCode::NOT_FOUND if key.is_some() => return Ok(None),
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
                self.close(pace, self.settings.pause).await;
                return Err(Reason::NoKey);
            }
            StatusCode::TOO_MANY_REQUESTS => {
                let seconds = response.headers().get("retry-after").and_then(|value| value.to_str().ok()?.parse().ok());
                self.close(pace, seconds.map_or(self.settings.pause, Duration::from_secs)).await;
                return Err(Reason::Waiting);
            }
            status => {
                self.close(pace, self.settings.pause).await;
                return Err(if status.is_server_error() { Reason::Unreachable } else { Reason::Unexpected });
            }
        }
        let mut body = Vec::new();
        loop {
            match response.chunk().await {
                Ok(Some(chunk)) if body.len() + chunk.len() <= LONGEST_ANSWER => body.extend_from_slice(&chunk),
                Ok(Some(_)) => return Err(Reason::Unexpected),
                Ok(None) => return Ok(Some(body)),
                Err(_) => return Err(Reason::Unreachable),
            }
        }
    }

    async fn range(&self, prefix: [u8; 5]) -> Result<Arc<Vec<Suffix>>, Reason> {
        if let Some(range) = self.ranges.get(&prefix).await {
            return Ok(range);
        }
        let name = std::str::from_utf8(&prefix).map_err(|_| Reason::Unexpected)?;
        if let Some(range) = self.kept(name).await.and_then(|body| parse_range(&body)) {
            let range = Arc::new(range);
            self.ranges.insert(prefix, Arc::clone(&range)).await;
            return Ok(range);
        }
        let url = self.passwords.join("range/").and_then(|base| base.join(name)).map_err(|_| Reason::Unexpected)?;
        let body = self
            .fetch(url, &self.password_pace, self.settings.password_interval, None)
            .await?
            .ok_or(Reason::Unexpected)?;
        let range = Arc::new(parse_range(&body).ok_or(Reason::Unexpected)?);
        self.keep(name, &body).await;
        self.ranges.insert(prefix, Arc::clone(&range)).await;
        Ok(range)
    }
}

/// Lines `SUFFIX:COUNT`; padding has the count 0 and is left out. Sorted.
fn parse_range(body: &[u8]) -> Option<Vec<Suffix>> {
    let mut range = Vec::with_capacity(1000);
    for line in body.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii).filter(|line| !line.is_empty()) {
        let (suffix, rest) = line.split_at_checked(35)?;
        let count = std::str::from_utf8(rest.strip_prefix(b":")?).ok()?.parse().ok()?;
        if !suffix.iter().all(u8::is_ascii_hexdigit) {
            return None;
        }
        if count > 0 {
            let mut upper = [0; 35];
            upper.copy_from_slice(suffix);
            upper.make_ascii_uppercase();
            range.push((upper, count));
        }
    }
    range.sort_unstable();
    Some(range)
}

fn parse_breaches(body: &[u8]) -> Option<Vec<Breach>> {
    serde_json::from_slice(body).ok()
}

#[async_trait]
impl Breaches for HaveIBeenPwned {
    async fn password(&self, password: &str) -> Lookup<u64> {
        let digest = Sha1::digest(password.as_bytes());
        let mut hex = [0u8; 40];
        for (pair, byte) in hex.chunks_exact_mut(2).zip(digest) {
            pair[0] = b"0123456789ABCDEF"[usize::from(byte >> 4)];
            pair[1] = b"0123456789ABCDEF"[usize::from(byte & 15)];
        }
        let (mut prefix, mut suffix) = ([0; 5], [0; 35]);
        prefix.copy_from_slice(&hex[..5]);
        suffix.copy_from_slice(&hex[5..]);
        match self.range(prefix).await {
            Ok(range) => {
                let place = range.binary_search_by_key(&suffix, |(suffix, _)| *suffix);
                Lookup::Known(place.map_or(0, |place| range[place].1))
            }
            Err(reason) => Lookup::Unavailable(reason),
        }
    }

    async fn account(&self, email: &str) -> Lookup<Vec<Breach>> {
        let Some(key) = &self.settings.key else { return Lookup::Unavailable(Reason::NoKey) };
        let hash = blake3::keyed_hash(&self.cache_key, email.as_bytes());
        let digest = *hash.as_bytes();
        if let Some(found) = self.found.get(&digest).await {
            return Lookup::Known(found.to_vec());
        }
        let kept_as = format!("account:{}", hash.to_hex());
        if let Some(found) = self.kept(&kept_as).await.and_then(|body| parse_breaches(&body)) {
            self.found.insert(digest, Arc::new(found.clone())).await;
            return Lookup::Known(found);
        }
        let Ok(mut url) = self.accounts.join("breachedaccount") else {
            return Lookup::Unavailable(Reason::Unexpected);
        };
        // The segment is escaped, so no address can change the path.
        if let Ok(mut path) = url.path_segments_mut() {
            path.push(email);
        }
        let answer = self.fetch(url, &self.account_pace, self.settings.account_interval, Some(key)).await;
        let breaches = match answer {
            Ok(None) => {
                self.keep(&kept_as, b"[]").await;
                Vec::new()
            }
            Ok(Some(body)) => match parse_breaches(&body) {
                Some(breaches) => {
                    self.keep(&kept_as, &body).await;
                    breaches
                }
                None => return Lookup::Unavailable(Reason::Unexpected),
            },
            Err(reason) => return Lookup::Unavailable(reason),
        };
        self.found.insert(digest, Arc::new(breaches.clone())).await;
        Lookup::Known(breaches)
    }
}

impl std::fmt::Debug for HaveIBeenPwned {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("HaveIBeenPwned").field("passwords", &self.passwords.as_str()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::parse_range;

    #[test]
    fn ranges_lose_their_padding_and_damaged_ones_are_refused() {
        let body = b"0018A45C4D1DEF81644B54AB7F969B88D65:1\r\n00D4F6E8FA6EECAD2A3AA415EEC418D38EC:2\r\n011053FD0102E94D6AE2F8B83D76FAF94F6:0\r\n";
        assert_eq!(parse_range(body).unwrap().len(), 2);
        assert!(parse_range(b"").unwrap().is_empty());
        for damaged in
            [&b"<html>"[..], b"0018A45C4D1DEF81644B54AB7F969B88D65", b"0018A45C4D1DEF81644B54AB7F969B88D6Z:1"]
        {
            assert!(parse_range(damaged).is_none());
        }
    }
}
