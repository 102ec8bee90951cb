//! Why an answer has no usage that can be billed. Every refusal is one of these, and names the
//! field and its value, so that a person can look at the same place of the same payload.
//!
//! Must not know HTTP. Never carries content: a value is shown only where a *count* should stand,
//! cut to [`VALUE_CHARS_MAX`] characters.

use crate::normalised::Served;
use farebox_pricing::meter::QuantityError;

/// A refused value is shown up to this many characters.
pub(crate) const VALUE_CHARS_MAX: usize = 64;

/// What is wrong with a value where a quantity or an amount should stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum QuantityFault {
    /// A string, boolean, list or object.
    #[error("not a number")]
    NotANumber,
    /// Below zero.
    #[error("negative")]
    Negative,
    /// A fraction of something that only exists whole.
    #[error("not a whole number")]
    Fractional,
    /// Above 10^15.
    #[error("above 10^15")]
    TooLarge,
    /// More digits than an exact decimal holds.
    #[error("more digits than an exact decimal holds")]
    TooFine,
}

impl From<QuantityError> for QuantityFault {
    fn from(error: QuantityError) -> Self {
        match error {
            QuantityError::Negative => Self::Negative,
            QuantityError::TooLarge => Self::TooLarge,
            QuantityError::TooFine => Self::TooFine,
            QuantityError::Fractional => Self::Fractional,
        }
    }
}

/// Why an answer could not be normalised.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UsageError {
    /// Not a well-formed provider id (see [`farebox_pricing::provider`]).
    #[error("unknown provider `{provider}`")]
    UnknownProvider {
        /// As given, cut to 64 characters.
        provider: String,
    },
    /// The api is not one of [`crate::Api::NAMES`].
    #[error("unknown api `{api}`")]
    UnknownApi {
        /// As given.
        api: String,
    },
    /// No api was given and the answer has the shape of none.
    #[error("the answer has the shape of no known api")]
    UnknownShape,
    /// The bytes are not UTF-8.
    #[error("the answer is not utf-8 (at byte {offset})")]
    NotUtf8 {
        /// The first byte that is not.
        offset: u64,
    },
    /// Not JSON, or JSON of another shape than this api's answers.
    #[error("the answer is not the json of this api (line {line}, column {column})")]
    Malformed {
        /// From 1.
        line: u64,
        /// From 1; 0 where the line itself is missing.
        column: u64,
    },
    /// One event of the stream is larger than the reader's limit.
    #[error("an event of the stream is larger than {limit} bytes")]
    EventTooLarge {
        /// In bytes.
        limit: u64,
    },
    /// A message of an AWS event stream whose lengths or checksums do not hold.
    #[error("the message of the event stream at byte {offset} is broken")]
    BrokenFrame {
        /// Where the message begins.
        offset: u64,
    },
    /// The usage object is larger than [`crate::USAGE_BYTES_MAX`].
    #[error("the usage object is larger than {limit} bytes")]
    UsageTooLarge {
        /// In bytes.
        limit: u64,
    },
    /// The provider answered and stated no usage. What is billed then is the operator's rule;
    /// it is not the same as usage of zero.
    #[error("the answer states no usage")]
    NoUsage {
        /// What the answer did state.
        served: Box<Served>,
    },
    /// The provider answered with an error and stated no usage.
    #[error("the provider answered with the error `{kind}`")]
    ProviderError {
        /// The provider's own type, code or status of the error, never its message.
        kind: String,
        /// What the answer stated besides.
        served: Box<Served>,
    },
    /// A usage field holds something else than what it counts.
    #[error("`{path}` is `{value}`: {fault}")]
    Quantity {
        /// Such as `usage.prompt_tokens`.
        path: String,
        /// The JSON text of the value, cut to 64 characters.
        value: String,
        /// What is wrong with it.
        fault: QuantityFault,
    },
    /// A usage field is of another JSON type than documented.
    #[error("`{path}` is not {expected}")]
    WrongType {
        /// Such as `usage.prompt_tokens_details`.
        path: String,
        /// Such as `an object`.
        expected: &'static str,
    },
    /// Parts are larger than the total that includes them, so some would be billed twice.
    #[error("the parts of `{path}` add up to {parts}, more than its {total}")]
    DetailsExceedTotal {
        /// The total's path.
        path: String,
        /// The total.
        total: u64,
        /// What its parts add up to.
        parts: u64,
    },
    /// The stated sum of all tokens is not the sum of the stated tokens.
    #[error("`{path}` is {total}, but the tokens it covers add up to {parts}")]
    TotalMismatch {
        /// The total's path.
        path: String,
        /// The total as stated.
        total: u64,
        /// What the tokens add up to.
        parts: u64,
    },
    /// Two fields state the same fact differently.
    #[error("`{path}` is {value}, but `{other_path}` is {other_value}")]
    Conflict {
        /// One field.
        path: String,
        /// Its value.
        value: u64,
        /// The other field.
        other_path: String,
        /// Its value.
        other_value: u64,
    },
    /// Usage that one event cannot express, such as tokens of a second model.
    #[error("`{path}` cannot be billed as one call of one model: {reason}")]
    Unsupported {
        /// Where it stands.
        path: String,
        /// Why.
        reason: &'static str,
    },
}

impl UsageError {
    /// The stable name of the kind of error, in snake case.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::UnknownProvider { .. } => "unknown_provider",
            Self::UnknownApi { .. } => "unknown_api",
            Self::UnknownShape => "unknown_shape",
            Self::NotUtf8 { .. } => "not_utf8",
            Self::Malformed { .. } => "malformed",
            Self::EventTooLarge { .. } => "event_too_large",
            Self::BrokenFrame { .. } => "broken_frame",
            Self::UsageTooLarge { .. } => "usage_too_large",
            Self::NoUsage { .. } => "no_usage",
            Self::ProviderError { .. } => "provider_error",
            Self::Quantity { .. } => "quantity",
            Self::WrongType { .. } => "wrong_type",
            Self::DetailsExceedTotal { .. } => "details_exceed_total",
            Self::TotalMismatch { .. } => "total_mismatch",
            Self::Conflict { .. } => "conflict",
            Self::Unsupported { .. } => "unsupported",
        }
    }

    /// The path of the field at fault, where one is.
    pub fn path(&self) -> Option<&str> {
        match self {
            Self::Quantity { path, .. }
            | Self::WrongType { path, .. }
            | Self::DetailsExceedTotal { path, .. }
            | Self::TotalMismatch { path, .. }
            | Self::Conflict { path, .. }
            | Self::Unsupported { path, .. } => Some(path),
            _ => None,
        }
    }

    pub(crate) fn malformed(error: &serde_json::Error) -> Self {
        Self::Malformed {
            line: error.line() as u64,
            column: error.column() as u64,
        }
    }
}
