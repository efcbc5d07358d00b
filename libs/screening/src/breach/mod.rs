//! Look-ups in collections of breached passwords and accounts.
//!
//! A look-up never fails a screening: where the service does not answer, the answer is [`Lookup::Unavailable`] with
//! a reason, and for a while nobody asks again.

mod hibp;

pub use hibp::{HaveIBeenPwned, HibpSettings};

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

/// What a service said, or why it said nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Lookup<T> {
    /// The service's answer.
    Known(T),
    /// There is none.
    Unavailable(Reason),
}

/// Why there is no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// The service could not be reached in time.
    Unreachable,
    /// It asked for patience, or an earlier failure is too recent.
    Waiting,
    /// No key is configured, or the service refuses it.
    NoKey,
    /// It answered something that its documentation does not name.
    Unexpected,
}

/// One breach in which an account occurs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Breach {
    /// The service's name for it.
    #[serde(rename(deserialize = "Name"))]
    pub name: String,
}

/// A collection of breached passwords and accounts.
#[async_trait]
pub trait Breaches: Send + Sync {
    /// How often the password occurs; 0 when it does not. The password itself must not leave this machine.
    async fn password(&self, password: &str) -> Lookup<u64>;

    /// The breaches in which an e-mail address occurs. The address leaves this machine, so callers ask only where
    /// the workspace has agreed.
    async fn account(&self, email: &str) -> Lookup<Vec<Breach>>;
}

/// Where answers outlive the process. What cannot be read is asked for again, what cannot be kept is not.
#[async_trait]
pub trait Answers: Send + Sync {
    /// The answer under `key`, unless it is too old.
    async fn get(&self, key: &str) -> Option<Vec<u8>>;

    /// Keeps an answer. `key` is a range of hashes or a keyed digest, never a value.
    async fn put(&self, key: &str, answer: &[u8]);
}
