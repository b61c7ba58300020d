//! What is on its way to the authorization server and back.

use std::time::Duration;

use super::clock::{SECOND, Time};
use super::losses::Sight;
use super::process::{Doing, LATENCY};
use super::scenario::DRAIN;
use super::server::{Presented, Served, access_of, refresh_of};
use super::step::NetworkFault;
use super::world::World;
use crate::refresher::RefreshError;
use crate::token::TokenSet;

#[derive(Debug)]
pub(super) struct Request {
    pub(super) id: u64,
    pub(super) process: usize,
    pub(super) incarnation: u32,
    pub(super) asks: Asks,
    pub(super) sent: Time,
    pub(super) due: Time,
    /// When the server no longer acts on it.
    pub(super) bound: Time,
    pub(super) fault: Option<NetworkFault>,
}

/// What a request asks for new tokens with.
#[derive(Clone, Copy, Debug)]
pub(super) enum Asks {
    Refresh(Presentation),
    /// A password, or whatever else is not used up.
    Login,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Presentation {
    pub(super) refresh: usize,
    /// Its place among the presentations of that refresh token.
    place: usize,
    pub(super) sight: Sight,
}

#[derive(Debug)]
pub(super) struct Answer {
    pub(super) request: u64,
    pub(super) process: usize,
    pub(super) incarnation: u32,
    pub(super) due: Time,
    pub(super) result: Result<TokenSet, RefreshError>,
}

/// How long the server may act on a request whose sender is gone.
const fn drain() -> Time {
    DRAIN.as_secs() * SECOND
}

impl World {
    /// A process sends these tokens, or its password where there is no refresh token. Returns the request's number.
    pub(super) fn request(&mut self, n: usize, tokens: &TokenSet) -> u64 {
        let (asks, again) = match refresh_of(tokens) {
            Some(refresh) => self.present(n, refresh, access_of(tokens)),
            None => {
                self.judge_turn(n, None);
                self.note(|_| format!("p{n} logs in"));
                (Asks::Login, false)
            }
        };
        let (now, id) = (self.now, self.next_request);
        self.next_request += 1;
        let process = &self.processes[n];
        let incarnation = process.incarnation;
        let deadline = process.clock.takes(process.replica.policy.exchange_deadline);
        // A window counts when the request arrives: what is sent into one is not delayed for long.
        let hurried = again && self.scenario.grace.is_some();
        let bound = now + if hurried { SECOND } else { deadline + drain() };
        self.requests.push(Request {
            id,
            process: n,
            incarnation,
            asks,
            sent: now,
            due: now + LATENCY,
            bound,
            fault: None,
        });
        id
    }

    /// A process sends this refresh token. Returns also whether anybody did before.
    fn present(&mut self, n: usize, refresh: usize, access: Option<usize>) -> (Asks, bool) {
        let sight = match self.processes[n].sight.take() {
            Some(sight) => sight,
            None => self.sight(n, refresh),
        };
        if self.scenario.reusable {
            self.judge_shared(n, refresh);
        }
        self.judge_presentation(n, refresh, access);
        self.note(|_| format!("p{n} sends refresh token {refresh}"));
        let incarnation = self.processes[n].incarnation;
        let presented = &mut self.server.refresh[refresh].presented;
        let place = presented.len();
        presented.push(Presented {
            process: n,
            incarnation,
            at: self.now,
            harmless: false,
            over: false,
        });
        (Asks::Refresh(Presentation { refresh, place, sight }), place > 0)
    }

    /// Something happens to the last request of a process, or to its answer.
    pub(super) fn disturb(&mut self, n: usize, fault: NetworkFault) -> bool {
        let now = self.now;
        if let Some(at) = self.requests.iter().rposition(|request| request.process == n) {
            let request = &mut self.requests[at];
            match fault {
                NetworkFault::Serve => self.serve(at),
                NetworkFault::DelayRequest(time) => request.due = (now + time).min(request.bound),
                NetworkFault::DelayAnswer(_)
                | NetworkFault::LoseAnswer
                | NetworkFault::FailAfter => {
                    request.fault = Some(fault);
                }
                NetworkFault::LoseRequest => {
                    self.end(at, false);
                }
                NetworkFault::NotSent => self.fail_request(at, true, RefreshError::not_sent("-")),
                NetworkFault::Rejected(wait) => {
                    let error = RefreshError::rejected("-");
                    let error = match wait {
                        Some(time) => error.with_retry_after(Duration::from_micros(time)),
                        None => error,
                    };
                    self.fail_request(at, true, error);
                }
                NetworkFault::Configuration => {
                    self.fail_request(at, true, RefreshError::configuration("-"));
                }
                NetworkFault::FailBefore => {
                    self.fail_request(at, false, RefreshError::ambiguous("-"));
                }
            }
            return true;
        }
        let Some(at) = self.answers.iter().rposition(|answer| answer.process == n) else {
            return false;
        };
        match fault {
            NetworkFault::DelayAnswer(time) => self.answers[at].due = now + time,
            NetworkFault::LoseAnswer => drop(self.answers.remove(at)),
            _ => return false,
        }
        true
    }

    /// A request is over without having been carried out.
    fn end(&mut self, at: usize, harmless: bool) -> Request {
        let request = self.requests.remove(at);
        if let Asks::Refresh(Presentation { refresh, place, .. }) = request.asks {
            let presented = &mut self.server.refresh[refresh].presented[place];
            presented.over = true;
            presented.harmless = harmless;
        }
        request
    }

    fn fail_request(&mut self, at: usize, harmless: bool, error: RefreshError) {
        let Request { id, process, incarnation, .. } = self.end(at, harmless);
        let due = self.now + LATENCY;
        self.answers.push(Answer { request: id, process, incarnation, due, result: Err(error) });
    }

    /// The server carries a request out, whether its sender waits or not.
    pub(super) fn serve(&mut self, at: usize) {
        let Request { id, process, incarnation, asks, sent, fault, .. } = self.end(at, false);
        let result = match asks {
            Asks::Refresh(presentation) => self.refresh(process, presentation, sent),
            Asks::Login => {
                let access = self.server.log_in(self.now);
                self.note(|_| format!("the server answers login {access}"));
                self.reached.sight("login by itself");
                Ok(self.server.tokens(access, false))
            }
        };
        let (due, result) = match fault {
            Some(NetworkFault::LoseAnswer) => return,
            Some(NetworkFault::DelayAnswer(time)) => (self.now + time, result),
            Some(NetworkFault::FailAfter) => {
                (self.now + LATENCY, Err(RefreshError::ambiguous("-")))
            }
            _ => (self.now + LATENCY, result),
        };
        self.answers.push(Answer { request: id, process, incarnation, due, result });
    }

    fn refresh(
        &mut self,
        process: usize,
        presentation: Presentation,
        sent: Time,
    ) -> Result<TokenSet, RefreshError> {
        let refresh = presentation.refresh;
        match self.server.serve(refresh, sent, self.now) {
            Served::Answer { access, in_grace } => {
                self.note(|world| {
                    let next = world.server.access[access].refresh;
                    format!("the server takes refresh token {refresh} and answers {next}")
                });
                self.reached.served(in_grace, self.scenario.grace.map(|(kind, _)| kind));
                Ok(self.server.tokens(access, true))
            }
            Served::Revoked => Err(RefreshError::invalid_grant()),
            Served::Reuse => {
                self.note(|_| format!("refresh token {refresh} was used already: revoked"));
                self.judge_revocation(process, presentation);
                Err(RefreshError::invalid_grant())
            }
        }
    }

    /// An answer reaches its process, which may be paused; if it is gone or waits no longer, the answer is lost.
    pub(super) fn arrive(&mut self, at: usize) {
        let Answer { request, process: n, incarnation, result, .. } = self.answers.remove(at);
        let process = &mut self.processes[n];
        if process.incarnation != incarnation {
            return;
        }
        if let Some(flight) = &mut process.flight
            && let Doing::Exchange(exchange) = &mut flight.doing
            && exchange.request == request
            && exchange.arrived.is_none()
        {
            exchange.arrived = Some(result);
            self.check_process(n);
        }
    }

    /// Nobody waits for the answer to this request any more.
    pub(super) fn sender_gone(&mut self, id: u64) {
        let bound = self.now + drain();
        if let Some(request) = self.requests.iter_mut().find(|request| request.id == id) {
            request.bound = request.bound.min(bound);
            request.due = request.due.min(request.bound);
        }
        self.answers.retain(|answer| answer.request != id);
    }
}
