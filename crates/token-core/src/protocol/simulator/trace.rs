//! A run in words.

use super::server::refresh_of;
use super::world::World;
use crate::protocol::Failure;
use crate::protocol::action::{Action, Event, Swapped};
use crate::protocol::replica::{Demand, Stored};
use crate::record::{Record, State};
use crate::store::Stamp;
use crate::token::TokenSet;

impl World {
    pub(super) fn shown(&self, action: &Action) -> String {
        match action {
            Action::Load => "load".to_owned(),
            Action::Swap { expect, record, .. } => {
                let fits = if self.store.meets(*expect) { "" } else { " (will lose)" };
                format!("swap in {}{fits}", record_in_words(record))
            }
            Action::Exchange { tokens } => {
                let refresh = tokens.as_ref().and_then(refresh_of);
                format!("exchange refresh token {refresh:?}")
            }
            Action::Watch { at_most, .. } => format!("watch for {at_most:.1?}"),
            Action::AskHolder { .. } => "ask for the holder".to_owned(),
            Action::Pause(pause) => format!("pause for {pause:.1?}"),
            Action::Finish(result) => match result {
                Ok(()) => "finish".to_owned(),
                Err(Failure::OutcomeUnknown { wait, .. }) => {
                    format!("finish: outcome unknown, wait for {wait:.1?}")
                }
                Err(Failure::Store(error)) => format!("finish: store {:?}", error.kind()),
                Err(Failure::Refresh(error)) => format!("finish: {:?}", error.outcome()),
                Err(failure) => format!("finish: {failure:?}"),
            },
        }
    }

    pub(super) fn shown_event(&self, event: &Event) -> String {
        match event {
            Event::Loaded(Ok(stored)) => stored_in_words(stored.as_ref()),
            Event::Loaded(Err(error)) => format!("no record: {error}"),
            Event::Swapped(Ok(Swapped::Won { durable, history })) => {
                format!("won (durable: {durable}, {history:?})")
            }
            Event::Swapped(Ok(Swapped::Lost(stored))) => {
                format!("lost to {}", stored_in_words(stored.as_ref()))
            }
            Event::Swapped(Err(error)) => format!("swap failed: {error} ({:?})", error.kind()),
            Event::Exchanged { result: Ok(tokens), .. } => {
                format!("answer: {}", tokens_in_words(tokens))
            }
            Event::Exchanged { result: Err(error), .. } => format!("{:?}", error.outcome()),
            Event::Holder(liveness) => format!("holder {liveness:?}"),
            Event::Woken => "the end of a wait".to_owned(),
        }
    }
}

pub(super) fn demand_in_words(demand: Demand) -> String {
    let newer = demand.newer_than.map(|version| format!(", newer than {version}"));
    let refused = if demand.refused { ", which was refused" } else { "" };
    let repair = if demand.repair { ", a repair" } else { "" };
    format!("{}{refused}{repair}", newer.unwrap_or_default())
}

fn stored_in_words(stored: Option<&Stored>) -> String {
    stored.map_or_else(
        || "nothing stored".to_owned(),
        |stored| format!("{} ({:?})", record_in_words(&stored.record), stored.history),
    )
}

fn record_in_words(record: &Record) -> String {
    let settling = if record.settling { ", settling" } else { "" };
    let Record { version, state, tokens, .. } = record;
    format!("[{version} {} {}{settling}]", state_in_words(state), tokens_in_words(tokens))
}

fn tokens_in_words(tokens: &TokenSet) -> String {
    refresh_of(tokens).map_or_else(|| "no refresh token".to_owned(), |token| format!("rt {token}"))
}

/// An attempt is named by its process, that one's incarnation, and a number.
pub(super) fn state_in_words(state: &State) -> String {
    let holder = |attempt: &Stamp| {
        let bytes = attempt.to_bytes();
        format!("p{}.{} #{}", bytes[0].wrapping_sub(1), bytes[7], bytes[15])
    };
    match state {
        State::Idle => "idle".to_owned(),
        State::InFlight { attempt } => format!("in flight {}", holder(attempt)),
        State::Unknown { attempt } => format!("unknown {}", holder(attempt)),
        State::Dead { reason } => format!("dead {reason:?}"),
    }
}
