//! The JSON Schema in the repository is the one that the text model makes.
//!
//! `INSTA_UPDATE=always` writes it anew, as it does for snapshots.

use farebox_book::schema;
use serde_json::Value;

const GOLDEN: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../../guest/standard/books/price-book.schema.json"
);

#[test]
fn the_golden_schema_is_current() {
    let made = format!("{}\n", serde_json::to_string_pretty(&schema()).unwrap());
    if std::env::var("INSTA_UPDATE").as_deref() == Ok("always") {
        std::fs::write(GOLDEN, &made).unwrap();
    }
    assert!(
        std::fs::read_to_string(GOLDEN).unwrap() == made,
        "guest/standard/books/price-book.schema.json is not what the text model makes"
    );
}

#[test]
fn every_field_is_described_and_no_other_is_allowed() {
    fn walk(value: &Value, place: &str) {
        match value {
            Value::Object(object) => {
                if let Some(Value::Object(properties)) = object.get("properties") {
                    assert_eq!(
                        object.get("additionalProperties"),
                        Some(&Value::Bool(false)),
                        "{place}"
                    );
                    for (name, property) in properties {
                        assert!(property.get("description").is_some(), "{place}.{name}");
                    }
                }
                for (name, value) in object {
                    walk(value, &format!("{place}.{name}"));
                }
            }
            Value::Array(items) => items.iter().for_each(|item| walk(item, place)),
            _ => {}
        }
    }
    walk(&schema(), "");
}
