//! POST requests that may be sent twice and act once (draft-ietf-httpapi-idempotency-key-header).

use crate::OperationError;
use crate::error::invalid;
use carrel_domain::{Actor, ClientId, OperationContext};
use carrel_storage::Transaction;
use carrel_storage::access::{self, Idempotency, RequestKey};
use chrono::{DateTime, Utc};
use serde_json::Value;

/// How long a reply is kept.
const KEPT: chrono::Duration = chrono::Duration::days(1);

/// A key that a sender chose for one request, with what identifies that request.
#[derive(Clone, Debug)]
pub struct IdempotencyKey {
    client: ClientId,
    key: String,
    fingerprint: Vec<u8>,
}

impl IdempotencyKey {
    /// A key of 1 to 255 visible ASCII characters.
    pub fn new(context: &OperationContext, key: &str, fingerprint: Vec<u8>) -> Result<Self, OperationError> {
        if key.is_empty() || key.len() > 255 || !key.bytes().all(|byte| byte.is_ascii_graphic()) {
            return invalid("Idempotency-Key", "must have 1 to 255 visible ASCII characters");
        }
        let Actor::Client { id: client } = context.actor else {
            return invalid("Idempotency-Key", "is for clients only");
        };
        Ok(Self { client, key: key.to_owned(), fingerprint })
    }

    fn as_request(&self) -> RequestKey<'_> {
        RequestKey { client: self.client, key: &self.key, fingerprint: &self.fingerprint }
    }
}

/// A reply as it is sent, and kept for whoever sends the same request again.
#[derive(Clone, Debug, PartialEq)]
pub struct Reply {
    /// Status of the transport, which means nothing here.
    pub status: u16,
    /// Body.
    pub body: Value,
}

/// What an operation answers that acts once.
#[derive(Clone, Debug)]
pub enum Answer<T> {
    /// It was done now.
    Fresh(T),
    /// It was done before; this was the reply.
    Repeated(Reply),
}

/// Whether and how an operation remembers what it answered.
///
/// The reply is stored by the transaction of the effect: there is never one without the other, wherever a process dies.
#[derive(Clone, Copy)]
pub struct Once<'a, T> {
    keyed: Option<(&'a IdempotencyKey, &'a Writer<'a, T>)>,
}

/// Makes the reply that is kept of what an operation answers.
type Writer<'a, T> = dyn Fn(&T) -> Reply + Send + Sync + 'a;

impl<T> std::fmt::Debug for Once<'_, T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Once").field("key", &self.keyed.map(|(key, _)| key)).finish_non_exhaustive()
    }
}

impl<'a, T> Once<'a, T> {
    /// The request carries no key: it acts every time.
    pub fn without_key() -> Self {
        Self { keyed: None }
    }

    /// The request carries `key`; `write` makes the reply that is kept.
    pub fn with_key(key: &'a IdempotencyKey, write: &'a Writer<'a, T>) -> Self {
        Self { keyed: Some((key, write)) }
    }

    /// Claims the key until the end of the transaction, or finds the reply of its first use.
    pub(crate) async fn claim(
        &self,
        transaction: &mut Transaction,
        now: DateTime<Utc>,
    ) -> Result<Option<Reply>, OperationError> {
        let Some((key, _)) = self.keyed else { return Ok(None) };
        match access::claim_key(transaction, key.as_request(), now - KEPT).await? {
            Idempotency::Fresh => Ok(None),
            Idempotency::Answered { status, reply } => Ok(Some(Reply { status, body: reply })),
            Idempotency::InProgress => Err(OperationError::IdempotencyInProgress),
            Idempotency::Mismatch => Err(OperationError::IdempotencyMismatch),
        }
    }

    /// Keeps the reply and commits it with the effect.
    pub(crate) async fn commit(
        &self,
        mut transaction: Transaction,
        now: DateTime<Utc>,
        value: T,
    ) -> Result<Answer<T>, OperationError> {
        if let Some((key, write)) = self.keyed {
            let reply = write(&value);
            let kept = (reply.status, &reply.body);
            access::keep_reply(&mut transaction, key.as_request(), kept, now, now - KEPT).await?;
        }
        transaction.commit().await?;
        Ok(Answer::Fresh(value))
    }
}
