//! The fields that one provider adds to an OpenAI-like usage object, one module per provider. Most
//! add none: they stand together in [`compatible`].

pub(super) mod azure;
pub(super) mod compatible;
pub(super) mod deepseek;
pub(super) mod groq;
pub(super) mod mistral;
pub(super) mod openrouter;
pub(super) mod perplexity;
pub(super) mod xai;

use super::Bill;
use crate::error::UsageError;
use crate::fields::Fields;

/// Reads the provider's own fields. Returns whether one of them stated what the call cost.
///
/// A field of another provider stays unread, and is reported: a `cost` of somebody unknown may be
/// in any currency.
pub(super) fn read(
    usage: &mut Fields,
    provider: &str,
    bill: &mut Bill,
) -> Result<bool, UsageError> {
    match provider {
        "openrouter" => openrouter::read(usage, bill),
        "xai" => xai::read(usage, bill),
        "perplexity" => perplexity::read(usage, bill),
        "groq" => groq::read(usage).map(|()| false),
        "mistral" => mistral::read(usage, bill).map(|()| false),
        _ => Ok(false),
    }
}
