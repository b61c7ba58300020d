//! What the servers were made to lose is brought back by whoever knows it.

use crate::history::{Entry, What};
use crate::record::Version;
use crate::time::FORGOTTEN;

use super::past::Past;
use super::{Rule, Violation, of_grants};

/// A grant was logged in again because the store had had no record of it for [`FORGOTTEN`]: nobody may have known one.
pub(super) fn check(past: &Past, entries: &[Entry], violations: &mut Vec<Violation>) {
    let forgotten =
        |what: &What| matches!(what, What::SignedIn { forgotten: true, .. }).then_some(());
    for (at, _, grant, ()) in of_grants(entries, forgotten) {
        let from = at.before(FORGOTTEN);
        if past.could_bring_back(grant, Version(0, 0), from, at) {
            violations.push(Violation {
                rule: Rule::NotBroughtBack,
                text: "the store had no record, and somebody knew one".to_owned(),
                grant: Some(grant),
                from,
                to: at,
            });
        }
    }
}
