//! An answer that has come to a process that runs is stored, however late: it is the only copy of the live token.

use std::collections::HashMap;
use std::time::Duration;

use crate::history::ExchangeEnd;

use super::chain::Chain;
use super::past::Past;
use super::{Rule, Violation};

/// How long a process that runs, over a store that nobody blocks, may take to begin the write.
const AT_ONCE: Duration = Duration::from_secs(1);

pub(super) fn check(past: &Past, chains: &HashMap<u32, Chain>, violations: &mut Vec<Violation>) {
    for exchange in &past.exchanges {
        let Some((came, ExchangeEnd::Tokens { refresh: Some(refresh) })) = &exchange.end else {
            continue;
        };
        let end = past.killed(exchange.process).unwrap_or(past.end);
        let until = came.after(
            AT_ONCE
                + end.since(*came).saturating_sub(past.ran(
                    exchange.process,
                    exchange.grant,
                    *came,
                    end,
                )),
        );
        if until > end || past.has_tried(exchange, *refresh) {
            continue;
        }
        // Somebody else's answer for the same token, or a login, may have been stored before: then it is of no use.
        let version = past.intent(exchange).map(|intent| intent.record.version);
        let chain = chains.get(&exchange.grant);
        let overtaken = chain.into_iter().flat_map(|chain| chain.writes(past)).any(|(_, write)| {
            write.began <= until && version.is_none_or(|version| write.record.version > version)
        });
        if !overtaken {
            violations.push(Violation {
                rule: Rule::AnswerDropped,
                text: format!(
                    "process {} was issued {refresh}, and never tried to store it",
                    exchange.process
                ),
                grant: Some(exchange.grant),
                from: exchange.began,
                to: until,
            });
        }
    }
}
