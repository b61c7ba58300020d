//! A grant is declared dead only where the server has said so.

use std::collections::HashMap;

use crate::mark::Mark;
use crate::record::State;
use crate::request::Decision;
use crate::time::At;

use super::past::Past;
use super::{Rule, Violation};

/// A dead record keeps the refresh token that was refused. Who brings it back to a store that has lost it declares nothing
/// new: the refusal is the same.
pub(super) fn check(past: &Past, violations: &mut Vec<Violation>) {
    let mut refused: HashMap<(u32, Mark), At> = HashMap::new();
    for shown in &past.shown {
        if let Some((at, Decision::Refused | Decision::Reuse)) = shown.decided {
            let grant = past.exchanges[shown.exchange].grant;
            let first = refused.entry((grant, shown.presented)).or_insert(at);
            *first = at.min(*first);
        }
    }
    for write in past.writes.iter().filter(|write| write.record.state == State::Dead) {
        let token = write.record.refresh;
        let cause = token.and_then(|token| refused.get(&(write.grant, token)));
        if cause.is_none_or(|at| *at > write.began) {
            violations.push(Violation {
                rule: Rule::DeadWithoutCause,
                text: format!(
                    "process {} declared the grant dead, and the server had not refused its token {token:?}",
                    write.process
                ),
                grant: Some(write.grant),
                from: write.began,
                to: write.began,
            });
        }
    }
}
