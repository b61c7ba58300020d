//! What goes wrong between the processes and the server.

use std::time::Duration;

use token_testkit::{AuthorizationServer, Fault, RandomFaults};

use crate::time::At;

/// Which part of the token requests meets a fault.
const RATE: f64 = 0.06;

/// No delay comes near [`SERVER_DRAIN`](crate::time::SERVER_DRAIN): the server would break its promise.
fn faults() -> Vec<Fault> {
    let (short, long) = (Duration::from_millis(100), Duration::from_millis(1500));
    vec![
        Fault::reset_before(),
        Fault::reset_after(),
        Fault::delay_before(short),
        Fault::delay_after(short),
        // Longer than the exchange's deadline: the answer comes to nobody.
        Fault::delay_after(long),
        Fault::delay_after(long.mul_f64(0.8)),
        Fault::hang(),
        Fault::status(500),
        Fault::status(502).carried_out(),
        Fault::status(503).retry_after(1),
        Fault::status(429),
        Fault::truncated().carried_out(),
    ]
}

/// Faults at random, and now and then a server that refuses connections, or that revokes all access tokens.
pub(super) struct Network {
    dice: fastrand::Rng,
    next: At,
    closed: bool,
}

impl Network {
    pub(super) fn new(server: &AuthorizationServer, seed: u64) -> Self {
        server.random(Some(RandomFaults::new(seed, RATE, faults())));
        Self { dice: fastrand::Rng::with_seed(seed), next: At::now(), closed: false }
    }

    pub(super) fn tick(&mut self, server: &AuthorizationServer, now: At) {
        if now < self.next {
            return;
        }
        let pause = if self.closed {
            self.open(server);
            self.dice.u64(3_000..12_000)
        } else if self.dice.bool() {
            server.revoke_access_tokens();
            self.dice.u64(3_000..12_000)
        } else {
            // If the port is gone, so is the run: `open` fails for ever, and no grant recovers.
            self.closed = server.refuse_connections().is_ok();
            self.dice.u64(50..400)
        };
        self.next = now.after(Duration::from_millis(pause));
    }

    /// Ends all of it.
    pub(super) fn calm(&mut self, server: &AuthorizationServer) {
        server.random(None);
        self.open(server);
        self.next = At(u64::MAX);
    }

    fn open(&mut self, server: &AuthorizationServer) {
        self.closed &= server.accept_connections().is_err();
    }
}
