//! What the world does to the processes beyond what happens by itself.

use super::clock::Time;

/// One step of a run. A run is a list of these: one that cannot be taken where it stands is skipped, so that any part of a
/// list is a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Time passes, and what falls due meanwhile happens, as it should.
    Advance(Time),
    /// What this task waits for comes at once, before its time and before others'.
    Run(usize, Slot),
    /// A caller asks for a token.
    Ask(usize, Ask),
    ExpireLocally(usize),
    Change(usize, ByHand),
    Store(usize, Slot, StoreFault),
    /// To the last request of this process, or the answer to it.
    Network(usize, NetworkFault),
    Pause(usize, Time),
    Crash(usize, Reborn, Time),
    /// The runtime of the flight goes away, the process does not.
    Abandon(usize),
    /// Something says that the store has changed, and it has not, or that was known.
    WakeForNothing(usize, Slot),
    SetClock(usize, i64),
    /// The authorization server revokes all access tokens.
    RevokeAccess,
    /// It revokes the newest login.
    RevokeLogin,
    /// The store falls back by so many writes, as far as it may.
    Regress(usize),
    /// The store loses everything.
    Empty,
}

/// The tasks of one process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Slot {
    Flight,
    Driver,
    Change,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ask {
    Need,
    /// The protected resource has refused the token.
    Refused,
    Hand,
    Lasting(Time),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ByHand {
    Login,
    Update,
    Logout,
}

/// The seed of a process that is started again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reborn {
    SameSeed,
    NewSeed,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum StoreFault {
    /// It says that nothing was written, and nothing was.
    Refused,
    /// The connection breaks before the operation is carried out.
    BrokenBefore,
    /// The connection breaks when it has been carried out.
    BrokenAfter,
    /// It is carried out later, perhaps when nobody waits any more.
    Late(Time),
    /// Its answer takes long, perhaps until nobody waits any more.
    SlowAnswer(Time),
    /// A write is not as lasting as was asked.
    NotDurable,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NetworkFault {
    Serve,
    DelayRequest(Time),
    LoseRequest,
    DelayAnswer(Time),
    LoseAnswer,
    /// The request never left, and that is known.
    NotSent,
    /// The server says "not now", and for how long.
    Rejected(Option<Time>),
    /// It says that this client is wrong.
    Configuration,
    /// It fails without having done anything; nobody can know that.
    FailBefore,
    /// It fails when it has done everything.
    FailAfter,
}

impl Step {
    /// The name of the fault that this is, if it is one.
    pub(super) fn fault(&self) -> Option<&'static str> {
        Some(match self {
            Self::Advance(_) | Self::Run(..) | Self::Ask(..) | Self::Change(..) => return None,
            Self::Network(_, NetworkFault::Serve) => return None,
            Self::ExpireLocally(_) => return None,
            Self::Store(_, _, fault) => match fault {
                StoreFault::Refused => "store refuses",
                StoreFault::BrokenBefore => "store not reached",
                StoreFault::BrokenAfter => "store's answer lost",
                StoreFault::Late(_) => "store late",
                StoreFault::SlowAnswer(_) => "store's answer delayed",
                StoreFault::NotDurable => "write not durable",
            },
            Self::Network(_, fault) => match fault {
                NetworkFault::Serve => return None,
                NetworkFault::DelayRequest(_) => "request delayed",
                NetworkFault::LoseRequest => "request lost",
                NetworkFault::DelayAnswer(_) => "answer delayed",
                NetworkFault::LoseAnswer => "answer lost",
                NetworkFault::NotSent => "not sent",
                NetworkFault::Rejected(_) => "rejected",
                NetworkFault::Configuration => "client refused",
                NetworkFault::FailBefore => "server fails before",
                NetworkFault::FailAfter => "server fails after",
            },
            Self::Pause(..) => "pause",
            Self::Crash(..) => "crash",
            Self::Abandon(_) => "runtime gone",
            Self::WakeForNothing(..) => "hint duplicated",
            Self::SetClock(..) => "wall clock set",
            Self::RevokeAccess => "access revoked",
            Self::RevokeLogin => "login revoked",
            Self::Regress(_) => "store fell back",
            Self::Empty => "store emptied",
        })
    }
}
