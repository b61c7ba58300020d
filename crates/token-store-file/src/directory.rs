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
use crate::envelope::{self, Envelope, Unreadable};
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

/// Why there is no record to be had.
#[derive(Debug)]
enum NotRead {
    /// What is there is of no use to any version of us.
    Damaged(StoreError),
    /// It is newer, or somebody could have meddled with it, or it cannot be reached.
    Other(StoreError),
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
        let _lock = self.lock(key)?;
        let current = self.load(key)?;
        let met = match expect {
            Expect::Absent => current.is_none(),
            Expect::Is(stamp) => current.as_ref().is_some_and(|record| record.stamp() == stamp),
        };
        if !met {
            return Ok(Swap::Lost(current));
        }
        let durable = durability == Durability::Durable;
        self.put(key, new, durable)?;
        Ok(Swap::Won { durable, replaced: Provenance::default() })
    }

    /// As a swap of what is there and cannot be read; a copy of it stays under the name that is returned.
    pub(crate) fn set_aside(
        &self,
        key: &StoreKey,
        unreadable: Option<Stamp>,
        new: &Versioned,
    ) -> Result<Option<String>, StoreError> {
        let _lock = self.lock(key)?;
        match (self.read(key), unreadable) {
            (Err(NotRead::Damaged(_)), None) => {}
            (Ok(Some(found)), Some(stamp)) if found.record.stamp() == stamp => {}
            (Err(error), _) => return Err(error.into()),
            (Ok(_), _) => return Ok(None),
        }
        let copy = self
            .copy_aside(&FileName::of(key))
            .map_err(|trouble| failure::write(self.directory.path(), key, Effect::None, trouble))?;
        if let Err(error) = self.put(key, new, true) {
            if error.kind() == StoreErrorKind::Refused {
                // The record is as it was; each try would leave one more.
                let _ = self.directory.remove(&copy);
            }
            return Err(error);
        }
        Ok(Some(self.directory.path().join(copy).display().to_string()))
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

    fn lock(&self, key: &StoreKey) -> Result<Lock, StoreError> {
        Lock::take(&self.directory, key)
            .map_err(|error| failure::not_locked(self.directory.path(), key, error))
    }

    /// Puts a record in its place. The caller has the lock.
    fn put(&self, key: &StoreKey, new: &Versioned, durable: bool) -> Result<(), StoreError> {
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
        if durable {
            self.trip(Step::FlushDirectory)
                .and_then(|()| self.directory.sync())
                .map_err(failed(Effect::Perhaps))?;
        }
        Ok(())
    }

    /// Copies a record's file, whatever is in it. A second name for it would be refused by those who read it meanwhile, and
    /// another name would leave nothing in its place.
    fn copy_aside(&self, name: &FileName) -> Result<String, Trouble> {
        let Some(mut record) = self.directory.open_existing(&name.record())? else {
            return Err(Trouble::Moved);
        };
        let (copy, mut file) = self.create_aside(name)?;
        let copied = io::copy(&mut record, &mut file)
            .and_then(|_| file.sync_all())
            // Its name lasts before the record's leads to something else.
            .and_then(|()| self.directory.sync());
        if let Err(error) = copied {
            let _ = self.directory.remove(&copy);
            return Err(error.into());
        }
        Ok(copy)
    }

    /// Under the first name that is free: what was set aside before stays.
    fn create_aside(&self, name: &FileName) -> Result<(String, File), Trouble> {
        let mut n = 1;
        loop {
            let copy = name.unreadable(n);
            match self.directory.create_new(&copy) {
                Err(Trouble::Io(error)) if error.kind() == io::ErrorKind::AlreadyExists => n += 1,
                created => return created.map(|file| (copy, file)),
            }
        }
    }

    fn read(&self, key: &StoreKey) -> Result<Option<Envelope>, NotRead> {
        let path = self.directory.path();
        let name = FileName::of(key).record();
        let unusable = |trouble| NotRead::Other(failure::read(path, key, trouble));
        // A directory that was moved away holds old records, or none: neither is an answer.
        self.directory.check().map_err(unusable)?;
        let Some(file) = self.directory.open_existing(&name).map_err(unusable)? else {
            // It may have been moved in between.
            self.directory.check().map_err(unusable)?;
            return Ok(None);
        };
        let bytes = read_all(&file).map_err(|error| unusable(error.into()))?;
        let Some(bytes) = bytes else {
            return Err(NotRead::Damaged(failure::too_long(&path.join(name), key, LONGEST_FILE)));
        };
        let file = path.join(name);
        match envelope::decode(bytes) {
            Ok(envelope) if envelope.key == key.as_str() => Ok(Some(envelope)),
            Ok(envelope) => Err(NotRead::Damaged(failure::other_key(&file, key, &envelope.key))),
            Err(why) => {
                let error = failure::unreadable(&file, key, &why);
                Err(match why {
                    Unreadable::Newer { .. } => NotRead::Other(error),
                    _ => NotRead::Damaged(error),
                })
            }
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

impl From<NotRead> for StoreError {
    fn from(error: NotRead) -> Self {
        match error {
            NotRead::Damaged(error) | NotRead::Other(error) => error,
        }
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
