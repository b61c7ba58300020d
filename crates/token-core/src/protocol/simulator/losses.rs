//! Who had the live token when a login was revoked by reuse, and why it could not be kept.

use super::checks::Broken;
use super::clock::{SECOND, Time};
use super::network::Presentation;
use super::process::Process;
use super::world::World;
use crate::protocol::UnknownOutcome;

/// The windows that no client can close.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Window {
    /// The answer was lost, or died with its reader, before it was stored.
    W,
    /// Its reader was kept from storing it for longer than the others wait.
    P,
    /// The store lost it, and nobody was there to bring it back.
    F,
}

/// What was to be known when an intent was stored: later nobody can stop the request.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sight {
    /// Whether the refresh token had been used by then.
    used: bool,
    held: Held,
}

/// Who has the live token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Held {
    Nowhere,
    /// Only by processes that were kept from storing it.
    OutOfReach(Window),
    InStore,
    By(usize),
}

/// How long after a hindrance a process may take to store what it has: the longest pause between two tries, one answer that
/// takes as long as a store may, and some.
const PROMPT: Time = 8 * SECOND;

/// The others wait for at least this long after a request, or a fall of the store.
const PATIENCE: Time = 20 * SECOND;

impl World {
    /// What this process could know, now that it is about to send this refresh token.
    pub(super) fn sight(&self, presenter: usize, refresh: usize) -> Sight {
        let login = self.server.refresh[refresh].login;
        let used = self.server.is_spent(refresh);
        let mut held = Held::Nowhere;
        if !used {
            return Sight { used, held };
        }
        if self.store.current().is_some_and(|kept| self.is_live(&kept.record.tokens, login)) {
            return Sight { used, held: Held::InStore };
        }
        for (n, process) in self.processes.iter().enumerate() {
            let under_way = self.answers.iter().any(|answer| {
                process.awaits(answer.request)
                    && answer.result.as_ref().is_ok_and(|tokens| self.is_live(tokens, login))
            });
            if !under_way && !self.has_live(process, login) {
                continue;
            }
            match self.out_of_reach(process, refresh, under_way) {
                Some(window) if n != presenter => held = Held::OutOfReach(window),
                _ => return Sight { used, held: Held::By(n) },
            }
        }
        Sight { used, held }
    }

    /// Why a process that has the live token could not store it, if it could not.
    fn out_of_reach(&self, process: &Process, used: usize, under_way: bool) -> Option<Window> {
        let held = process.holds.filter(|_| !under_way);
        let since = held.map_or(self.now, |(_, since)| since);
        let stored = held.is_some_and(|(newest, _)| self.server.refresh[newest].stored);
        let fell = self.regressed_at.unwrap_or_default();
        let own = self.server.refresh[used].presented.iter().rfind(|presented| {
            (presented.process, presented.incarnation) == (process.number, process.incarnation)
        });
        let (since, began, window) = match own {
            Some(own) if !stored => (since, own.at, Window::P),
            _ => (since.max(fell), fell, Window::F),
        };
        let last = process.last_hindered(self.now);
        (last >= since && self.now < last + PROMPT && self.now >= began + PATIENCE)
            .then_some(window)
    }

    /// A login was revoked because a used refresh token was sent.
    pub(super) fn judge_revocation(&mut self, process: usize, presentation: Presentation) {
        let Presentation { refresh, sight, .. } = presentation;
        let login = self.server.refresh[refresh].login;
        let strict = self.scenario.rule == UnknownOutcome::RequireLogin;
        if strict && self.scenario.grace.is_none() && self.emptied_at.is_none() {
            self.fail(Broken::RevokedByReuse, || {
                format!("p{process} sent refresh token {refresh}")
            });
        }
        let window = match sight.held {
            Held::InStore | Held::By(_) => {
                self.fail(Broken::AvoidableLoss, || format!("it was held: {:?}", sight.held));
                return;
            }
            _ if !sight.used => {
                self.fail(Broken::AvoidableLoss, || "another request came between".to_owned());
                return;
            }
            Held::OutOfReach(window) => window,
            Held::Nowhere => {
                let stored = self.server.refresh.iter().enumerate().any(|(token, of)| {
                    of.login == login
                        && of.stored
                        && token > refresh
                        && !self.server.is_spent(token)
                });
                if stored { Window::F } else { Window::W }
            }
        };
        if window == Window::F && self.regressed_at.is_none() {
            self.fail(Broken::AvoidableLoss, || {
                "the store had it, and did not fall back".to_owned()
            });
        }
        self.reached.lost(window);
    }
}
