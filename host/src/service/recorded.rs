//! What took effect under an idempotency key: asked by whoever has to find out which calls of a
//! list are missing, before anything is rated.

use super::ledger::write::{Action, Made, WriteError};
use super::{Context, Service};
use farebox_ledger::idempotency::Idempotency;
use farebox_ledger::ids::{ChargeId, EventId};

/// What is recorded under a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Found {
    /// The usage event, where it was a report of usage.
    pub event: Option<EventId>,
    /// Its charge, where it had a price at once.
    pub charge: Option<ChargeId>,
}

impl Found {
    const fn of(made: Made) -> Self {
        match made {
            Made::Usage(event, charge) => Self {
                event: Some(event),
                charge,
            },
            _ => Self {
                event: None,
                charge: None,
            },
        }
    }
}

/// How many keys wait in the writer's queue at once: others call meanwhile.
const TOGETHER: usize = 32;

impl Service {
    /// What is recorded under each of these keys of the org, which are SHA-256 digests, in order.
    ///
    /// # Errors
    /// See [`WriteError`]: whoever writes is asked, as it alone knows of what was recorded a moment
    /// ago.
    pub async fn recorded(
        &self,
        context: &Context,
        keys: &[[u8; 32]],
    ) -> Result<Vec<Option<Found>>, WriteError> {
        let mut found = Vec::with_capacity(keys.len());
        for keys in keys.chunks(TOGETHER) {
            let asked: Vec<_> = keys
                .iter()
                .map(|key_digest| {
                    let idempotency = Some(Idempotency {
                        key_digest: *key_digest,
                        request_digest: [0; 32],
                    });
                    let context = Context {
                        idempotency,
                        ..context.clone()
                    };
                    self.write(&context, None, Action::Recall(context.org))
                })
                .collect();
            for answer in asked {
                found.push(match answer.await {
                    Ok(first) => Some(Found::of(first.made)),
                    Err(WriteError::NotRecorded) => None,
                    Err(error) => return Err(error),
                });
            }
        }
        Ok(found)
    }
}
