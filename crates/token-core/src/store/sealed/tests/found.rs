//! What is found in the place of a record that can be opened.

use bytes::Bytes;

use std::sync::{Arc, Mutex};

use super::falling::{Falling, broken};
use super::*;
use crate::record::RecordError;
use crate::store::sealed::{KeyError, SealingKeys};
use crate::store::{Capabilities, Liveness, Swap};

/// Each way to meet it ends in the same error, and leaves what is there.
async fn met(keys: KeyRing, record: &Versioned, kind: StoreErrorKind, says: &[&str]) {
    let memory = MemoryStore::new();
    put(&memory, &grant(), record).await;
    let store = SealedStore::new(memory.clone(), keys);
    let new = clear(&super::record());
    let mut errors = vec![store.load(&grant()).await.expect_err("it was opened")];
    for expect in [Expect::Absent, Expect::Is(Stamp::random())] {
        let swap = store.compare_and_swap(&grant(), expect, &new, Durability::Durable).await;
        errors.push(swap.expect_err("it was opened"));
    }
    let aside = store.set_aside(&grant(), None, &new).await;
    if kind != StoreErrorKind::Corrupt {
        errors.push(aside.expect_err("it was set aside"));
    }
    for error in errors {
        assert_eq!(error.kind(), kind, "{error}");
        let text = error.to_string();
        for part in says.iter().chain(&["`billing-api/tenant=acme`"]) {
            assert!(text.contains(part), "{part:?} is not in: {text}");
        }
    }
    assert_eq!(&found(&memory, &grant()).await, record);
}

#[tokio::test]
async fn a_missing_key_is_an_error_that_names_it_and_no_damage() {
    let sealed = sealed(ring("old", 7), &clear(&record())).await;
    met(ring("new", 8), &sealed, StoreErrorKind::Sealed, &["the key `old`", "give it that key"])
        .await;
}

/// To a cipher that is damage; a login would take the record from those who have the right key.
#[tokio::test]
async fn another_key_of_the_same_id_is_told_from_damage() {
    let sealed = sealed(ring("k", 7), &clear(&record())).await;
    met(ring("k", 8), &sealed, StoreErrorKind::Sealed, &["another key", "`k`"]).await;
}

#[tokio::test]
async fn a_newer_seal_is_left_alone() {
    let sealed = sealed(ring("k", 7), &clear(&record())).await;
    for text in [r#"{"sealed":2}"#, r#"{"sealed":99999999999,"shape":"unheard of"}"#] {
        let newer = with_text(&sealed, text.to_owned());
        met(ring("k", 7), &newer, StoreErrorKind::Sealed, &["update this program"]).await;
    }
    let newer = with_text(&sealed, r#"{"sealed":2,"shape":"unheard of"}"#.to_owned());
    met(ring("k", 7), &newer, StoreErrorKind::Sealed, &["format 2", "update this program"]).await;
}

#[tokio::test]
async fn a_record_in_the_clear_is_refused_unless_that_is_asked_for() {
    let original = clear(&record());
    met(
        ring("k", 7),
        &original,
        StoreErrorKind::Insecure,
        &["is not sealed", "`reading_clear_records`"],
    )
    .await;

    let memory = MemoryStore::new();
    put(&memory, &grant(), &original).await;
    let store = SealedStore::new(memory.clone(), ring("k", 7)).reading_clear_records();
    assert_eq!(found(&store, &grant()).await, original);
    let next = clear(&record());
    let expect = Expect::Is(original.stamp());
    store.compare_and_swap(&grant(), expect, &next, Durability::Durable).await.unwrap();
    assert!(text(&found(&memory, &grant()).await).starts_with(r#"{"sealed":1,"#));
    assert_eq!(found(&store, &grant()).await, next);
}

/// Or a byte that changed at the beginning would make anything a record.
#[tokio::test]
async fn what_is_neither_sealed_nor_a_record_is_damaged_also_where_clear_records_are_read() {
    let sealed = sealed(ring("k", 7), &clear(&record())).await;
    for bytes in ["", "{}", "no record", &text(&sealed).replacen("sealed", "sealet", 1)] {
        let found = with_text(&sealed, bytes.to_owned());
        let memory = MemoryStore::new();
        put(&memory, &grant(), &found).await;
        let store = SealedStore::new(memory, ring("k", 7)).reading_clear_records();
        assert_eq!(kind(store.load(&grant()).await), StoreErrorKind::Corrupt, "{bytes}");
    }
}

#[tokio::test]
async fn a_program_that_does_not_look_for_seals_is_told_of_one() {
    let sealed = sealed(ring("k", 7), &clear(&record())).await;
    let error = Record::decode(sealed.bytes(), &grant()).unwrap_err();
    assert_eq!(error, RecordError::Sealed);
    assert!(error.to_string().contains("`SealedStore`"), "{error}");
}

#[tokio::test]
async fn bytes_that_are_no_record_are_sealed_as_well() {
    for bytes in [&b""[..], b"\0\xff", b"{}", b"null", &[b'x'; 70_000]] {
        let original = Versioned::new(Stamp::random(), Bytes::copy_from_slice(bytes));
        let sealed = sealed(ring("k", 7), &original).await;
        assert!(!text(&sealed).contains("epoch"));
        assert_eq!(load(ring("k", 7), &grant(), &sealed).await.unwrap(), bytes);
    }
}

#[tokio::test]
async fn a_swap_that_is_lost_tells_what_is_there_opened() {
    let store = SealedStore::new(MemoryStore::new(), ring("k", 7));
    let first = clear(&record());
    let swap = |new| {
        let store = store.clone();
        async move { store.compare_and_swap(&grant(), Expect::Absent, &new, Durability::Durable).await }
    };
    swap(first.clone()).await.unwrap();
    assert_eq!(swap(clear(&record())).await.unwrap(), Swap::Lost(Some(first)));
}

/// A key service that is down.
struct Down;

impl SealingKeys for Down {
    async fn primary(&self) -> Result<SealingKey, KeyError> {
        Err(KeyError::new("the key service does not answer"))
    }

    async fn find(&self, _: &str) -> Result<Option<SealingKey>, KeyError> {
        self.primary().await.map(Some)
    }
}

#[tokio::test]
async fn keys_that_cannot_be_had_are_no_answer_and_nothing_is_written() {
    let memory = MemoryStore::new();
    let store = SealedStore::new(memory.clone(), Down);
    let new = clear(&record());
    let swap = store.compare_and_swap(&grant(), Expect::Absent, &new, Durability::Durable).await;
    let error = swap.unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Refused);
    assert!(error.to_string().contains("the key service does not answer"), "{error}");
    assert!(std::error::Error::source(&error).is_some());
    assert_eq!(kind(store.set_aside(&grant(), None, &new).await), StoreErrorKind::Refused);
    assert!(memory.load(&grant()).await.unwrap().is_none());

    put(&memory, &grant(), &sealed(ring("k", 7), &clear(&record())).await).await;
    assert_eq!(kind(store.load(&grant()).await), StoreErrorKind::Refused);
}

#[tokio::test]
async fn what_the_store_below_says_of_itself_passes() {
    let below = Falling {
        memory: MemoryStore::new(),
        loads: broken(),
        swaps: Arc::new(Mutex::new(vec![(false, broken())])),
        loses_answer: Arc::default(),
    };
    let store = SealedStore::new(below.clone(), ring("k", 7));
    assert_eq!(store.capabilities(), below.capabilities());
    assert_ne!(store.capabilities(), Capabilities::default());
    let new = clear(&record());
    let swap = store.compare_and_swap(&grant(), Expect::Absent, &new, Durability::Durable).await;
    assert_eq!(swap.unwrap(), Swap::Won { durable: false, replaced: broken() });
    let (_, provenance) = store.load(&grant()).await.unwrap().unwrap();
    assert_eq!(provenance, broken());
    assert_eq!(store.holder(&grant(), new.stamp()).await, Liveness::Dead);
    assert_eq!(store.list(None).await.unwrap().keys(), [grant()]);
    store.changed(&grant(), None, Duration::from_secs(3600)).await.unwrap();
}

#[tokio::test]
async fn nothing_of_a_record_or_a_key_is_in_an_error_or_in_debug() {
    let keys = KeyRing::new(SealingKey::new("k", b"canary-5ecret-key-of-32-bytes...").unwrap());
    let sealed = sealed(keys.clone(), &clear(&record())).await;
    let memory = MemoryStore::new();
    let store = SealedStore::new(memory.clone(), keys.clone());
    let mut said = vec![format!("{keys:?} {:?} {store:?}", key("k", 7))];
    for changed in [
        sealed.clone(),
        clear(&record()),
        with_text(&sealed, text(&sealed).replacen("ciphertext", "ciphertexu", 1)),
        with_text(&sealed, SECRET.to_owned()),
        with_text(&sealed, text(&sealed).replacen(r#""k""#, r#""l""#, 1)),
    ] {
        put(&memory, &grant(), &changed).await;
        said.push(format!("{:?}", store.load(&grant()).await));
    }
    for text in said {
        assert!(!text.contains("5ecret"), "{text}");
        assert!(!text.contains("53, 101, 99, 114"), "as numbers: {text}");
    }
}
