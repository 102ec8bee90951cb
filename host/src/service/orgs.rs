//! Orgs: customers of the operator, each with one wallet.

use super::calls::CallError;
use super::ledger::directory::{DirectoryWrite, OrgRecord};
use super::ledger::failure::ReadError;
use super::ledger::write::{Acknowledged, Action, Made, WriteError};
use super::{Context, Service};
use farebox_ledger::command::{Command, OpenWallet, SetCreditLimit};
use farebox_ledger::ids::OrgId;
use farebox_pricing::money::Nanos;
use std::sync::Arc;

/// Why an org is not made or changed.
#[derive(Clone, Debug, thiserror::Error)]
pub enum OrgError {
    /// It does not exist, or cannot be read.
    #[error(transparent)]
    Call(#[from] CallError),
    /// The store refused.
    #[error(transparent)]
    Write(#[from] WriteError),
    /// The store cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
}

impl Service {
    /// A fresh org id, for a [`Context`] that makes one.
    pub fn new_org_id(&self) -> OrgId {
        OrgId::new(self.clock.next_id())
    }

    /// Makes the org that `context` names, with its wallet.
    ///
    /// # Errors
    /// See [`OrgError`].
    pub async fn create_org(
        &self,
        context: &Context,
        name: Box<str>,
        plan: Option<Box<str>>,
        credit_limit: Nanos,
    ) -> Result<OrgRecord, OrgError> {
        let org = OrgRecord {
            id: context.org,
            name,
            plan,
            created_at_ms: self.clock.now_ms(),
        };
        let wallet = OpenWallet {
            org: context.org,
            commodity: self.settings.commodity.id,
            credit_limit,
        };
        let action = Action::CreateOrg {
            org: org.clone(),
            wallet,
        };
        let acknowledged = self.write(context, None, action).await?;
        match acknowledged.made {
            Made::Other(id) if acknowledged.replayed => {
                let first = self.store.org(OrgId::new(id))?;
                Ok(first.unwrap_or(org))
            }
            _ => Ok(org),
        }
    }

    /// An org that must exist.
    ///
    /// # Errors
    /// See [`CallError`].
    pub fn find_org(&self, org: OrgId) -> Result<Arc<OrgRecord>, CallError> {
        self.known_org(org)
    }

    /// Puts the org on another plan, or on none.
    ///
    /// # Errors
    /// See [`OrgError`].
    pub async fn set_plan(
        &self,
        context: &Context,
        plan: Option<Box<str>>,
    ) -> Result<(), OrgError> {
        self.known_org(context.org)?;
        let write = DirectoryWrite::SetPlan {
            org: context.org,
            plan,
        };
        self.write(context, None, Action::Directory(write)).await?;
        self.directory.forget_org(context.org);
        Ok(())
    }

    /// Sets how far the org's available credits may go below zero.
    ///
    /// # Errors
    /// See [`OrgError`].
    pub async fn set_credit_limit(
        &self,
        context: &Context,
        credit_limit: Nanos,
    ) -> Result<Acknowledged, OrgError> {
        let command = Command::SetCreditLimit(SetCreditLimit {
            org: context.org,
            credit_limit,
        });
        let action = Action::Ledger {
            command,
            note: None,
        };
        Ok(self.write(context, None, action).await?)
    }

    /// Forgets who made the org's calls; the calls stay.
    ///
    /// # Errors
    /// See [`OrgError`].
    pub async fn erase_personal(&self, context: &Context) -> Result<(), OrgError> {
        self.known_org(context.org)?;
        let write = DirectoryWrite::ErasePersonal {
            org: context.org,
            event: None,
        };
        self.write(context, None, Action::Directory(write)).await?;
        Ok(())
    }
}
