//! The books of a VM, each with its policy, found by its digest.
//!
//! Which of them prices a call is the host's to say, who binds releases for plans and for orgs: it
//! names the book with each lease and each hold. A call whose book is not here has no price here,
//! rather than another book's. Must not know proxies, nor how a price is made.

use crate::hash;
use crate::release::{Absent, Prices, Release};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use farebox_sdk::{ConfigError, Policy};
use serde::Deserialize;
use std::rc::Rc;

/// The books, in the order in which they are named. There is at least one.
pub struct Shelf {
    first: Rc<dyn Prices>,
    others: Vec<Rc<dyn Prices>>,
    name: Box<str>,
}

/// Why there are no books.
#[derive(Debug, thiserror::Error)]
pub enum ShelfError {
    /// Not JSON of these fields.
    #[error("the VM configuration is neither a canonical book nor a list of books")]
    Malformed(#[from] serde_json::Error),
    /// No base64.
    #[error("book {number} of the list is not base64")]
    Base64 {
        /// Which, from 1.
        number: usize,
    },
    /// No book at all.
    #[error("the list of books is empty")]
    Empty,
    /// Of two equal ones one was meant to be another.
    #[error("book `{book}` stands twice in the list")]
    Twice {
        /// Its digest.
        book: Box<str>,
    },
    /// One of them cannot be used.
    #[error("book {number} of the list cannot be used")]
    Listed {
        /// Which, from 1.
        number: usize,
        /// Why.
        source: ConfigError,
    },
    /// It cannot be used.
    #[error(transparent)]
    Book(ConfigError),
    /// Nobody says which of them prices a call.
    #[error("several books need a `host`, which says whose calls each prices")]
    NoHost,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Text {
    books: Vec<String>,
}

impl Shelf {
    /// Reads the VM's configuration: a canonical book as it is, or JSON with `books`, a list of
    /// canonical books in base64. Each is loaded into a policy.
    ///
    /// # Errors
    /// See [`ShelfError`]; never `NoHost`.
    pub fn load<P: Policy + 'static>(configuration: Vec<u8>) -> Result<Self, ShelfError> {
        let is_list = configuration.trim_ascii_start().starts_with(b"{");
        if !is_list {
            let only = Release::<P>::load(configuration).map_err(ShelfError::Book)?;
            return Ok(Self::of(Rc::new(only), Vec::new()));
        }
        let text: Text = serde_json::from_slice(&configuration)?;
        drop(configuration);
        let mut all: Vec<Rc<dyn Prices>> = Vec::with_capacity(text.books.len());
        for (number, book) in (1..).zip(text.books) {
            let canonical = STANDARD.decode(book);
            let canonical = canonical.map_err(|_| ShelfError::Base64 { number })?;
            let release = Release::<P>::load(canonical);
            let release = release.map_err(|source| ShelfError::Listed { number, source })?;
            if all.iter().any(|other| other.book() == release.book()) {
                let book = release.book().into();
                return Err(ShelfError::Twice { book });
            }
            all.push(Rc::new(release));
        }
        let mut all = all.into_iter();
        let first = all.next().ok_or(ShelfError::Empty)?;
        Ok(Self::of(first, all.collect()))
    }

    fn of(first: Rc<dyn Prices>, others: Vec<Rc<dyn Prices>>) -> Self {
        let all = std::iter::once(&first).chain(&others);
        let mut digests = Vec::new();
        // The order only says by which one a call is asked about before the host has said.
        for digest in all.map(|release| release.book()) {
            let at = digests.partition_point(|other| *other < digest);
            digests.insert(at, digest);
        }
        let name = hash::hex(digests.concat().as_bytes()).into();
        Self {
            first,
            others,
            name,
        }
    }

    /// A name for exactly these books.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The first: by it a call is asked about as long as nobody has said what prices it.
    pub fn first(&self) -> Rc<dyn Prices> {
        Rc::clone(&self.first)
    }

    /// The book with this digest.
    pub fn find(&self, book: &str) -> Option<Rc<dyn Prices>> {
        let mut all = std::iter::once(&self.first).chain(&self.others);
        all.find(|release| release.book() == book).map(Rc::clone)
    }

    /// What prices a call of which nobody says by which book: the only one, or none.
    pub fn only(&self) -> Rc<dyn Prices> {
        if self.has_several() {
            return Rc::new(Absent);
        }
        self.first()
    }

    /// Whether somebody has to say which one prices a call.
    pub fn has_several(&self) -> bool {
        !self.others.is_empty()
    }
}
