//! What the filter keeps: the books that it is handed, and the digests of what was answered.

mod books;
mod digests;
