//! One process of the explored world.

use std::time::Duration;

use super::Scope;
use crate::clock::Moment;
use crate::freshness::Freshness;
use crate::protocol::action::{Action, Event};
use crate::protocol::policy::Policy;
use crate::protocol::replica::Replica;
use crate::protocol::seed::Seed;
use crate::refresher::Spends;
use crate::store::Stamp;
use crate::token::TokenSet;

/// How long the server's access tokens live: longer than any quarantine.
pub(super) const LIFETIME: Duration = Duration::from_secs(1_000);

#[derive(Clone, Debug)]
pub(super) struct Process {
    pub(super) replica: Replica,
    /// The action that is to be performed next, or whose result is awaited.
    pub(super) action: Option<Action>,
    /// A result that the process has not seen yet.
    pub(super) result: Option<Event>,
    pub(super) sent_at: Option<Moment>,
    pub(super) waiting: bool,
    pub(super) flights: u32,
    pub(super) incarnation: u8,
    pub(super) steps: u64,
}

impl Process {
    pub(super) fn new(scope: Scope, now: Moment, incarnation: u8) -> Self {
        let policy = Policy {
            freshness: Freshness::default(),
            exchange_deadline: Duration::from_secs(10),
            send_gate: Duration::from_secs(1),
            drain: Duration::from_secs(10),
            unknown_outcome: scope.rule,
            grace: None,
            tells_dead_holder: scope.tells_dead_holder,
            may_regress: false,
            dice: 0.5,
        };
        let seed = Seed::new(tokens(0), now).unwrap();
        Self {
            replica: Replica::new(policy, Some(seed)),
            action: None,
            result: None,
            sent_at: None,
            waiting: false,
            flights: scope.flights,
            incarnation,
            steps: 0,
        }
    }

    /// A stamp that depends on nothing but this process's own steps, so that equal states look equal.
    pub(super) fn fresh(&mut self, n: usize) -> Stamp {
        self.steps += 1;
        let mut bytes = [0; 16];
        bytes[0] = 1 + u8::try_from(n).unwrap();
        bytes[1] = self.incarnation;
        bytes[8..].copy_from_slice(&self.steps.to_be_bytes());
        Stamp::from_bytes(bytes)
    }

    pub(super) fn has_begun(&self, scope: Scope) -> bool {
        self.flights < scope.flights || self.incarnation > 0
    }

    pub(super) fn rest(&mut self) {
        if matches!(self.action, Some(Action::Finish(_))) {
            self.action = None;
        }
    }
}

pub(super) fn tokens(generation: u64) -> TokenSet {
    TokenSet::new(format!("at-{generation}"))
        .with_refresh_token(generation.to_string())
        .with_expires_in(LIFETIME)
}

pub(super) fn generation_of(tokens: &TokenSet) -> u64 {
    tokens.refresh_token().unwrap().expose_secret().parse().unwrap()
}

pub(super) fn spends(_: Option<&TokenSet>) -> Spends {
    Spends::RefreshToken
}
