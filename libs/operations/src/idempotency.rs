//! POST requests that may be sent twice and act once.

use crate::error::invalid;
use crate::{OperationError, Operations};
use carrel_domain::{Actor, ClientId, OperationContext};
use carrel_storage::access::{self, Idempotency};
use serde_json::Value;

/// A key that a sender chose for one request, with what identifies that request.
#[derive(Clone, Debug)]
pub struct IdempotencyKey {
    client: ClientId,
    key: String,
    fingerprint: Vec<u8>,
}

/// What to do with a request that carries a key.
#[derive(Clone, Debug)]
pub enum Replay {
    /// Do it, and store the reply.
    Perform,
    /// It was done; this was the reply.
    Answer {
        /// HTTP status.
        status: u16,
        /// Body.
        reply: Value,
    },
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
}

impl Operations {
    /// Claims a key, or finds the reply of its first use.
    pub async fn begin_idempotent(
        &self,
        context: &OperationContext,
        key: &IdempotencyKey,
    ) -> Result<Replay, OperationError> {
        let mut transaction = self.database.begin(context.workspace).await?;
        let lapse = chrono::Duration::minutes(5);
        let known =
            access::begin_idempotent(&mut transaction, key.client, &key.key, &key.fingerprint, context.now, lapse)
                .await?;
        transaction.commit().await?;
        match known {
            Idempotency::Fresh => Ok(Replay::Perform),
            Idempotency::Answered { status, reply } => Ok(Replay::Answer { status, reply }),
            Idempotency::InProgress => Err(OperationError::IdempotencyInProgress),
            Idempotency::Mismatch => Err(OperationError::IdempotencyMismatch),
        }
    }

    /// Stores the reply of a request that succeeded (`Some`), or gives the key back.
    pub async fn finish_idempotent(
        &self,
        context: &OperationContext,
        key: &IdempotencyKey,
        reply: Option<(u16, &Value)>,
    ) -> Result<(), OperationError> {
        let mut transaction = self.database.begin(context.workspace).await?;
        match reply {
            Some((status, reply)) => {
                access::finish_idempotent(&mut transaction, key.client, &key.key, status, reply).await?;
            }
            None => access::forget_idempotent(&mut transaction, key.client, &key.key).await?,
        }
        transaction.commit().await?;
        Ok(())
    }
}
