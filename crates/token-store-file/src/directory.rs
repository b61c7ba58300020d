//! The store's operations as they are done on a thread that may block: one file for each record.

use std::collections::HashSet;
use std::fs::File;
use std::io::{self, Read, Write};

use token_core::store::{
    Cursor, Durability, Expect, Liveness, Page, Provenance, Stamp, StoreError, StoreErrorKind,
    StoreKey, Swap, Versioned,
};
use zeroize::Zeroizing;

use crate::alive::{self, Alive};
use crate::envelope::{self, Envelope};
use crate::failure::{self, Effect};
use crate::file_name::FileName;
use crate::lock::{Lock, labelled};
use crate::platform::{Directory, Trouble};

/// Nothing that we write comes near it; a file that is longer is not ours.
const LONGEST_FILE: u64 = 4 << 20;

const PAGE: usize = 256;

/// The records of one directory.
#[derive(Debug)]
pub(crate) struct Records {
    directory: Directory,
    /// None on a network file system, where a lock that can be taken proves nothing.
    alive: Option<Alive>,
    #[cfg(test)]
    pub(crate) faults: crate::tests::Faults,
}

/// The steps of a write that the disk can refuse.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    Create,
    Write,
    Flush,
    Replace,
    FlushDirectory,
}

impl Records {
    pub(crate) fn new(directory: Directory) -> Result<Self, Trouble> {
        let alive = if directory.on_network() { None } else { Some(Alive::new(&directory)?) };
        let records = Self {
            directory,
            alive,
            #[cfg(test)]
            faults: crate::tests::Faults::default(),
        };
        if records.alive.is_some() {
            alive::tidy(&records.directory, || records.writers());
        }
        Ok(records)
    }

    pub(crate) const fn on_network(&self) -> bool {
        self.directory.on_network()
    }

    pub(crate) fn load(&self, key: &StoreKey) -> Result<Option<Versioned>, StoreError> {
        Ok(self.read(key)?.map(|envelope| envelope.record))
    }

    pub(crate) fn swap(
        &self,
        key: &StoreKey,
        expect: Expect,
        new: &Versioned,
        durability: Durability,
    ) -> Result<Swap, StoreError> {
        let lock = Lock::take(&self.directory, key)
            .map_err(|error| failure::not_locked(self.directory.path(), key, error))?;
        let current = self.load(key)?;
        let met = match expect {
            Expect::Absent => current.is_none(),
            Expect::Is(stamp) => current.as_ref().is_some_and(|record| record.stamp() == stamp),
        };
        if !met {
            return Ok(Swap::Lost(current));
        }
        let failed = |effect| {
            move |error: io::Error| failure::write(self.directory.path(), key, effect, error.into())
        };
        let name = FileName::of(key);
        if let Err(error) = self.write_next(&name, key, new) {
            let _ = self.directory.remove(&name.next());
            return Err(failed(Effect::None)(error));
        }
        if let Err(error) = self.replace(&name) {
            // Of everything but a failing disk a rename that fails has done nothing.
            let effect = if is_disk_failure(&error) { Effect::Perhaps } else { Effect::None };
            let _ = self.directory.remove(&name.next());
            return Err(failed(effect)(error));
        }
        let durable = durability == Durability::Durable;
        if durable {
            self.trip(Step::FlushDirectory)
                .and_then(|()| self.directory.sync())
                .map_err(failed(Effect::Perhaps))?;
        }
        drop(lock);
        Ok(Swap::Won { durable, replaced: Provenance::default() })
    }

    pub(crate) fn holder(&self, key: &StoreKey, attempt: Stamp) -> Liveness {
        let Some(me) = &self.alive else { return Liveness::Unknown };
        match self.read(key) {
            Ok(Some(Envelope { writer: Some(writer), record, .. }))
                if record.stamp() == attempt =>
            {
                if writer == me.name() {
                    Liveness::Alive
                } else {
                    alive::liveness(&self.directory, &writer)
                }
            }
            _ => Liveness::Unknown,
        }
    }

    /// The names are sorted, and a cursor is the last name of its page: writes in between move no other name.
    pub(crate) fn list(&self, after: Option<&Cursor>) -> Result<Page, StoreError> {
        let mut names = self.record_names().map_err(|trouble| {
            failure::directory(self.directory.path(), StoreErrorKind::Refused, trouble)
        })?;
        names.sort_unstable();
        names.retain(|name| after.is_none_or(|cursor| name.as_str() > cursor.as_str()));
        let more = names.len() > PAGE;
        names.truncate(PAGE);
        let next = names.last().filter(|_| more).map(Cursor::new);
        let mut keys = Vec::with_capacity(names.len());
        for name in &names {
            keys.extend(self.key_of(name)?);
        }
        Ok(Page::new(keys, next))
    }

    fn read(&self, key: &StoreKey) -> Result<Option<Envelope>, StoreError> {
        let path = self.directory.path();
        let name = FileName::of(key).record();
        let unusable = |trouble| failure::read(path, key, trouble);
        // A directory that was moved away holds old records, or none: neither is an answer.
        self.directory.check().map_err(unusable)?;
        let Some(file) = self.directory.open_existing(&name).map_err(unusable)? else {
            // It may have been moved in between.
            self.directory.check().map_err(unusable)?;
            return Ok(None);
        };
        let bytes = read_all(&file).map_err(|error| unusable(error.into()))?;
        let Some(bytes) = bytes else {
            return Err(failure::too_long(&path.join(name), key, LONGEST_FILE));
        };
        match envelope::decode(bytes) {
            Ok(envelope) if envelope.key == key.as_str() => Ok(Some(envelope)),
            Ok(envelope) => Err(failure::other_key(&path.join(name), key, &envelope.key)),
            Err(why) => Err(failure::unreadable(&path.join(name), key, &why)),
        }
    }

    fn write_next(&self, name: &FileName, key: &StoreKey, new: &Versioned) -> io::Result<()> {
        // Whoever was writing it before is dead: we have the lock.
        self.directory.remove(&name.next())?;
        self.trip(Step::Create)?;
        let mut file =
            self.directory.create_new(&name.next()).map_err(|trouble| match trouble {
                Trouble::Io(error) => error,
                other => io::Error::other(format!("{other:?}")),
            })?;
        self.trip(Step::Write)?;
        file.write_all(&envelope::encode(key, self.alive.as_ref().map(Alive::name), new))?;
        self.trip(Step::Flush)?;
        // Before the rename, or after a loss of power the name could lead to an empty file.
        file.sync_all()
    }

    fn replace(&self, name: &FileName) -> io::Result<()> {
        self.trip(Step::Replace)?;
        self.directory.replace(&name.next(), &name.record())
    }

    fn record_names(&self) -> Result<Vec<String>, Trouble> {
        self.directory.check()?;
        let mut names = self.directory.names()?;
        names.retain(|name| FileName::from_record(name).is_some());
        Ok(names)
    }

    /// The key of a record's file; of one that is damaged its lock still tells.
    fn key_of(&self, name: &str) -> Result<Option<StoreKey>, StoreError> {
        let named = |key: &StoreKey| FileName::of(key).record() == name;
        let key = match self.envelope_of(name) {
            Ok(None) => return Ok(None),
            Ok(Some(envelope)) => envelope.key.parse().ok().filter(named),
            Err(()) => None,
        };
        let labelled =
            || FileName::from_record(name).and_then(|name| labelled(&self.directory, &name));
        match key.or_else(labelled).filter(named) {
            Some(key) => Ok(Some(key)),
            None => Err(failure::nameless(&self.directory.path().join(name))),
        }
    }

    fn envelope_of(&self, name: &str) -> Result<Option<Envelope>, ()> {
        let Some(file) = self.directory.open_existing(name).map_err(|_| ())? else {
            return Ok(None);
        };
        let bytes = read_all(&file).map_err(|_| ())?.ok_or(())?;
        envelope::decode(bytes).map(Some).map_err(|_| ())
    }

    /// Who wrote the records; `None` if that is not known of each.
    fn writers(&self) -> Option<HashSet<String>> {
        let mut writers = HashSet::new();
        for name in self.record_names().ok()? {
            writers.extend(self.envelope_of(&name).ok()?.and_then(|envelope| envelope.writer));
        }
        Some(writers)
    }

    #[cfg(test)]
    fn trip(&self, step: Step) -> io::Result<()> {
        self.faults.trip(step)
    }

    #[cfg(not(test))]
    #[expect(
        clippy::unused_self,
        clippy::unnecessary_wraps,
        reason = "the tests make a step fail here"
    )]
    const fn trip(&self, _: Step) -> io::Result<()> {
        Ok(())
    }
}

/// The file's bytes, or `None` if there are too many.
fn read_all(file: &File) -> io::Result<Option<Zeroizing<Vec<u8>>>> {
    let length = file.metadata()?.len();
    if length > LONGEST_FILE {
        return Ok(None);
    }
    // Room for all of it, and a byte to see the end: a buffer that grows leaves copies behind that nobody wipes.
    let mut bytes = Zeroizing::new(Vec::with_capacity(usize::try_from(length).unwrap_or(0) + 1));
    file.take(LONGEST_FILE).read_to_end(&mut bytes)?;
    Ok(Some(bytes))
}

/// `EIO`, and what has no name of its own.
fn is_disk_failure(error: &io::Error) -> bool {
    !matches!(
        error.kind(),
        io::ErrorKind::NotFound
            | io::ErrorKind::PermissionDenied
            | io::ErrorKind::ReadOnlyFilesystem
            | io::ErrorKind::StorageFull
            | io::ErrorKind::QuotaExceeded
    )
}
