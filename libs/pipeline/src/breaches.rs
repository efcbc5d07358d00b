//! Asking a collection of breaches about one version, within bounds. Nothing here fails a job: the report says what was
//! asked and why there is no answer.

use crate::Pipeline;
use async_trait::async_trait;
use carrel_domain::WorkspaceId;
use carrel_operations::Clock;
use carrel_operations::screening::BreachService;
use carrel_queue::{JobContext, JobError};
use carrel_screening::breach::{Answers, Breaches, HaveIBeenPwned, Lookup, Reason};
use carrel_screening::dataset::PasswordOracle;
use carrel_storage::{Database, screening};
use serde::Serialize;
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::runtime::Handle;

/// What was asked and answered, as it stands in the report.
#[derive(Clone, Debug, Default, Serialize)]
struct Answered {
    /// Passwords that were looked up.
    passwords_asked: u64,
    /// Of these, known to be breached.
    passwords_breached: u64,
    /// Why further passwords have no answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    passwords_unavailable: Option<Reason>,
    /// Addresses that were looked up.
    accounts_asked: u64,
    /// Of these, in at least one breach.
    accounts_breached: u64,
    /// Names of breaches with the number of addresses in each.
    breaches: BTreeMap<String, u64>,
    /// Why further addresses have no answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    accounts_unavailable: Option<Reason>,
}

/// The look-ups of one version.
pub(crate) struct Asking {
    client: HaveIBeenPwned,
    service: BreachService,
    answered: Arc<Mutex<Answered>>,
}

/// Answers for the run over a data set, from its own thread.
pub(crate) struct Passwords {
    client: HaveIBeenPwned,
    runtime: Handle,
    left: Mutex<u64>,
    answered: Arc<Mutex<Answered>>,
}

impl Pipeline {
    /// The service as configured, with answers kept in the database; `None` where nobody may be asked.
    pub(crate) fn breaches(&self, cx: &JobContext) -> Option<Asking> {
        let operations = &self.0.operations;
        let service = operations.screening.breaches.clone()?;
        let answers = Kept {
            database: operations.database.clone(),
            workspace: cx.job().workspace,
            clock: Arc::clone(&operations.clock),
            keep: service.keep,
        };
        let client = service.client.with_answers(Arc::new(answers));
        Some(Asking { client, service, answered: Arc::default() })
    }
}

impl Asking {
    pub(crate) fn passwords(&self) -> Option<Passwords> {
        (self.service.passwords > 0).then(|| Passwords {
            client: self.client.clone(),
            runtime: Handle::current(),
            left: Mutex::new(self.service.passwords),
            answered: Arc::clone(&self.answered),
        })
    }

    /// Looks up some of the addresses, at the pace that the service allows.
    pub(crate) async fn accounts(&self, cx: &JobContext, addresses: &[String]) -> Result<(), JobError> {
        for address in addresses.iter().take(self.service.accounts) {
            cx.check_cancelled()?;
            let answer = self.client.account(address).await;
            let mut answered = self.answered.lock().unwrap_or_else(PoisonError::into_inner);
            match answer {
                Lookup::Known(found) => {
                    answered.accounts_asked += 1;
                    answered.accounts_breached += u64::from(!found.is_empty());
                    for breach in found {
                        *answered.breaches.entry(breach.name).or_default() += 1;
                    }
                }
                Lookup::Unavailable(reason) => {
                    answered.accounts_unavailable = Some(reason);
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    /// The part of the report; `None` when there was nothing to ask.
    pub(crate) fn answer(&self) -> Option<Value> {
        let answered = self.answered.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let silent = answered.passwords_asked == 0
            && answered.accounts_asked == 0
            && answered.passwords_unavailable.is_none()
            && answered.accounts_unavailable.is_none();
        if silent { None } else { serde_json::to_value(answered).ok() }
    }
}

impl PasswordOracle for Passwords {
    fn is_breached(&self, password: &str) -> Option<bool> {
        {
            let mut left = self.left.lock().unwrap_or_else(PoisonError::into_inner);
            let answered = self.answered.lock().unwrap_or_else(PoisonError::into_inner);
            // A service that is away is not asked a thousand times.
            if *left == 0 || answered.passwords_unavailable.is_some() {
                return None;
            }
            *left -= 1;
        }
        let answer = self.runtime.block_on(self.client.password(password));
        let mut answered = self.answered.lock().unwrap_or_else(PoisonError::into_inner);
        match answer {
            Lookup::Known(count) => {
                answered.passwords_asked += 1;
                answered.passwords_breached += u64::from(count > 0);
                Some(count > 0)
            }
            Lookup::Unavailable(reason) => {
                answered.passwords_unavailable = Some(reason);
                None
            }
        }
    }
}

/// Answers in the database, one workspace's apart from another's.
struct Kept {
    database: Database,
    workspace: WorkspaceId,
    clock: Arc<dyn Clock>,
    keep: std::time::Duration,
}

#[async_trait]
impl Answers for Kept {
    async fn get(&self, key: &str) -> Option<Vec<u8>> {
        let since = self.clock.now() - self.keep;
        let read = async {
            let mut transaction = self.database.begin(self.workspace).await?;
            screening::breach_answer(&mut transaction, key, since).await
        };
        read.await.unwrap_or_else(|error| {
            tracing::debug!(error = &error as &dyn std::error::Error, "a kept answer about breaches cannot be read");
            None
        })
    }

    async fn put(&self, key: &str, answer: &[u8]) {
        let write = async {
            let mut transaction = self.database.begin(self.workspace).await?;
            screening::keep_breach_answer(&mut transaction, key, answer, self.clock.now()).await?;
            transaction.commit().await
        };
        if let Err(error) = write.await {
            tracing::debug!(error = &error as &dyn std::error::Error, "an answer about breaches cannot be kept");
        }
    }
}
