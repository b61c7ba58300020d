//! What a run is drawn for: the hosts, the rules, and how often things go wrong.

use std::time::Duration;

use super::clock::{SECOND, SkewedClock, Time};
use super::server::{Grace, Rotation};
use crate::freshness::Freshness;
use crate::protocol::{GraceWindow, Policy, UnknownOutcome};
use crate::refresher::Spends;
use crate::token::TokenSet;

pub(super) const EXCHANGE_DEADLINE: Duration = Duration::from_secs(10);
pub(super) const SEND_GATE: Duration = Duration::from_secs(1);
pub(super) const DRAIN: Duration = Duration::from_secs(10);
pub(super) const STORE_DEADLINE: Duration = Duration::from_secs(5);

/// What cannot change in the middle of a run.
#[derive(Clone, Debug)]
pub(super) struct Scenario {
    pub(super) hosts: Vec<Host>,
    pub(super) rule: UnknownOutcome,
    pub(super) rotation: Rotation,
    pub(super) grace: Option<(Grace, Time)>,
    /// How long an access token lives.
    pub(super) lifetime: Time,
    pub(super) tells_dead_holder: bool,
    pub(super) may_regress: bool,
    /// Whether it may lose everything.
    pub(super) may_empty: bool,
    /// Whether the store has a record at first; the processes race for the seed otherwise.
    pub(super) begun: bool,
    /// Whether a process may be paused between the check of the send gate and the write of the request, which no client
    /// can close.
    pub(super) pause_before_send: bool,
    /// Whether a grant whose refresh token has died logs in by itself.
    pub(super) logs_in: bool,
    /// Whether the processes know that the server takes a refresh token again and again, as it does where it does not rotate.
    pub(super) reusable: bool,
    pub(super) moods: Moods,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Host {
    pub(super) clock: SkewedClock,
    pub(super) dice: f64,
}

/// How often each kind of trouble comes: each run has some kinds only, so that some runs are about one.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Moods {
    pub(super) store: u32,
    pub(super) network: u32,
    pub(super) pause: u32,
    pub(super) crash: u32,
    pub(super) regress: u32,
    pub(super) hands: u32,
    pub(super) server: u32,
    pub(super) clock: u32,
    pub(super) order: u32,
}

impl Scenario {
    pub(super) fn draw(rng: &mut fastrand::Rng) -> Self {
        let fast = [0, 0, 10_000, 50_000][rng.usize(..4)];
        let ahead = [0, 0, 1, 60, 3_600][rng.usize(..5)] * SECOND.cast_signed();
        let hosts = (0..rng.usize(2..=5))
            .map(|_| Host {
                clock: SkewedClock {
                    origin: [3, 1_000, 1_000_000][rng.usize(..3)] * SECOND,
                    ahead: rng.i64(-ahead..=ahead),
                    fast: rng.i64(-fast..=fast),
                },
                dice: rng.f64(),
            })
            .collect();
        let may_regress = rng.u8(..3) == 0;
        // Each kind of trouble is absent, rare or frequent.
        let mut mood = |often: u32| [0, 1, often / 4, often][rng.usize(..4)];
        let moods = Moods {
            store: mood(60),
            network: mood(80),
            pause: mood(40),
            crash: mood(20),
            regress: mood(40),
            hands: mood(12),
            server: mood(8),
            clock: mood(4),
            order: mood(200),
        };
        let moods = if may_regress {
            Moods { store: moods.store.max(30), regress: moods.regress.max(20), ..moods }
        } else {
            moods
        };
        let rotation = match rng.u8(..16) {
            0 => Rotation::Repeat,
            1 => Rotation::Omit,
            _ => Rotation::Rotate,
        };
        let window = [15, 30, 60, 300][rng.usize(..4)] * SECOND;
        let grace = match rng.u8(..8) {
            0 => Some((Grace::SamePair, window)),
            1 => Some((Grace::NewPair, window)),
            2 => Some((Grace::PreviousOnly, window)),
            _ => None,
        };
        let may_empty = may_regress && rng.bool();
        let reusable = rotation != Rotation::Rotate && rng.bool();
        Self {
            hosts,
            rule: match rng.u8(..4) {
                0 => UnknownOutcome::PresentAgainEarly,
                1 => UnknownOutcome::RequireLogin,
                _ => UnknownOutcome::PresentAgain,
            },
            rotation,
            grace,
            lifetime: [20, 60, 120, 300, 900][rng.usize(..5)] * SECOND,
            tells_dead_holder: rng.u8(..3) == 0,
            may_regress,
            may_empty,
            begun: rng.u8(..3) > 0,
            pause_before_send: false,
            moods,
            logs_in: rng.u8(..4) == 0 && !reusable,
            reusable,
        }
    }

    /// What an exchange presents.
    pub(super) fn spends(&self) -> fn(Option<&TokenSet>) -> Spends {
        fn refresh(_: Option<&TokenSet>) -> Spends {
            Spends::RefreshToken
        }
        fn refresh_or_log_in(tokens: Option<&TokenSet>) -> Spends {
            match tokens.and_then(TokenSet::refresh_token) {
                Some(_) => Spends::RefreshToken,
                None => Spends::Nothing,
            }
        }
        fn use_again(_: Option<&TokenSet>) -> Spends {
            Spends::Reusable
        }
        match self {
            Self { reusable: true, .. } => use_again,
            Self { logs_in: true, .. } => refresh_or_log_in,
            _ => refresh,
        }
    }

    pub(super) fn policy(&self, host: usize) -> Policy {
        Policy {
            freshness: Freshness::default(),
            exchange_deadline: EXCHANGE_DEADLINE,
            send_gate: SEND_GATE,
            drain: DRAIN,
            unknown_outcome: self.rule,
            grace: self.grace.map(|(kind, window)| {
                let window = Duration::from_micros(window);
                match kind {
                    Grace::SamePair => GraceWindow::same_pair(window),
                    Grace::NewPair => GraceWindow::new_pair(window),
                    Grace::PreviousOnly => GraceWindow::previous_only(window),
                }
            }),
            tells_dead_holder: self.tells_dead_holder,
            may_regress: self.may_regress,
            dice: self.hosts[host].dice,
        }
    }
}
