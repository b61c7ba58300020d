//! What the servers were made to lose is brought back by whoever knows it.

use crate::history::{Entry, What};

use super::past::Past;
use super::{Rule, Violation, of_grants};

/// A grant was logged in again because the store did not have again what it once had: nobody may have known that.
pub(super) fn check(past: &Past, entries: &[Entry], violations: &mut Vec<Violation>) {
    let forgotten =
        |what: &What| if let What::SignedIn { forgotten, .. } = what { *forgotten } else { None };
    for (at, _, grant, (version, from)) in of_grants(entries, forgotten) {
        if past.could_bring_back(grant, version, from, at) {
            violations.push(Violation {
                rule: Rule::NotBroughtBack,
                text: format!("the store had lost version {version}, and somebody knew it"),
                grant: Some(grant),
                from,
                to: at,
            });
        }
    }
}
