//! What must never be, whatever happens.

use super::clock::{SECOND, Time};
use super::process::{Doing, Process};
use super::scenario::{SEND_GATE, Scenario};
use super::server::{Grace, Rotation, access_of, refresh_of};
use super::step::Slot;
use super::trace::state_in_words;
use super::world::World;
use crate::protocol::UnknownOutcome;
use crate::protocol::replica::Demand;
use crate::record::{DeadReason, Record, State};
use crate::store::Stamp;
use crate::token::TokenSet;
use crate::version::Version;

/// A rule that was broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Broken {
    /// A login was revoked by reuse while somebody who could have stored it had the live token.
    AvoidableLoss,
    /// A decision threw the live token away.
    ThrownAway,
    /// The store went back without having fallen back.
    VersionDown,
    /// A caller got an older version than one before.
    HandedDown,
    /// A token was sent while an earlier request with it may have been under way.
    UnderWay,
    /// A token was sent again though the access token still served.
    TooEarly,
    /// A token with an unknown outcome was sent again where a login is required.
    SentAgain,
    /// A login was revoked by reuse where a login is required instead.
    RevokedByReuse,
    /// A token was obtained that nobody needed.
    Needless,
    /// A dead grant was presented.
    DeadPresented,
    /// A process asked for tokens out of its turn, while another was at it.
    OutOfTurn,
    /// A process has no token in the end, and nothing says why.
    NoToken,
    /// Something happens over and over.
    Busy,
}

/// A turn is over after 10 s, and the process whose it is wants 11 s for itself; clocks differ by a tenth.
const TURN: Time = 9 * SECOND;

impl World {
    /// Runs something that may forget tokens only for a reason.
    pub(super) fn guarded(&mut self, act: impl FnOnce(&mut Self) -> bool) -> bool {
        let before = self.newest();
        let known = before.and_then(|(_, login)| login).filter(|login| self.is_held(*login));
        // A login by itself takes the place of what nobody is to present any more, live or not.
        let given_up = self.scenario.logs_in
            && self
                .store
                .current()
                .is_some_and(|kept| matches!(kept.record.state, State::Dead { .. }));
        self.sibling = false;
        let acted = act(self);
        // A login, a seed or a logout starts another epoch, and may forget.
        let epoch = |newest: Option<(Version, _)>| newest.map(|(version, _)| version.epoch());
        if let Some(login) = known
            && !given_up
            && !self.server.revoked[login]
            && !self.is_known(login)
            && epoch(self.newest()) == epoch(before)
            && !self.may_forget(before.and_then(|(_, login)| login))
        {
            self.fail(Broken::ThrownAway, || format!("nobody knows login {login} any more"));
        }
        acted
    }

    /// Of two answers in a grace window the later one is kept; and where a store forgot its epochs, two logins can have one.
    fn may_forget(&self, login: Option<usize>) -> bool {
        let another = self.newest().is_some_and(|(_, newest)| newest != login);
        self.sibling && self.scenario.grace.is_some() || self.emptied_at.is_some() && another
    }

    /// The newest version that anybody has, and its login.
    fn newest(&self) -> Option<(Version, Option<usize>)> {
        let held = self.processes.iter().flat_map(|process| {
            let known = process.replica.known.as_ref().map(|known| &known.record);
            [known, process.answered()]
        });
        let stored = self.store.current().map(|kept| &kept.record);
        let newest = held.flatten().chain(stored).max_by_key(|record| record.version)?;
        let refresh = refresh_of(&newest.tokens);
        Some((newest.version, refresh.map(|refresh| self.server.refresh[refresh].login)))
    }

    pub(super) fn is_live(&self, tokens: &TokenSet, login: usize) -> bool {
        refresh_of(tokens).is_some_and(|refresh| {
            self.server.refresh[refresh].login == login && self.server.is_live(refresh)
        })
    }

    /// Whether the store or a process has a live refresh token of this login.
    fn is_held(&self, login: usize) -> bool {
        self.store.current().is_some_and(|kept| self.is_live(&kept.record.tokens, login))
            || self.processes.iter().any(|process| self.has_live(process, login))
    }

    /// As [`is_held`](Self::is_held), or whether one is on its way, or may be used once more.
    fn is_known(&self, login: usize) -> bool {
        let stored = self.store.current().and_then(|kept| refresh_of(&kept.record.tokens));
        self.is_held(login)
            || stored.is_some_and(|refresh| self.server.accepts_again(refresh, self.now))
            || self.answers.iter().any(|answer| {
                answer.result.as_ref().is_ok_and(|tokens| self.is_live(tokens, login))
            })
    }

    pub(super) fn has_live(&self, process: &Process, login: usize) -> bool {
        process.tokens().any(|tokens| self.is_live(tokens, login))
    }

    /// An intent is about to be stored.
    pub(super) fn judge_intent(&mut self, n: usize) {
        if self.has_what_it_wants(n) {
            self.fail(Broken::Needless, || format!("p{n} has what it wants"));
        }
    }

    pub(super) fn has_what_it_wants(&self, n: usize) -> bool {
        let process = &self.processes[n];
        let now = process.clock.at(self.now);
        let demand = process.flight.as_ref().map(|flight| flight.demand);
        demand.is_some_and(|demand| process.replica.satisfies(&demand, now))
    }

    /// A refresh token is about to be sent.
    pub(super) fn judge_presentation(&mut self, n: usize, refresh: usize, access: Option<usize>) {
        let now = self.now;
        if self.scenario.rotation != Rotation::Rotate {
            return;
        }
        let process = &self.processes[n];
        let serves = access.is_some_and(|access| self.serves_for_sure(access));
        let mut broken = None;
        for earlier in self.server.refresh[refresh].presented.iter().filter(|p| !p.harmless) {
            let own = (earlier.process, earlier.incarnation) == (n, process.incarnation);
            let (in_window, in_any_order) = match self.scenario.grace {
                Some((kind, window)) => (now < earlier.at + window, kind != Grace::PreviousOnly),
                None => (false, false),
            };
            let in_turn = earlier.over || own && in_window && in_any_order;
            if !in_turn {
                broken = Some(Broken::UnderWay);
            }
            // A store that lost everything lost the intent, which is a second old at most when it is acted on: only who
            // sent it can know.
            let forgotten = self.emptied_at.is_some_and(|at| at + 2 * SECOND > earlier.at) && !own;
            if in_window || forgotten {
                continue;
            }
            match self.scenario.rule {
                UnknownOutcome::RequireLogin => broken = broken.or(Some(Broken::SentAgain)),
                UnknownOutcome::PresentAgain if serves => {
                    broken = broken.or(Some(Broken::TooEarly));
                }
                _ => {}
            }
        }
        if let Some(broken) = broken {
            self.fail(broken, || format!("p{n} sends refresh token {refresh} again"));
        }
    }

    /// A process is about to log in by itself, or to send a refresh token that may be used again.
    pub(super) fn judge_turn(&mut self, n: usize, refresh: Option<usize>) {
        let (now, process) = (self.now, &self.processes[n]);
        let who = (n, process.incarnation);
        let last = self.last_turn.replace((who, refresh, now));
        let at_it = |(n, incarnation): (usize, u32)| {
            let other = &self.processes[n];
            let flight = other.flight.as_ref().map(|flight| &flight.doing);
            other.incarnation == incarnation && matches!(flight, Some(Doing::Exchange(_)))
        };
        let last =
            last.filter(|(other, with, _)| *with == refresh && *other != who && at_it(*other));
        let Some((other, _, at)) = last else { return };
        // A store that fell back forgot who was at it, and who has just begun to look cannot know.
        let known = self.regressed_at.is_none_or(|fell| fell + TURN < at)
            && process.looks_since.is_some_and(|since| since + TURN < at);
        if known && now < at + TURN {
            self.fail(Broken::OutOfTurn, || format!("p{n}, and p{} before", other.0));
        }
    }

    /// A process is about to send a refresh token that may be used again. One that the store fails, or that stood still, asks
    /// whether it is its turn or not.
    pub(super) fn judge_shared(&mut self, n: usize, refresh: usize) {
        let process = &self.processes[n];
        let seen = process.replica.seen.as_ref().and_then(Option::as_ref);
        let now = process.clock.at(self.now).monotonic();
        let in_time = seen.and_then(|seen| seen.written).is_some_and(|at| now < at + SEND_GATE);
        if in_time && self.now >= process.last_hindered(self.now) + TURN {
            self.judge_turn(n, Some(refresh));
        } else {
            self.last_turn = None;
        }
    }

    /// Whether an access token serves, and everybody could know that, whatever is wrong with their clocks.
    fn serves_for_sure(&self, access: usize) -> bool {
        let token = &self.server.access[access];
        let Scenario { lifetime, grace, ref hosts, .. } = self.scenario;
        let spread = Time::try_from(self.ahead - self.behind).unwrap_or_default();
        let fast =
            hosts.iter().map(|host| host.clock.fast.unsigned_abs()).max().unwrap_or_default();
        let drift = self.now / 1_000_000 * fast * 2;
        let same_pair = match grace {
            Some((Grace::SamePair, window)) => window,
            _ => 0,
        };
        let counted = lifetime / 106 * 100;
        self.server.accepts(access, self.now)
            && self.now + spread + drift + same_pair + SECOND < token.asked + counted
    }

    /// After each step of a process: what it hands out, and what it holds.
    pub(super) fn check_process(&mut self, n: usize) {
        let now = self.now;
        let process = &mut self.processes[n];
        if process.replica.seen.is_some() {
            process.looks_since.get_or_insert(now);
        }
        let newest = process.tokens().filter_map(refresh_of).max();
        if newest != process.holds.map(|(token, _)| token) {
            process.holds = newest.map(|token| (token, now));
        }
        let Some(known) = process.replica.known().filter(|_| !process.replica.awaits_seed()) else {
            return;
        };
        if known.record.tokens.access_token().is_none() {
            return;
        }
        let version = known.record.version;
        let handed = process.handed.replace(version);
        if handed.is_some_and(|handed| handed > version) {
            self.fail(Broken::HandedDown, || format!("p{n}: {handed:?}, then {version}"));
        }
    }

    /// A write was carried out over a record of this version, which was dead or not.
    pub(super) fn check_write(
        &mut self,
        by: Option<(usize, Slot)>,
        before: Option<(Version, State)>,
        stamp: Stamp,
        record: &Record,
    ) {
        let version = record.version;
        self.note(|_| format!("    stored: {version} {}", state_in_words(&record.state)));
        let intent = record.state == State::InFlight { attempt: stamp };
        if before.as_ref().is_some_and(|(old, _)| *old != version) {
            // That death is over.
            self.last_turn = None;
        }
        if let Some((old, state)) = before {
            let dead = matches!(state, State::Dead { .. });
            if version < old {
                self.fail(Broken::VersionDown, || format!("{old}, then {version}"));
            }
            if dead && intent && version == old {
                self.fail(Broken::DeadPresented, || format!("{version}"));
            }
        }
        let Some(refresh) = refresh_of(&record.tokens) else { return };
        self.server.refresh[refresh].stored = true;
        if let Some((n, Slot::Flight)) = by
            && intent
        {
            self.processes[n].sight = Some(self.sight(n, refresh));
        }
    }

    /// Whether a process has a token, as far as it knows.
    pub(super) fn is_satisfied(&self, n: usize) -> bool {
        let process = &self.processes[n];
        process.replica.satisfies(&Demand::default(), process.clock.at(self.now))
    }

    /// Whether a process has what it can have: a token, or the reason why there is none. Asked when all is well again.
    pub(super) fn is_served(&self, n: usize) -> bool {
        let process = &self.processes[n];
        let Some(known) = process.replica.known() else { return false };
        let login = refresh_of(&known.record.tokens).map(|token| self.server.refresh[token].login);
        let seen = process.replica.seen.as_ref().and_then(Option::as_ref);
        let state = seen.map_or(&known.record.state, |seen| &seen.record.state);
        if let State::Dead { reason } = state {
            return match reason {
                DeadReason::LoggedOut => true,
                _ if self.scenario.logs_in => false,
                DeadReason::Refused => login.is_some_and(|login| self.server.revoked[login]),
                DeadReason::OutcomeUnknown => self.scenario.rule == UnknownOutcome::RequireLogin,
            };
        }
        self.is_satisfied(n)
            && access_of(&known.record.tokens)
                .is_some_and(|access| self.server.accepts(access, self.now))
    }
}
