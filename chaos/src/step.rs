//! The steps of a refresh at which a process is killed or stopped.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A moment within a refresh. A process that reaches the one that it is armed for says so, and waits there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Step {
    BeforeLoad,
    AfterLoad,
    BeforeIntent,
    AfterIntent,
    BeforeSend,
    /// The server has read the request and done nothing yet.
    Received,
    /// The server has rotated the token and not answered.
    CarriedOut,
    /// The answer is in memory, and its commit has not begun.
    Answered,
    AfterCommit,
    /// The store is within a compare-and-swap: the temporary file is there.
    WithinSwap,
}

impl Step {
    pub(crate) const ALL: [Self; 10] = [
        Self::BeforeLoad,
        Self::AfterLoad,
        Self::BeforeIntent,
        Self::AfterIntent,
        Self::BeforeSend,
        Self::Received,
        Self::CarriedOut,
        Self::Answered,
        Self::AfterCommit,
        Self::WithinSwap,
    ];

    const fn name(self) -> &'static str {
        match self {
            Self::BeforeLoad => "before-load",
            Self::AfterLoad => "after-load",
            Self::BeforeIntent => "before-intent",
            Self::AfterIntent => "after-intent",
            Self::BeforeSend => "before-send",
            Self::Received => "received",
            Self::CarriedOut => "carried-out",
            Self::Answered => "answered",
            Self::AfterCommit => "after-commit",
            Self::WithinSwap => "within-swap",
        }
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Step {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        Self::ALL.into_iter().find(|step| step.name() == text).ok_or(())
    }
}
