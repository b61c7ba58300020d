//! Sealing anew what no refresh seals anew.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};

use super::falling::{Falling, broken};
use super::*;
use crate::record::{DeadReason, State};
use crate::store::Provenance;
use crate::store::sealed::Reseal;

/// The ring after a rotation.
fn rotated() -> KeyRing {
    ring("new", 8).with_reader(key("old", 7)).expect("two ids")
}

async fn with_old_key(record: &Record) -> MemoryStore {
    let memory = MemoryStore::new();
    put(&memory, &grant(), &sealed(ring("old", 7), &clear(record)).await).await;
    memory
}

#[tokio::test]
async fn an_idle_record_is_sealed_with_the_primary_and_says_what_it_said() {
    let unknown = State::Unknown { attempt: Stamp::random() };
    for record in [
        record(),
        record().with_state(State::Dead { reason: DeadReason::LoggedOut }),
        record().with_state(unknown),
        record().settling(true),
    ] {
        let memory = with_old_key(&record).await;
        let store = SealedStore::new(memory.clone(), rotated());
        let before = found(&store, &grant()).await;
        assert_eq!(store.reseal(&grant()).await.unwrap(), Reseal::Resealed);
        assert_eq!(store.reseal(&grant()).await.unwrap(), Reseal::Current);
        // The old key can go.
        let after = found(&SealedStore::new(memory, ring("new", 8)), &grant()).await;
        assert_eq!(after.bytes(), before.bytes());
        assert_ne!(after.stamp(), before.stamp());
    }
    let empty = SealedStore::new(MemoryStore::new(), rotated());
    assert_eq!(empty.reseal(&grant()).await.unwrap(), Reseal::Absent);
}

/// A new key of an old id is another key.
#[tokio::test]
async fn a_record_of_another_key_with_the_primarys_id_does_not_count_as_sealed_with_it() {
    let memory = with_old_key(&record()).await;
    let store = SealedStore::new(memory, ring("old", 8));
    assert_eq!(kind(store.reseal(&grant()).await), StoreErrorKind::Sealed);
}

/// The stamp names the attempt: others ask for its holder by it.
#[tokio::test]
async fn a_record_with_a_refresh_under_way_is_left_alone() {
    let memory =
        with_old_key(&record().with_state(State::InFlight { attempt: Stamp::random() })).await;
    let before = found(&memory, &grant()).await;
    let store = SealedStore::new(memory.clone(), rotated());
    assert_eq!(store.reseal(&grant()).await.unwrap(), Reseal::LeftAlone);
    assert_eq!(found(&memory, &grant()).await, before);
}

#[tokio::test]
async fn a_record_in_the_clear_is_sealed_where_it_is_read_and_bytes_that_are_none_never() {
    let memory = MemoryStore::new();
    let original = clear(&record());
    put(&memory, &grant(), &original).await;
    let strict = SealedStore::new(memory.clone(), rotated());
    assert_eq!(kind(strict.reseal(&grant()).await), StoreErrorKind::Insecure);
    let lenient = strict.clone().reading_clear_records();
    assert_eq!(lenient.reseal(&grant()).await.unwrap(), Reseal::Resealed);
    assert_eq!(found(&strict, &grant()).await.bytes(), original.bytes());

    for bytes in [
        r#"{"format":1}"#.to_owned(),
        text(&Versioned::new(Stamp::random(), record().encode(&tenant("other")))),
    ] {
        put(&memory, &grant(), &with_text(&clear(&record()), bytes)).await;
        assert_eq!(kind(lenient.reseal(&grant()).await), StoreErrorKind::Corrupt);
    }
}

#[tokio::test]
async fn the_report_says_when_the_old_key_can_go() {
    let memory = MemoryStore::new();
    let old = SealedStore::new(memory.clone(), ring("old", 7));
    let new = SealedStore::new(memory.clone(), rotated());
    let write = |store: SealedStore<MemoryStore>, name: &str, record: Record| {
        let grant = tenant(name);
        async move {
            let record = Versioned::new(Stamp::random(), record.encode(&grant));
            store.compare_and_swap(&grant, Expect::Absent, &record, Durability::Durable).await
        }
    };
    // More than a page.
    for n in 0..300 {
        write(old.clone(), &format!("idle-{n}"), record()).await.unwrap();
    }
    write(new.clone(), "current", record()).await.unwrap();
    let attempt = Stamp::random();
    let under_way = record().with_state(State::InFlight { attempt });
    write(old.clone(), "under-way", under_way).await.unwrap();
    put(&memory, &tenant("damaged"), &with_text(&clear(&record()), "?".to_owned())).await;

    let report = new.reseal_all().await.unwrap();
    assert_eq!((report.resealed(), report.current()), (300, 1));
    assert_eq!(report.left_alone(), [tenant("under-way")]);
    let failed: Vec<_> = report.failed().iter().map(|(key, error)| (key, error.kind())).collect();
    assert_eq!(failed, [(&tenant("damaged"), StoreErrorKind::Corrupt)]);
    assert!(!report.is_complete());

    put(&memory, &tenant("damaged"), &found(&memory, &tenant("current")).await).await;
    let damaged = new.reseal_all().await.unwrap();
    assert_eq!(damaged.failed().len(), 1, "another tenant's record is one that fails");
}

async fn falling(loads: Provenance, swaps: Vec<(bool, Provenance)>) -> SealedStore<Falling> {
    let memory = with_old_key(&record()).await;
    let swaps = Arc::new(Mutex::new(swaps));
    SealedStore::new(Falling { memory, loads, swaps, loses_answer: Arc::default() }, rotated())
}

/// Or its newer record, which a process still knows, would be taken for one that never was.
#[tokio::test]
async fn a_record_of_a_store_that_fell_back_is_marked_as_one_that_others_do_not_trust_yet() {
    let store = falling(broken(), vec![(true, broken())]).await;
    assert_eq!(store.reseal(&grant()).await.unwrap(), Reseal::Resealed);
    let after = found(&store, &grant()).await;
    assert!(Record::decode(after.bytes(), &grant()).unwrap().settling);
}

#[tokio::test]
async fn bytes_that_cannot_be_marked_are_left_alone_where_the_store_fell_back() {
    let store = falling(broken(), Vec::new()).await;
    let other = Versioned::new(Stamp::random(), bytes::Bytes::from_static(b"no record"));
    put(&store.store.memory, &grant(), &sealed(ring("old", 7), &other).await).await;
    assert_eq!(store.reseal(&grant()).await.unwrap(), Reseal::LeftAlone);
}

#[tokio::test]
async fn a_store_that_falls_back_meanwhile_leaves_a_record_that_others_do_not_trust_yet() {
    for durable in [true, false] {
        let store = falling(Provenance::default(), vec![(durable, broken())]).await;
        assert_eq!(store.reseal(&grant()).await.is_ok(), durable);
        let after = found(&store, &grant()).await;
        let marked = Record::decode(after.bytes(), &grant()).unwrap();
        assert!(marked.settling);
        assert_eq!(marked.version, record().version);
    }
}

#[tokio::test]
async fn a_write_that_may_not_last_is_not_counted() {
    let store = falling(Provenance::default(), vec![(false, Provenance::default())]).await;
    assert_eq!(kind(store.reseal(&grant()).await), StoreErrorKind::Indeterminate);
}

#[tokio::test]
async fn a_write_whose_answer_is_lost_leaves_a_record_that_others_do_not_trust_yet() {
    let store = falling(Provenance::default(), Vec::new()).await;
    store.store.loses_answer.store(true, Ordering::SeqCst);
    assert_eq!(kind(store.reseal(&grant()).await), StoreErrorKind::Indeterminate);
    let after = found(&store, &grant()).await;
    assert!(Record::decode(after.bytes(), &grant()).unwrap().settling);
}

/// The store above has bound its text to the stamp.
#[tokio::test]
async fn what_another_sealed_store_has_sealed_is_left_alone() {
    let memory = MemoryStore::new();
    let outer = sealed(ring("outer", 9), &clear(&record())).await;
    put(&memory, &grant(), &sealed(ring("old", 7), &outer).await).await;
    let inner = SealedStore::new(memory, rotated());
    assert_eq!(inner.reseal(&grant()).await.unwrap(), Reseal::LeftAlone);
}
