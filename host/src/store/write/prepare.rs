//! What of a write can be made before its turn: bodies, digests, keys. Callers run on many
//! threads, the writer on one; work done here is work the writer does not do.

use super::super::dedupe::Key;
use super::super::rows::usage::{detail_digest, note_digest, receipt_body, usage_body};
use crate::service::ledger::directory::{DirectoryWrite, OrgRecord};
use crate::service::ledger::write::{
    Action, Actor, CorrectionWrite, Made, Once, SettleWrite, UsageWrite, Way, Write, WriteError,
};
use farebox_ledger::command::{
    Capture, Command, Deduct, GrantCredits, OpenWallet, RecordUnpriced, RefundCharge,
};
use farebox_ledger::grant::GrantSource;
use farebox_ledger::ids::{Digest, OrgId};
use sha2::{Digest as _, Sha256};

/// The longest body, raw usage object or note, in bytes. Far above any real one.
const BODY_MAX: usize = 1 << 20;
/// The scope of the operator's own keys: no org has this id.
const OPERATOR: [u8; 16] = [0; 16];

/// A write that is ready for its turn.
#[derive(Debug)]
pub struct Prepared {
    pub at_ms: i64,
    pub actor: Actor,
    pub request_id: Box<str>,
    pub org: Option<OrgId>,
    pub key: Option<Key>,
    pub request_digest: Option<Digest>,
    pub once: Option<Key>,
    pub made: Made,
    pub action: Ready,
}

/// An action with its bodies.
#[derive(Debug)]
pub enum Ready {
    Ledger {
        command: Command,
        note: Option<Box<str>>,
    },
    Usage {
        command: Command,
        write: Box<UsageWrite>,
        body: Vec<u8>,
        receipt: Option<Vec<u8>>,
    },
    Settle {
        write: Box<SettleWrite>,
        receipt: Vec<u8>,
    },
    Correct {
        command: Command,
        note: Box<str>,
        write: Box<CorrectionWrite>,
    },
    CreateOrg {
        org: OrgRecord,
        wallet: OpenWallet,
    },
    Directory(DirectoryWrite),
    Recall,
}

/// Makes a write ready.
pub fn prepare(write: Write) -> Result<Prepared, WriteError> {
    let org = org_of(&write.action);
    let made = made_by(&write.action);
    let action = ready(write.action)?;
    let scope = scope_of(&action, org);
    Ok(Prepared {
        at_ms: write.at_ms,
        actor: write.actor,
        request_id: write.request_id,
        org,
        key: write
            .idempotency
            .map(|idempotency| dedupe_key(b'k', scope, &idempotency.key_digest)),
        request_digest: write
            .idempotency
            .map(|idempotency| idempotency.request_digest),
        once: write.once.map(|once| match once {
            Once::Response(id) => dedupe_key(b'r', scope, &id.0),
            Once::Payment(id) => dedupe_key(b'p', scope, &id.0),
        }),
        made,
        action,
    })
}

/// Whose keys these are: an org's, or the operator's. An org that is only being made has a fresh
/// id with each retry, so the key that came with it is the operator's.
fn scope_of(action: &Ready, org: Option<OrgId>) -> [u8; 16] {
    match (action, org) {
        (Ready::CreateOrg { .. }, _) | (_, None) => OPERATOR,
        (_, Some(org)) => org.to_bytes(),
    }
}

/// 128 bits of SHA-256 over what kind of key it is, the org and the key.
fn dedupe_key(kind: u8, org: [u8; 16], digest: &Digest) -> Key {
    let mut bytes = [kind; 49];
    let (_, rest) = bytes.split_at_mut(1);
    let (org_part, digest_part) = rest.split_at_mut(16);
    org_part.copy_from_slice(&org);
    digest_part.copy_from_slice(digest);
    let hash: Digest = Sha256::digest(bytes).into();
    let mut key = [0; 16];
    for (to, from) in key.iter_mut().zip(hash) {
        *to = from;
    }
    key
}

fn org_of(action: &Action) -> Option<OrgId> {
    match action {
        Action::Ledger { command, .. } => Some(command.org()),
        Action::Usage(usage) => Some(usage.org),
        Action::Settle(settle) => Some(settle.org),
        Action::Correct(correction) => Some(correction.org),
        Action::CreateOrg { org, .. } => Some(org.id),
        Action::Recall(org) => Some(*org),
        Action::Directory(write) => match write {
            DirectoryWrite::SetPlan { org, .. }
            | DirectoryWrite::RevokeKey { org, .. }
            | DirectoryWrite::ErasePersonal { org, .. } => Some(*org),
            DirectoryWrite::CreateKey(key) => Some(key.org),
            DirectoryWrite::KeepQuote(quote) => Some(quote.org),
            DirectoryWrite::RecordQuery(query) => Some(query.org),
            DirectoryWrite::CreateCommodity(_)
            | DirectoryWrite::AdmitRelease { .. }
            | DirectoryWrite::PinKeys { .. }
            | DirectoryWrite::Bind(_)
            | DirectoryWrite::Trial(_)
            | DirectoryWrite::RevokeRelease { .. } => None,
        },
    }
}

fn made_by(action: &Action) -> Made {
    match action {
        Action::Ledger { command, .. } => match command {
            Command::PlaceHold(command) => Made::Hold(command.hold),
            Command::RenewHold(command) => Made::Hold(command.hold),
            Command::ReleaseHold(command) => Made::Hold(command.hold),
            Command::GrantLease(command) => Made::Hold(command.lease),
            Command::RenewLease(command) => Made::Hold(command.lease),
            Command::ReturnLease(command) => Made::Hold(command.lease),
            Command::GrantCredits(command) => Made::Other(command.grant.get()),
            Command::RefundCharge(command) => Made::Other(command.refund.get()),
            Command::RefundGrant(command) => Made::Other(command.refund.get()),
            Command::PutBudget(command) => Made::Other(command.budget.id.get()),
            Command::RemoveBudget(command) => Made::Other(command.budget.get()),
            _ => Made::Nothing,
        },
        Action::Usage(usage) => {
            let charge = usage.charge.as_ref().map(|(charge, _)| *charge);
            Made::Usage(usage.event_id, charge)
        }
        Action::Settle(settle) => Made::Usage(settle.event_id, Some(settle.charge)),
        Action::Correct(correction) => match correction.way {
            Way::Back => Made::Other(correction.refund.get()),
            Way::Returned => Made::Other(correction.grant.get()),
            Way::Taken => Made::Nothing,
        },
        Action::CreateOrg { org, .. } => Made::Other(org.id.get()),
        Action::Recall(_) => Made::Nothing,
        Action::Directory(write) => match write {
            DirectoryWrite::CreateCommodity(commodity) => Made::Other(commodity.id.get()),
            DirectoryWrite::CreateKey(key) => Made::Other(key.id.get()),
            DirectoryWrite::RevokeKey { key, .. } => Made::Other(key.get()),
            DirectoryWrite::KeepQuote(quote) => Made::Other(quote.id.get()),
            DirectoryWrite::RecordQuery(query) => Made::Other(query.id.get()),
            _ => Made::Nothing,
        },
    }
}

fn ready(action: Action) -> Result<Ready, WriteError> {
    Ok(match action {
        Action::Ledger { mut command, note } => {
            bounded("note", note.as_deref().map(str::as_bytes))?;
            set_detail_digest(&mut command, note_digest(note.as_deref()));
            Ready::Ledger { command, note }
        }
        Action::Usage(write) => ready_usage(write)?,
        Action::Settle(write) => {
            let receipt = receipt_body(&write.pricing);
            bounded("receipt", Some(&receipt))?;
            Ready::Settle { write, receipt }
        }
        Action::Correct(write) => {
            let note = write.note();
            bounded("note", Some(note.as_bytes()))?;
            let mut command = correction(&write);
            set_detail_digest(&mut command, note_digest(Some(&note)));
            Ready::Correct {
                command,
                note,
                write,
            }
        }
        Action::CreateOrg { org, wallet } => Ready::CreateOrg { org, wallet },
        Action::Directory(write) => Ready::Directory(write),
        Action::Recall(_) => Ready::Recall,
    })
}

/// What is given back is a refund of the charge, exactly to where it came from; what is taken is a
/// deduction, which no charge of the past can be; and what was taken goes back as a deduction is
/// undone: from the account that received it, into a lot that is spent after all that expires.
fn correction(write: &CorrectionWrite) -> Command {
    let detail_digest = [0; 32];
    match write.way {
        Way::Back => Command::RefundCharge(RefundCharge {
            org: write.org,
            charge: write.charge,
            refund: write.refund,
            amount: Some(write.amount),
            grant: write.grant,
            detail_digest,
        }),
        Way::Returned => Command::GrantCredits(GrantCredits {
            org: write.org,
            grant: write.grant,
            source: GrantSource::Adjustment,
            amount: write.amount,
            cash_paid: None,
            priority: u16::MAX,
            expires_at_ms: None,
            features: Box::default(),
            detail_digest,
        }),
        Way::Taken => Command::Deduct(Deduct {
            org: write.org,
            amount: write.amount,
            detail_digest,
        }),
    }
}

fn ready_usage(write: Box<UsageWrite>) -> Result<Ready, WriteError> {
    let pricing = write.charge.as_ref().map(|(_, pricing)| pricing);
    let body = usage_body(
        &write.event,
        write.last,
        &write.audit,
        write.unpriced.as_ref(),
        pricing,
    );
    let receipt = pricing.map(receipt_body);
    bounded("usage event", Some(&body))?;
    bounded("raw usage", write.raw_usage.as_deref())?;
    bounded("receipt", receipt.as_deref())?;
    let command = match (&write.charge, &receipt) {
        (Some((charge, pricing)), Some(receipt)) => Command::Capture(Capture {
            org: write.org,
            hold: write.hold,
            reach: write.reach,
            last: write.last,
            charge: *charge,
            event: write.event_id,
            price: pricing.price,
            cost: pricing.cost,
            dimensions: write.dimensions.clone(),
            detail_digest: detail_digest(&body, write.raw_usage.as_deref(), receipt),
        }),
        _ => Command::RecordUnpriced(RecordUnpriced {
            org: write.org,
            hold: write.hold,
            reach: write.reach,
            last: write.last,
            event: write.event_id,
            dimensions: write.dimensions.clone(),
        }),
    };
    Ok(Ready::Usage {
        command,
        write,
        body,
        receipt,
    })
}

const fn set_detail_digest(command: &mut Command, digest: Digest) {
    match command {
        Command::GrantCredits(command) => command.detail_digest = digest,
        Command::Deduct(command) => command.detail_digest = digest,
        Command::RefundCharge(command) => command.detail_digest = digest,
        Command::RefundGrant(command) => command.detail_digest = digest,
        Command::AbsorbShortfall(command) => command.detail_digest = digest,
        _ => {}
    }
}

fn bounded(what: &'static str, bytes: Option<&[u8]>) -> Result<(), WriteError> {
    if bytes.is_some_and(|bytes| bytes.len() > BODY_MAX) {
        return Err(WriteError::TooLarge { what });
    }
    Ok(())
}
