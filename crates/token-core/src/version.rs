use std::fmt;

/// Which of a grant's tokens: a login starts a new epoch, each refresh is one more generation.
///
/// Versions are ordered, and a record's version never goes down. A request that is refused is judged by the version of
/// the token that it carried, not by the time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version {
    epoch: u64,
    generation: u64,
}

impl Version {
    pub(crate) const FIRST: Self = Self { epoch: 1, generation: 0 };

    pub(crate) const fn new(epoch: u64, generation: u64) -> Self {
        Self { epoch, generation }
    }

    /// The number of logins, seeds, updates by hand and logouts that this grant has seen. Where a login cannot know that,
    /// because the store may have lost the record, it goes on from the Unix time in seconds.
    pub const fn epoch(self) -> u64 {
        self.epoch
    }

    /// The number of refreshes since the epoch began.
    pub const fn generation(self) -> u64 {
        self.generation
    }

    pub(crate) const fn next_generation(self) -> Self {
        Self { epoch: self.epoch, generation: self.generation.saturating_add(1) }
    }

    pub(crate) const fn next_epoch(self) -> Self {
        Self { epoch: self.epoch.saturating_add(1), generation: 0 }
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.epoch, self.generation)
    }
}
