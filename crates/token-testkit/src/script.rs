//! Which fault is due next.

use std::collections::VecDeque;

use sha2::{Digest, Sha256};

use crate::Fault;

/// Faults at random, but the same ones each time for the same seed.
///
/// ```
/// # fn main() -> std::io::Result<()> {
/// use token_testkit::{AuthorizationServer, Fault, RandomFaults};
///
/// let server = AuthorizationServer::start()?;
/// // One of five token requests, in the long run.
/// server.random(Some(RandomFaults::new(42, 0.2, [Fault::status(503), Fault::reset_after()])));
/// # Ok(())
/// # }
/// ```
///
/// The n-th token request after it was set gets the n-th draw: on another machine and in a later
/// version as well. Requests that overlap get theirs in the order of arrival.
#[derive(Clone, Debug)]
pub struct RandomFaults {
    seed: u64,
    rate: f64,
    faults: Vec<Fault>,
    drawn: u64,
}

impl RandomFaults {
    /// Each of these faults with the same probability, for this part of the requests.
    ///
    /// The rate counts from 0 (none) to 1 (every request); what is beyond means the nearer of them,
    /// and no number means 0.
    pub fn new(seed: u64, rate: f64, faults: impl IntoIterator<Item = Fault>) -> Self {
        Self { seed, rate, faults: faults.into_iter().collect(), drawn: 0 }
    }

    /// The seed that repeats the sequence.
    pub fn seed(&self) -> u64 {
        self.seed
    }

    pub(crate) fn draw(&mut self) -> Fault {
        // A hash is the same for ever, which no library of random numbers promises of its own.
        let hash = Sha256::new()
            .chain_update(self.seed.to_be_bytes())
            .chain_update(self.drawn.to_be_bytes())
            .finalize();
        self.drawn += 1;
        let number = |bytes: &[u8]| bytes.iter().fold(0_u64, |n, byte| n << 8 | u64::from(*byte));
        let (whether, which) = hash.split_at(8);
        // 53 bits are what an f64 holds exactly.
        let whether = (number(whether) >> 11) as f64 / (1_u64 << 53) as f64;
        if whether >= self.rate || self.rate.is_nan() {
            return Fault::none();
        }
        let which = number(&which[..8]).checked_rem(self.faults.len() as u64);
        let which = which.and_then(|which| self.faults.get(usize::try_from(which).ok()?));
        which.cloned().unwrap_or_default()
    }
}

/// The faults to come: a queue first, then those drawn from elsewhere, else the one that stays.
#[derive(Default)]
pub(crate) struct Script<F> {
    queue: VecDeque<F>,
    always: Option<F>,
}

impl<F: Clone + Default> Script<F> {
    pub(crate) fn append(&mut self, faults: impl IntoIterator<Item = F>) {
        self.queue.extend(faults);
    }

    pub(crate) fn set_always(&mut self, fault: Option<F>) {
        self.always = fault;
    }

    pub(crate) fn queue(&self) -> impl Iterator<Item = &F> {
        self.queue.iter()
    }

    pub(crate) fn next(&mut self, draw: impl FnOnce() -> Option<F>) -> F {
        let queued = self.queue.pop_front();
        queued.or_else(draw).or_else(|| self.always.clone()).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_script_comes_first_then_what_is_random_then_what_is_always_so() {
        let mut script = Script::default();
        assert_eq!(script.next(|| None), Fault::none());
        script.set_always(Some(Fault::hang()));
        script.append([Fault::none(), Fault::reset_before()]);
        assert_eq!(script.next(|| Some(Fault::html())), Fault::none());
        assert_eq!(script.next(|| None), Fault::reset_before());
        assert_eq!(script.next(|| None), Fault::hang());
        assert_eq!(script.next(|| Some(Fault::html())), Fault::html());
        assert_eq!(script.next(|| Some(Fault::none())), Fault::none(), "in place of always");
        script.set_always(None);
        assert_eq!(script.next(|| None), Fault::none());
    }

    fn draws(seed: u64, rate: f64, n: usize) -> Vec<Fault> {
        let mut random = RandomFaults::new(seed, rate, [Fault::html(), Fault::hang()]);
        (0..n).map(|_| random.draw()).collect()
    }

    #[test]
    fn the_same_seed_draws_the_same_and_another_seed_does_not() {
        assert_eq!(draws(7, 0.5, 100), draws(7, 0.5, 100));
        assert_ne!(draws(7, 0.5, 100), draws(8, 0.5, 100));
        let first: Vec<_> = draws(7, 0.5, 12).iter().map(Fault::to_string).collect();
        let pinned = "none hang none html none none hang html html html none none";
        assert_eq!(first.join(" "), pinned, "a later version must not draw otherwise");
    }

    #[test]
    fn the_rate_is_kept_and_every_fault_gets_its_share() {
        let drawn = draws(42, 0.2, 10_000);
        let count = |fault: &Fault| drawn.iter().filter(|one| *one == fault).count();
        for fault in [Fault::html(), Fault::hang()] {
            assert!((900..1100).contains(&count(&fault)), "{}", count(&fault));
        }
        assert!(draws(1, 1.0, 1000).iter().all(|fault| *fault != Fault::none()));
        for rate in [0.0, -1.0, f64::NAN] {
            assert!(draws(1, rate, 1000).iter().all(|fault| *fault == Fault::none()));
        }
        assert_eq!(RandomFaults::new(1, 1.0, []).draw(), Fault::none());
    }
}
