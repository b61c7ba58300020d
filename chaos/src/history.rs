//! What happened, as one list: what each process told through its pipe, and what was done to it.

use serde::{Deserialize, Serialize};

use crate::mark::Mark;
use crate::record::{Record, Version};
use crate::server_fault::ServerFault;
use crate::step::Step;
use crate::stores::place_of;
use crate::time::At;

/// One thing that happened. The process is not in its line: the pipe tells.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Entry {
    pub(crate) at: At,
    /// The process, each with a number of its own also after a restart; 0 is the parent of all.
    #[serde(skip)]
    pub(crate) process: u32,
    /// Which grant, if it is about one.
    pub(crate) grant: Option<u32>,
    pub(crate) what: What,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum What {
    // What was done to a process. The entry's time is that of the order.
    Started,
    /// `gone` is when the system had taken the process away.
    Killed {
        gone: At,
    },
    Stopped,
    Continued,
    /// A person logged in at the server: a new family, whose first refresh token is this.
    SignedIn {
        family: u64,
        refresh: Mark,
        /// The store had this version, and has it no more, since then and for long enough for anybody to bring it back.
        forgotten: Option<(Version, At)>,
    },
    /// Something was done to the servers of a place, from `began` on, and is over.
    Injected(Injected),

    // What a process tells.
    Ready,
    /// The machine gave it no time since then.
    Starved {
        since: At,
    },
    /// It has reached the step that it was armed for, and waits.
    Reached(Step),
    /// A load is over, which began at `began`.
    Loaded {
        began: At,
        found: Found,
    },
    /// A compare-and-swap begins. `expect`: the write that it replaces; `None`: no record.
    Swap {
        expect: Option<Mark>,
        stamp: Mark,
        digest: Mark,
        record: Record,
    },
    Swapped {
        stamp: Mark,
        end: SwapEnd,
    },
    /// An exchange begins: number `n` of this process and grant.
    Exchange {
        n: u64,
        presented: Mark,
    },
    /// Its request is handed to the HTTP client.
    Sending {
        n: u64,
    },
    Exchanged {
        n: u64,
        end: ExchangeEnd,
    },
    /// A caller's request for a token is over, which began at `began`.
    Call {
        began: At,
        end: CallEnd,
    },
    /// A caller has waited since `began`, and still does.
    Waiting {
        began: At,
    },
    /// The API refused this version's access token.
    Refused {
        version: Version,
    },
    /// A login, with this refresh token, is handed to the manager.
    Login {
        refresh: Mark,
    },
    LoggedIn {
        stored: bool,
    },
    Event(Heard),
}

/// What was done to the servers of a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Injected {
    pub(crate) place: u32,
    pub(crate) fault: ServerFault,
    pub(crate) began: At,
    /// When the place could not be used, if it could not.
    pub(crate) out: Option<Out>,
    /// From when on what was acknowledged, until all was over, may be lost.
    pub(crate) lost_since: Option<At>,
}

/// A time in which a place could not be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Out {
    /// By this host only.
    pub(crate) host: Option<u32>,
    pub(crate) from: At,
    pub(crate) until: At,
}

impl Injected {
    /// Whether the place has this grant, of so many places.
    pub(crate) fn is_of(&self, grant: u32, places: u32) -> bool {
        self.place == place_of(grant, places)
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Found {
    Nothing,
    Record {
        stamp: Mark,
        digest: Mark,
    },
    /// The bytes are no record.
    Torn {
        stamp: Mark,
        why: String,
    },
    Failed {
        kind: String,
    },
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum SwapEnd {
    Won,
    Lost { current: Option<Mark> },
    Failed { kind: String },
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum ExchangeEnd {
    Tokens {
        refresh: Option<Mark>,
    },
    NotSent,
    Rejected,
    InvalidGrant,
    Configuration,
    Ambiguous,
    /// Nobody waits for it any more: the deadline has passed.
    Dropped,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum CallEnd {
    Token { version: Version },
    Error { kind: String },
}

/// An event of a manager.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Heard {
    Refreshed { version: Version },
    Adopted { version: Version },
    Failed { kind: String },
    TakenOver,
    NeedsLogin,
    Other { name: String },
}
