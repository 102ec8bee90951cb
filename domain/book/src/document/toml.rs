//! TOML to nodes, through `toml_edit`, which keeps spans and the source text of numbers.

use super::{Document, Entry, Node, Position, Value};
use crate::error::BookError;
use std::ops::Range;
use toml_edit::{Item, Key, TableLike};

/// Parses `text`.
pub(crate) fn parse(text: &str) -> Result<Document<'_>, BookError> {
    let parsed = toml_edit::Document::parse(text).map_err(|error| {
        let offset = error.span().map_or(0, |span| span.start);
        BookError::new(
            Position::of(text, offset),
            String::new(),
            error.message().replace('\n', ", "),
        )
    })?;
    let root = Node {
        offset: 0,
        value: Value::Table(entries(text, parsed.as_table())),
    };
    Ok(Document { text, root })
}

fn entries(text: &str, table: &dyn TableLike) -> Vec<Entry> {
    table
        .iter()
        .filter_map(|(name, item)| {
            let key_offset = start(table.key(name).and_then(Key::span));
            let mut node = item_node(text, item)?;
            // A table opened by a dotted key has no span of its own.
            if node.offset == 0 {
                node.offset = key_offset;
            }
            Some(Entry {
                key: name.to_owned(),
                key_offset,
                node,
            })
        })
        .collect()
}

fn item_node(text: &str, item: &Item) -> Option<Node> {
    let offset = start(item.span());
    let value = match item {
        Item::None => return None,
        Item::Value(value) => return Some(value_node(text, value)),
        Item::Table(table) => Value::Table(entries(text, table)),
        Item::ArrayOfTables(tables) => Value::Array(
            tables
                .iter()
                .map(|table| Node {
                    offset: start(table.span()),
                    value: Value::Table(entries(text, table)),
                })
                .collect(),
        ),
    };
    Some(Node { offset, value })
}

fn value_node(text: &str, value: &toml_edit::Value) -> Node {
    let span = value.span();
    let source = || {
        let source = span.clone().and_then(|span| text.get(span));
        source.unwrap_or_default().to_owned()
    };
    let converted = match value {
        toml_edit::Value::String(string) => Value::Text(string.value().clone()),
        toml_edit::Value::Integer(_) | toml_edit::Value::Float(_) => Value::Number(source()),
        toml_edit::Value::Boolean(boolean) => Value::Bool(*boolean.value()),
        // A date without quotes is as good as one with them.
        toml_edit::Value::Datetime(_) => Value::Text(source()),
        toml_edit::Value::Array(array) => {
            Value::Array(array.iter().map(|item| value_node(text, item)).collect())
        }
        toml_edit::Value::InlineTable(table) => Value::Table(entries(text, table)),
    };
    Node {
        offset: start(span),
        value: converted,
    }
}

fn start(span: Option<Range<usize>>) -> usize {
    span.map_or(0, |span| span.start)
}
