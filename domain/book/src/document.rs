//! A text as a tree that remembers where everything stood: the common ground of TOML and JSON.
//!
//! Both formats become the same [`Node`]s, so what follows (field names, amounts, rules) exists
//! once, and any later error can point at a line. Numbers keep their source text. This module
//! knows nothing of price books.

mod de;
mod json;
mod toml;

pub(crate) use de::{DecodeError, from_node};
pub(crate) use json::parse as parse_json;
pub(crate) use toml::parse as parse_toml;

use crate::error::BookError;

/// How deep values may nest. A book needs ten.
const DEPTH_MAX: usize = 64;

/// A place in a text, from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Position {
    pub(crate) line: usize,
    /// In characters.
    pub(crate) column: usize,
}

impl Position {
    /// Where the byte `offset` of `text` stands.
    pub(crate) fn of(text: &str, offset: usize) -> Self {
        let before = text.get(..offset).unwrap_or(text);
        let line_start = before.rfind('\n').map_or(0, |at| at.saturating_add(1));
        let column = before.get(line_start..).unwrap_or("").chars().count();
        Self {
            line: before
                .bytes()
                .filter(|b| *b == b'\n')
                .count()
                .saturating_add(1),
            column: column.saturating_add(1),
        }
    }
}

/// A value and the byte where it begins.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    pub(crate) offset: usize,
    pub(crate) value: Value,
}

/// What a node holds.
#[derive(Clone, Debug)]
pub(crate) enum Value {
    Table(Vec<Entry>),
    Array(Vec<Node>),
    Text(String),
    /// The number's source text.
    Number(String),
    Bool(bool),
    Null,
}

/// A named value of a table.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) key: String,
    pub(crate) key_offset: usize,
    pub(crate) node: Node,
}

/// A path into a document, built on the stack so that only errors pay for its text.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Path<'a> {
    Root,
    Field(&'a Path<'a>, &'a str),
    Index(&'a Path<'a>, usize),
}

impl<'a> Path<'a> {
    pub(crate) const fn field(&'a self, name: &'a str) -> Self {
        Self::Field(self, name)
    }

    pub(crate) const fn index(&'a self, index: usize) -> Self {
        Self::Index(self, index)
    }

    /// The nearest node on this path that exists, as its key's offset where it has a key.
    fn offset_in(&self, root: &Node) -> usize {
        self.find(root).1
    }

    fn find<'n>(&self, root: &'n Node) -> (Option<&'n Node>, usize) {
        match self {
            Self::Root => (Some(root), root.offset),
            Self::Field(parent, name) => match parent.find(root) {
                (
                    Some(Node {
                        value: Value::Table(entries),
                        offset,
                    }),
                    _,
                ) => entries
                    .iter()
                    .find(|entry| entry.key == *name)
                    .map_or((None, *offset), |entry| {
                        (Some(&entry.node), entry.key_offset)
                    }),
                (_, offset) => (None, offset),
            },
            Self::Index(parent, index) => match parent.find(root) {
                (
                    Some(Node {
                        value: Value::Array(items),
                        offset,
                    }),
                    _,
                ) => items
                    .get(*index)
                    .map_or((None, *offset), |item| (Some(item), item.offset)),
                (_, offset) => (None, offset),
            },
        }
    }
}

impl std::fmt::Display for Path<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Root => Ok(()),
            Self::Field(Path::Root, name) => f.write_str(name),
            Self::Field(parent, name) => write!(f, "{parent}.{name}"),
            Self::Index(parent, index) => write!(f, "{parent}[{index}]"),
        }
    }
}

/// A text with its tree: turns paths and offsets into errors with line and column.
pub(crate) struct Document<'t> {
    pub(crate) text: &'t str,
    pub(crate) root: Node,
}

impl Document<'_> {
    /// An error about what stands at `path`.
    pub(crate) fn error_at(&self, path: &Path<'_>, message: String) -> BookError {
        let position = Position::of(self.text, path.offset_in(&self.root));
        BookError::new(position, path.to_string(), message)
    }

    /// An error that a decode below `path` came upon.
    pub(crate) fn decode_error(&self, path: &Path<'_>, error: DecodeError) -> BookError {
        let offset = error.offset.unwrap_or_else(|| path.offset_in(&self.root));
        let mut full = path.to_string();
        for step in error.path.iter().rev() {
            if !full.is_empty() && !step.starts_with('[') {
                full.push('.');
            }
            full.push_str(step);
        }
        BookError::new(Position::of(self.text, offset), full, error.message)
    }
}

/// The first key of `entries` that stands twice.
fn duplicate(entries: &[Entry]) -> Option<&Entry> {
    let mut seen = std::collections::BTreeSet::new();
    entries
        .iter()
        .find(|entry| !seen.insert(entry.key.as_str()))
}
