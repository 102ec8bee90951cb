//! The JSON Schema of the text, for editors: made from the text model, never written by hand.

use crate::text::BookText;
use serde_json::Value;

/// JSON Schema (2020-12) of a price book. It describes TOML as well, which editors check by it.
pub fn schema() -> Value {
    let mut schema = schemars::schema_for!(BookText);
    schema.insert(
        "$id".into(),
        "https://farebox.dev/schemas/price-book.schema.json".into(),
    );
    schema.into()
}
