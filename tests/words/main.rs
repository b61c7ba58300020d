//! Each row of the tables in `docs/words.md`, against the test kit in the dialect of that row's API. The document is the
//! table: there is no other.

mod api;
mod calls;
mod document;
mod habits;
mod logs;
mod troubles;
