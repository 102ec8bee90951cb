//! The one way from text to a release's book: parse, lower, check, encode, digest.

use crate::check::{Finding, Severity, check};
use crate::document::{Document, Node, Path, Value, from_node, parse_json, parse_toml};
use crate::error::BookError;
use crate::lower::{Note, Problems, lower};
use crate::text::{BookText, ModelText};
use farebox_pricing::book::Book;
use farebox_pricing::{canonical, provider};
use sha2::{Digest, Sha256};

/// How a book is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// TOML, with comments.
    Toml,
    /// JSON.
    Json,
}

impl Format {
    /// JSON for a file called `*.json`, else TOML.
    pub fn of_file_name(name: &str) -> Self {
        let extension = name.rsplit_once('.').map(|(_, extension)| extension);
        if extension.is_some_and(|extension| extension.eq_ignore_ascii_case("json")) {
            Self::Json
        } else {
            Self::Toml
        }
    }
}

/// A book that was read, checked and encoded.
#[derive(Clone, Debug)]
pub struct Compiled {
    /// The plain book.
    pub book: Book,
    /// Its canonical bytes: what guests read.
    pub canonical: Vec<u8>,
    /// SHA-256 of the canonical bytes: the book's half of a release id.
    pub digest: [u8; 32],
    /// What looks wrong, but may be meant. None of them is an error.
    pub findings: Vec<Finding>,
    /// What the text says about models beside their prices: overrides, and prices that other
    /// sources name.
    pub notes: Vec<Note>,
}

/// Reads `text` to the end and brings it to its canonical form.
///
/// # Errors
/// Everything that was found wrong, in the order of the text.
pub fn compile(text: &str, format: Format) -> Result<Compiled, Vec<BookError>> {
    let document = document(text, format).map_err(|error| vec![error])?;
    let decoded = decode(&document)?;
    let mut problems = Problems::new(&document);
    let (book, mut notes) = lower(&decoded, &mut problems);
    notes.extend(disagreements(&decoded));
    let mut errors = problems.into_errors();
    if !errors.is_empty() {
        errors.sort_by_key(|error| (error.line, error.column));
        return Err(errors);
    }
    let (wrong, findings): (Vec<_>, Vec<_>) = check(&book)
        .into_iter()
        .partition(|finding| finding.severity == Severity::Error);
    if !wrong.is_empty() {
        let wrong = wrong.into_iter();
        return Err(wrong
            .map(|finding| whole_book(&document, finding.to_string()))
            .collect());
    }
    let canonical =
        canonical::encode(&book).map_err(|error| vec![whole_book(&document, error.to_string())])?;
    let digest = Sha256::digest(&canonical).into();
    Ok(Compiled {
        book,
        canonical,
        digest,
        findings,
        notes,
    })
}

/// The prices that other sources name, by model.
fn disagreements(text: &BookText) -> Vec<Note> {
    let marked = text
        .models
        .iter()
        .filter(|model| !model.other_prices.is_empty());
    let notes = marked.flat_map(|model| {
        let provider = provider::normalise(&model.provider);
        let provider = provider.map_or_else(|| model.provider.clone(), Into::into);
        model.other_prices.iter().map(move |other| Note {
            provider: provider.as_str().into(),
            model: model.model.as_str().into(),
            text: other.to_string().into(),
            is_dispute: true,
        })
    });
    notes.collect()
}

/// Reads `text` as it is written, without its meaning: field names and types are checked, meters
/// and rules are not.
///
/// # Errors
/// Every part that does not fit the text model.
pub fn parse(text: &str, format: Format) -> Result<BookText, Vec<BookError>> {
    let document = document(text, format).map_err(|error| vec![error])?;
    decode(&document)
}

fn document(text: &str, format: Format) -> Result<Document<'_>, BookError> {
    match format {
        Format::Toml => parse_toml(text),
        Format::Json => parse_json(text),
    }
}

fn whole_book(document: &Document<'_>, message: String) -> BookError {
    document.error_at(&Path::Root, message)
}

/// Each model is read on its own, so that one slip does not hide the next.
fn decode(document: &Document<'_>) -> Result<BookText, Vec<BookError>> {
    let Value::Table(entries) = &document.root.value else {
        return Err(vec![whole_book(document, "a price book is a table".into())]);
    };
    let mut errors = Vec::new();
    let mut models = Vec::new();
    let list = Path::Field(&Path::Root, "models");
    let is_models = |key: &str| key == "models";
    if let Some(entry) = entries.iter().find(|entry| is_models(&entry.key)) {
        match &entry.node.value {
            Value::Array(nodes) => {
                for (number, node) in nodes.iter().enumerate() {
                    match from_node::<ModelText>(node) {
                        Ok(model) => models.push(model),
                        Err(error) => {
                            errors.push(document.decode_error(&list.index(number), error));
                        }
                    }
                }
            }
            _ => errors.push(document.error_at(&list, "expected a list of models".into())),
        }
    }
    match from_node::<BookText>(&without_models(&document.root, entries)) {
        Ok(book) if errors.is_empty() => return Ok(BookText { models, ..book }),
        Ok(_) => {}
        Err(error) => errors.push(document.decode_error(&Path::Root, error)),
    }
    errors.sort_by_key(|error| (error.line, error.column));
    Err(errors)
}

fn without_models(root: &Node, entries: &[crate::document::Entry]) -> Node {
    let rest = entries.iter().filter(|entry| entry.key != "models");
    Node {
        offset: root.offset,
        value: Value::Table(rest.cloned().collect()),
    }
}
