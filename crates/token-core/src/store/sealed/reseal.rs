//! Sealing anew what no refresh seals anew.

use std::time::Duration;

use super::envelope::Envelope;
use super::{SealedStore, SealingKey, SealingKeys, failure, seal};
use crate::key::StoreKey;
use crate::record::{Record, RecordError, State};
use crate::store::{
    Durability, Expect, Provenance, Stamp, StoreError, StoreErrorKind, Swap, TokenStore, Versioned,
};

/// How often the mark of a store that fell back is written, before it is left.
const TRIES: usize = 8;

const PAUSE: Duration = Duration::from_millis(250);

/// What became of one record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Reseal {
    /// There is no record.
    Absent,
    /// It was sealed with the primary key already.
    Current,
    /// It is now.
    Resealed,
    /// A refresh of it is under way, or was given up half way, or somebody else wrote it just now, or only a newer program knows what it is. Nothing was
    /// done. The next refresh seals it anew, or the next try.
    LeftAlone,
}

/// What became of all records.
#[derive(Clone, Debug, Default)]
pub struct Resealed {
    resealed: usize,
    current: usize,
    left_alone: Vec<StoreKey>,
    failed: Vec<(StoreKey, StoreError)>,
}

impl Resealed {
    /// How many records were sealed anew.
    pub const fn resealed(&self) -> usize {
        self.resealed
    }

    /// How many were sealed with the primary key already.
    pub const fn current(&self) -> usize {
        self.current
    }

    /// The grants that were [left alone](Reseal::LeftAlone).
    pub fn left_alone(&self) -> &[StoreKey] {
        &self.left_alone
    }

    /// The grants whose records could not be opened or written, and why.
    pub fn failed(&self) -> &[(StoreKey, StoreError)] {
        &self.failed
    }

    /// Whether every record that was listed is sealed with the primary key. Other keys can go then, if no process has
    /// another primary. Keep them as readers for as long as the store may still fall back, or be put back, to an earlier time: no
    /// record of then could be opened without them, or repaired.
    pub fn is_complete(&self) -> bool {
        self.left_alone.is_empty() && self.failed.is_empty()
    }
}

impl<S: TokenStore, K: SealingKeys> SealedStore<S, K> {
    /// Seals every record with the primary key that is not, one after the other.
    ///
    /// Managers may work meanwhile. To them it is a write that changes nothing; who was waiting for something that a record
    /// tells, such as an outcome that is not known, may wait some seconds longer for it.
    ///
    /// # Errors
    ///
    /// The records cannot be listed, for one that the store cannot name is enough: [`reseal`](Self::reseal) them one by one
    /// then. What becomes of each is in the report.
    ///
    /// # Cancel safety
    ///
    /// What was sealed so far stays so.
    pub async fn reseal_all(&self) -> Result<Resealed, StoreError> {
        let mut report = Resealed::default();
        let mut after = None;
        loop {
            let page = self.store.list(after).await?;
            for grant in page.keys() {
                match self.reseal(grant).await {
                    Ok(Reseal::Absent) => {}
                    Ok(Reseal::Current) => report.current += 1,
                    Ok(Reseal::Resealed) => report.resealed += 1,
                    Ok(Reseal::LeftAlone) => report.left_alone.push(grant.clone()),
                    Err(error) => report.failed.push((grant.clone(), error)),
                }
            }
            after = page.next().cloned();
            if after.is_none() {
                return Ok(report);
            }
        }
    }

    /// Seals the record of this grant with the primary key, if it is not.
    ///
    /// # Errors
    ///
    /// It cannot be opened or written, or the store has it and does not say that it lasts.
    ///
    /// # Cancel safety
    ///
    /// It leaves the old or the new record, and they say the same. Let it end over a store that may fall back: if that
    /// happens just then, a second write says that others may know a newer record.
    pub async fn reseal(&self, grant: &StoreKey) -> Result<Reseal, StoreError> {
        let Some((found, provenance)) = self.store.load(grant).await? else {
            return Ok(Reseal::Absent);
        };
        let opened = self.open(grant, &found).await?;
        let primary = self.primary(grant).await?;
        let envelope = Envelope::decode(found.bytes());
        if envelope.as_ref().is_ok_and(|envelope| envelope.is_sealed_with(&primary)) {
            return Ok(Reseal::Current);
        }
        let record = match Record::decode(opened.bytes(), grant) {
            Ok(record) => Some(record),
            // What its state is, a newer program knows.
            Err(RecordError::Newer { .. }) => return Ok(Reseal::LeftAlone),
            // Another `SealedStore` above this one has bound it to its stamp.
            Err(RecordError::Sealed) => return Ok(Reseal::LeftAlone),
            // It was sealed as it is, or else it is not to be sealed: that would vouch for it.
            Err(_) if envelope.is_ok() => None,
            Err(error) => return Err(StoreError::new(error.kind(), error.to_string())),
        };
        let bytes = match &record {
            // Others ask for the holder of the attempt by this stamp.
            Some(Record { state: State::InFlight { .. }, .. }) => return Ok(Reseal::LeftAlone),
            // The store fell back, and the new record would not show it.
            Some(record) if provenance.is_broken() => record.settling(true).encode(grant),
            None if provenance.is_broken() => return Ok(Reseal::LeftAlone),
            _ => opened.bytes().clone(),
        };
        let new = Versioned::new(Stamp::random(), bytes);
        let expect = Expect::Is(found.stamp());
        let written = match self.write(&primary, grant, expect, &new).await {
            Ok(Some(written)) => written,
            Ok(None) => return Ok(Reseal::LeftAlone),
            Err(error) => {
                // It may be in, and nobody knows what it has replaced.
                let unknown = error.kind() == StoreErrorKind::Indeterminate;
                if unknown
                    && self.store.capabilities().may_regress
                    && let Some(record) = record
                {
                    self.mark_fallen_back(&primary, grant, new.stamp(), &record).await?;
                }
                return Err(error);
            }
        };
        let fell_back = written.replaced.is_broken() && !provenance.is_broken();
        if let Some(record) = record.filter(|_| fell_back) {
            self.mark_fallen_back(&primary, grant, new.stamp(), &record).await?;
        }
        if written.durable { Ok(Reseal::Resealed) } else { Err(failure::not_lasting(grant)) }
    }

    /// The store fell back between the load and the write: it may have lost a newer record, and the one that was written
    /// looks as if it had not. Nobody is to present what is in it before those who know more have said so.
    async fn mark_fallen_back(
        &self,
        primary: &SealingKey,
        grant: &StoreKey,
        written: Stamp,
        record: &Record,
    ) -> Result<(), StoreError> {
        let marked = record.settling(true).encode(grant);
        let new = Versioned::new(Stamp::random(), marked);
        let mut tries = 1;
        loop {
            // If it is lost somebody has gone on, or this write is in and its answer was lost.
            match self.write(primary, grant, Expect::Is(written), &new).await {
                Err(_) if tries < TRIES => {
                    tries += 1;
                    tokio::time::sleep(PAUSE).await;
                }
                result => return result.map(|_| ()),
            }
        }
    }

    /// `None` if another record was there.
    async fn write(
        &self,
        primary: &SealingKey,
        grant: &StoreKey,
        expect: Expect,
        new: &Versioned,
    ) -> Result<Option<Written>, StoreError> {
        let sealed = seal(primary, grant, new)?;
        match self.store.compare_and_swap(grant, expect, &sealed, Durability::Durable).await? {
            Swap::Lost(_) => Ok(None),
            Swap::Won { durable, replaced } => Ok(Some(Written { durable, replaced })),
        }
    }
}

/// A swap that was won.
struct Written {
    durable: bool,
    /// Where the record that it replaced came from.
    replaced: Provenance,
}
