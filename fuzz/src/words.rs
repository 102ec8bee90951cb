//! The words that parsers look for, for libFuzzer's dictionary: those that the code itself lists, so
//! that a new field is tried without anybody thinking of it, and a few that no list has.

use farebox_usage::{Api, sources};
use serde_json::Value;
use std::collections::BTreeSet;

/// Words of formats that nothing lists.
const OTHERS: [&str; 16] = [
    "data:",
    "event:",
    "[DONE]",
    "!error ",
    "message_start",
    "message_delta",
    "response.completed",
    "chunk",
    "bytes",
    "AUDIO",
    "IMAGE",
    "litellm_provider",
    "input_cost_per_token",
    "input_mtok",
    "starts_with",
    "9007199254740993",
];

/// A dictionary, a word a line.
pub fn dictionary() -> String {
    let mut words: BTreeSet<String> = OTHERS.map(str::to_owned).into();
    for source in sources() {
        let keys = source.field.split(['.', '[', ']', '*', ' ']);
        words.extend(keys.map(str::to_owned));
        words.insert(source.provider.to_owned());
    }
    words.extend(Api::NAMES.map(|(name, _)| name.to_owned()));
    names_of(&farebox_book::schema(), &mut words);
    words
        .iter()
        .filter(|word| word.len() > 1)
        .map(|word| format!("{word:?}\n"))
        .collect()
}

/// The properties and fixed values of a schema, wherever they stand.
fn names_of(schema: &Value, words: &mut BTreeSet<String>) {
    match schema {
        Value::Object(fields) => {
            if let Some(Value::Object(properties)) = fields.get("properties") {
                words.extend(properties.keys().cloned());
            }
            for (key, value) in fields {
                match (key.as_str(), value) {
                    ("const", Value::String(word)) => drop(words.insert(word.clone())),
                    ("enum", Value::Array(list)) => {
                        words.extend(list.iter().filter_map(Value::as_str).map(str::to_owned));
                    }
                    (_, value) => names_of(value, words),
                }
            }
        }
        Value::Array(items) => items.iter().for_each(|item| names_of(item, words)),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn fields_of_books_and_answers_are_words() {
        let words = super::dictionary();
        for word in [
            "per_million",
            "usageMetadata",
            "streamGenerateContent",
            "[DONE]",
        ] {
            assert!(words.contains(&format!("\"{word}\"\n")), "{word}");
        }
    }
}
