//! Who gets a token at once, who waits for which flight, and who begins one.

use std::sync::Arc;

use tokio::runtime::Handle;

use crate::error::{Error, ErrorKind};
use crate::event::Event;
use crate::flight::Flight;
use crate::guard::Guard;
use crate::protocol::{Demand, Failure};
use crate::token::Token;

use super::inner::Inner;

/// Why a token is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cause {
    /// A request needs one, or the driver wants the next.
    Need,
    /// The protected resource refused the current one.
    Refusal,
    /// Somebody asked for a refresh.
    Hand,
}

/// What a caller gets who asks for a token.
pub(super) enum Boarding {
    Ready(Token),
    Flight(Arc<Flight>),
}

impl Inner {
    pub(super) async fn obtain(
        self: &Arc<Self>,
        demand: Demand,
        cause: Cause,
    ) -> Result<Token, Error> {
        self.start_driver();
        // More than once: the flight under way may have begun for less than what is asked for here, or have landed long ago.
        for _ in 0..3 {
            let flight = match self.board(demand, cause)? {
                Boarding::Ready(token) => return Ok(token),
                Boarding::Flight(flight) => flight,
            };
            let token = match flight.landed().await {
                Err(_) if flight.repairs => {
                    flight.ended().await;
                    continue;
                }
                landed => landed?,
            };
            if demand.at_hand || self.state().replica.satisfies(&demand, self.clock.now()) {
                return Ok(token);
            }
        }
        if self.state().replica.has_unsaved_answer() {
            return Err(self.not_stored());
        }
        Err(Error::new(
            &self.key,
            ErrorKind::Unavailable,
            "the tokens that the authorization server issues end before they can be used; check their lifetime",
        ))
    }

    /// The token, if it is there; else the flight to wait for, begun if need be.
    pub(super) fn board(self: &Arc<Self>, demand: Demand, cause: Cause) -> Result<Boarding, Error> {
        let boarded = self.board_or_begin(demand, cause);
        if let Err(error) = &boarded
            && error.kind() == ErrorKind::Throttled
            && std::mem::take(&mut self.state().throttling_unreported)
        {
            self.events.send(Event::Throttled { error: error.clone() });
        }
        let (boarding, begun) = boarded?;
        if let (Boarding::Flight(flight), Some(runtime)) = (&boarding, begun) {
            // Outside the lock: a runtime that is shutting down drops the task at once, which lands the flight.
            runtime.spawn(self.clone().fly(Arc::clone(flight), demand));
        }
        Ok(boarding)
    }

    /// As [`board`](Self::board); a flight that was begun here comes with the runtime to fly it on.
    fn board_or_begin(
        &self,
        demand: Demand,
        cause: Cause,
    ) -> Result<(Boarding, Option<Handle>), Error> {
        let now = self.clock.now();
        let mut state = self.state();
        let state = &mut *state;
        if state.replica.satisfies(&demand, now) {
            return match (self.published.token(), &state.unusable) {
                (Some(token), _) => Ok((Boarding::Ready(token), None)),
                (None, Some(error)) => Err(error.clone()),
                (None, None) => Err(self.interrupted()),
            };
        }
        if let Some(flight) = &state.flight
            && Guard::SingleFlight.on()
        {
            return Ok((Boarding::Flight(Arc::clone(flight)), None));
        }
        if state.shut_down {
            return Err(self.shut_down());
        }
        if let Some((failure, wait)) =
            state.backoff.blocked(now.monotonic(), cause == Cause::Refusal)
            && !demand.repair
            && !(cause == Cause::Hand && failure.yields_to_hand())
            && !(self.settings.one_shot && matches!(failure, Failure::NeedsLogin { .. }))
        {
            return Err(self.error(failure).with_retry_after(wait));
        }
        let Ok(runtime) = Handle::try_current() else {
            return Err(self.no_runtime());
        };
        if cause == Cause::Refusal
            && let Err(wait) = state.refusals.take(now.monotonic())
        {
            let error = Error::new(
                &self.key,
                ErrorKind::Throttled,
                "the protected resource refuses one token after the other; check audience and scope, and who revokes them",
            );
            let error = error.with_retry_after(Some(wait));
            state.throttling_unreported |= !std::mem::replace(&mut state.throttled, true);
            state.last_error = Some(error.clone());
            return Err(error);
        }
        state.drawn = cause == Cause::Refusal;
        state.throttled &= !state.drawn;
        let flight = Arc::new(Flight::new(demand.repair));
        state.flight = Some(Arc::clone(&flight));
        Ok((Boarding::Flight(flight), Some(runtime)))
    }
}
