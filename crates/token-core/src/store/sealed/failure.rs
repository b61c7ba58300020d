//! What is said of records that cannot be opened, and what each means for the record.

use super::envelope::{self, NotSealed};
use super::keys::KeyError;
use crate::key::StoreKey;
use crate::store::{StoreError, StoreErrorKind};

pub(super) fn not_sealed(grant: &StoreKey, why: &NotSealed) -> StoreError {
    match why {
        NotSealed::Clear => StoreError::new(
            StoreErrorKind::Insecure,
            format!(
                "the record of `{grant}` is not sealed: to take it over, and seal it with the next write, open the store with \
                 `reading_clear_records`; if it was sealed before, somebody else wrote this one"
            ),
        ),
        NotSealed::Newer { format } => StoreError::new(
            StoreErrorKind::Sealed,
            format!(
                "the record of `{grant}` is sealed in format {format}, this version reads up to {}: update this program",
                envelope::FORMAT
            ),
        ),
        NotSealed::Damaged => damaged(grant),
    }
}

/// The tag does not fit, which says no more than this.
pub(super) fn damaged(grant: &StoreKey) -> StoreError {
    StoreError::new(
        StoreErrorKind::Corrupt,
        format!(
            "the sealed record of `{grant}` cannot be opened: it was changed, or belongs to another grant or write; bring back \
             the right one, or log in again, which sets it aside"
        ),
    )
}

pub(super) fn no_key(grant: &StoreKey, id: &str) -> StoreError {
    StoreError::new(
        StoreErrorKind::Sealed,
        format!(
            "the record of `{grant}` is sealed with the key `{id}`, which this process does not have: give it that key too; \
             if nobody has it any more, stop the processes, or a seed of theirs that was used is presented again; then move the \
             record away by hand and log in"
        ),
    )
}

pub(super) fn other_key(grant: &StoreKey, id: &str) -> StoreError {
    StoreError::new(
        StoreErrorKind::Sealed,
        format!(
            "the record of `{grant}` is sealed with another key than the one that has the id `{id}` here: give this process \
             the right one, and each key an id of its own"
        ),
    )
}

/// Nothing was read, and nothing was written.
pub(super) fn keys(grant: &StoreKey, error: KeyError) -> StoreError {
    let what = format!("the sealing key for the record of `{grant}` cannot be had: {error}");
    StoreError::new(StoreErrorKind::Refused, what).with_source(error)
}

pub(super) fn not_made(grant: &StoreKey, why: &str) -> StoreError {
    let what = format!("the record of `{grant}` cannot be sealed: {why}");
    StoreError::new(StoreErrorKind::Refused, what)
}

/// The new record is in, and the old one may come back.
pub(super) fn not_lasting(grant: &StoreKey) -> StoreError {
    let what =
        format!("the record of `{grant}` was written, and the store does not say that it lasts");
    StoreError::new(StoreErrorKind::Indeterminate, what)
}
