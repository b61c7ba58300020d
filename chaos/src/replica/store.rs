//! A thin layer over the store that tells each operation and waits at its steps.

use std::sync::Arc;
use std::time::Duration;

use token_core::store::{
    Capabilities, Cursor, Durability, Expect, Liveness, Page, Provenance, Stamp, StoreError,
    StoreKey, Swap, TokenStore, Versioned,
};

use crate::history::{Found, SwapEnd, What};
use crate::record::{Record, State, digest};
use crate::step::Step;
use crate::time::At;

use super::grant::Grant;

#[derive(Clone)]
pub(super) struct Recorded<S> {
    store: S,
    grant: Arc<Grant>,
}

impl<S> Recorded<S> {
    pub(super) fn new(store: S, grant: Arc<Grant>) -> Self {
        Self { store, grant }
    }

    /// The store itself, for what is no part of the history.
    pub(super) fn silent(&self) -> &S {
        &self.store
    }
}

impl<S: TokenStore> TokenStore for Recorded<S> {
    fn capabilities(&self) -> Capabilities {
        self.store.capabilities()
    }

    async fn load(&self, key: &StoreKey) -> Result<Option<(Versioned, Provenance)>, StoreError> {
        self.grant.reach(Step::BeforeLoad).await;
        let began = At::now();
        let loaded = self.store.load(key).await;
        let found = match &loaded {
            Ok(None) => Found::Nothing,
            Ok(Some((versioned, _))) => found(versioned),
            Err(error) => Found::Failed { kind: format!("{:?}", error.kind()) },
        };
        self.grant.tell(What::Loaded { began, found });
        self.grant.reach(Step::AfterLoad).await;
        loaded
    }

    async fn compare_and_swap(
        &self,
        key: &StoreKey,
        expect: Expect,
        new: &Versioned,
        durability: Durability,
    ) -> Result<Swap, StoreError> {
        let Ok(record) = Record::read(new.bytes()) else {
            // Not one of ours; the checker would not understand it.
            return self.store.compare_and_swap(key, expect, new, durability).await;
        };
        let intent = record.state == State::InFlight;
        let commit = record.state == State::Idle && self.grant.is_commit(record.refresh);
        if intent {
            self.grant.reach(Step::BeforeIntent).await;
        }
        if commit {
            self.grant.reach(Step::Answered).await;
        }
        self.grant.reach(Step::WithinSwap).await;
        let stamp = new.stamp().into();
        let expected = match expect {
            Expect::Absent => None,
            Expect::Is(stamp) => Some(stamp.into()),
        };
        let digest = digest(new.bytes());
        self.grant.tell(What::Swap { expect: expected, stamp, digest, record });
        let swapped = self.store.compare_and_swap(key, expect, new, durability).await;
        let end = match &swapped {
            Ok(Swap::Won { .. }) => SwapEnd::Won,
            Ok(Swap::Lost(current)) => {
                SwapEnd::Lost { current: current.as_ref().map(|current| current.stamp().into()) }
            }
            Err(error) => SwapEnd::Failed { kind: format!("{:?}", error.kind()) },
        };
        let won = end == SwapEnd::Won;
        self.grant.tell(What::Swapped { stamp, end });
        if won && intent {
            self.grant.reach(Step::AfterIntent).await;
        }
        if won && commit {
            self.grant.reach(Step::AfterCommit).await;
        }
        swapped
    }

    async fn changed(
        &self,
        key: &StoreKey,
        since: Option<Stamp>,
        timeout: Duration,
    ) -> Result<(), StoreError> {
        self.store.changed(key, since, timeout).await
    }

    /// Nothing damages a record here; the load that found one so is in the history, and is a violation.
    async fn set_aside(
        &self,
        key: &StoreKey,
        unreadable: Option<Stamp>,
        new: &Versioned,
    ) -> Result<Option<String>, StoreError> {
        self.store.set_aside(key, unreadable, new).await
    }

    async fn holder(&self, key: &StoreKey, attempt: Stamp) -> Liveness {
        self.store.holder(key, attempt).await
    }

    async fn list(&self, after: Option<Cursor>) -> Result<Page, StoreError> {
        self.store.list(after).await
    }
}

fn found(versioned: &Versioned) -> Found {
    let stamp = versioned.stamp().into();
    match Record::read(versioned.bytes()) {
        Ok(_) => Found::Record { stamp, digest: digest(versioned.bytes()) },
        Err(why) => Found::Torn { stamp, why },
    }
}
