//! One byte that changed, and records in each other's place.

use bytes::Bytes;

use super::*;
use crate::store::sealed::envelope::Envelope;

#[tokio::test]
async fn a_record_comes_back_and_neither_it_nor_its_tokens_can_be_read_in_the_store() {
    let original = clear(&record());
    let sealed = sealed(ring("k", 7), &original).await;
    let shown = text(&sealed);
    assert!(shown.starts_with(r#"{"sealed":1,"key":"k","key_check":""#), "{shown}");
    assert!(shown.contains(r#","epoch":3,"generation":4,"nonce":""#), "{shown}");
    assert!(!shown.contains('\n') && !shown.contains(SECRET), "{shown}");
    assert_eq!(sealed.stamp(), original.stamp());
    assert_eq!(load(ring("k", 7), &grant(), &sealed).await.unwrap(), original.bytes());
}

/// Also a change that reading would make up for: of a blank, of an escape, of the unused bits at the end of base64.
#[tokio::test]
async fn no_byte_of_a_sealed_record_can_be_changed_into_any_other() {
    let original = clear(&record());
    let sealed = sealed(ring("k", 7), &original).await;
    for at in 0..sealed.bytes().len() {
        for value in 0..=u8::MAX {
            let mut bytes = sealed.bytes().to_vec();
            if std::mem::replace(&mut bytes[at], value) == value {
                continue;
            }
            refused(&sealed, bytes, &format!("byte {at} as {value}"));
        }
    }
}

#[tokio::test]
async fn no_byte_of_a_sealed_record_can_be_left_out_or_put_in() {
    let sealed = sealed(ring("k", 7), &clear(&record())).await;
    for at in 0..sealed.bytes().len() {
        let mut shorter = sealed.bytes().to_vec();
        shorter.remove(at);
        refused(&sealed, shorter, &format!("without byte {at}"));
        refused(&sealed, sealed.bytes()[..at].to_vec(), &format!("up to byte {at}"));
        for more in *b" \n\"0A=," {
            let mut longer = sealed.bytes().to_vec();
            longer.insert(at, more);
            refused(&sealed, longer, &format!("{more} before byte {at}"));
        }
    }
    refused(&sealed, [sealed.bytes(), &b"\n"[..]].concat(), "with a line's end");
}

/// The envelope without the store, for speed: the store asks for nothing else.
fn refused(sealed: &Versioned, bytes: Vec<u8>, what: &str) {
    let Ok(envelope) = Envelope::decode(&bytes) else { return };
    let key = key("k", 7);
    let opened =
        envelope.is_sealed_with(&key) && envelope.open(&key, &grant(), sealed.stamp()).is_some();
    assert!(!opened, "{what} is opened: {}", String::from_utf8_lossy(&bytes));
}

#[tokio::test]
async fn every_bit_of_a_sealed_record_counts_through_the_store_too() {
    let sealed = sealed(ring("k", 7), &clear(&record())).await;
    let memory = MemoryStore::new();
    let store = SealedStore::new(memory.clone(), ring("k", 7));
    for bit in 0..sealed.bytes().len() * 8 {
        let mut bytes = sealed.bytes().to_vec();
        bytes[bit / 8] ^= 1 << (bit % 8);
        let changed = Versioned::new(sealed.stamp(), Bytes::from(bytes));
        put(&memory, &grant(), &changed).await;
        let error = store.load(&grant()).await.expect_err("it was opened");
        assert!(
            matches!(error.kind(), StoreErrorKind::Corrupt | StoreErrorKind::Sealed),
            "bit {bit}: {error}"
        );
        // The swap that loses to it has not "no record" either.
        let new = clear(&record());
        let swap =
            store.compare_and_swap(&grant(), Expect::Absent, &new, Durability::Durable).await;
        assert_eq!(kind(swap), error.kind(), "bit {bit}");
    }
}

#[tokio::test]
async fn a_record_of_one_tenant_under_anothers_key_is_refused() {
    let sealed = sealed(ring("k", 7), &clear(&record())).await;
    for other in ["acmf", "Acme", "acme2"] {
        assert_eq!(
            kind(load(ring("k", 7), &tenant(other), &sealed).await),
            StoreErrorKind::Corrupt
        );
    }
}

#[tokio::test]
async fn a_record_under_another_writes_stamp_is_refused() {
    let sealed = sealed(ring("k", 7), &clear(&record())).await;
    let mut stamp = sealed.stamp().to_bytes();
    stamp[15] ^= 1;
    let restamped = Versioned::new(Stamp::from_bytes(stamp), sealed.bytes().clone());
    assert_eq!(kind(load(ring("k", 7), &grant(), &restamped).await), StoreErrorKind::Corrupt);
}

#[tokio::test]
async fn a_version_that_was_changed_taken_out_or_put_in_is_refused() {
    let of_record = sealed(ring("k", 7), &clear(&record())).await;
    let other = Versioned::new(Stamp::random(), Bytes::from_static(b"no record"));
    let of_other = sealed(ring("k", 7), &other).await;
    let version = r#""epoch":3,"generation":4,"#;
    for (sealed, from, to) in [
        (&of_record, version, r#""epoch":4,"generation":4,"#),
        (&of_record, version, r#""epoch":3,"generation":5,"#),
        (&of_record, version, r#""epoch":4,"generation":3,"#),
        (&of_record, version, ""),
        (&of_record, r#""epoch":3,"#, ""),
        (&of_other, r#""nonce""#, r#""epoch":3,"generation":4,"nonce""#),
        (&of_other, r#""nonce""#, r#""epoch":0,"generation":0,"nonce""#),
    ] {
        let changed = with_text(sealed, text(sealed).replacen(from, to, 1));
        assert_ne!(&changed, sealed);
        assert_eq!(kind(load(ring("k", 7), &grant(), &changed).await), StoreErrorKind::Corrupt);
    }
}

/// The same bytes under two ids are one key to the cipher.
#[tokio::test]
async fn a_record_that_names_another_key_of_the_same_bytes_is_refused() {
    let sealed = sealed(ring("a", 7), &clear(&record())).await;
    let keys = ring("a", 7).with_reader(key("b", 7)).unwrap();
    load(keys.clone(), &grant(), &sealed).await.unwrap();
    let renamed = with_text(&sealed, text(&sealed).replacen(r#""a""#, r#""b""#, 1));
    assert_eq!(kind(load(keys, &grant(), &renamed).await), StoreErrorKind::Corrupt);
}

/// The texts have their lengths before them: of a longer id and a shorter grant nothing can be made.
#[test]
fn nothing_can_be_shifted_from_the_key_id_into_the_grant() {
    let grant = |name: &str| TokenKey::new(name).unwrap().to_store_key();
    let (stamp, key) = (Stamp::random(), key("kx", 7));
    let mut envelope = Envelope::seal(&key, [1; 24], &grant("yz"), stamp, b"bytes").unwrap();
    assert!(envelope.open(&key, &grant("yz"), stamp).is_some());
    envelope.key_id = "k".to_owned();
    assert!(envelope.open(&key, &grant("xyz"), stamp).is_none());
}

/// What is in stores now has to open for ever: neither the form nor what it is bound to changes without a new format. The
/// ciphertext was also made by another implementation, from the text of ADR 14.
#[test]
fn a_record_that_was_sealed_by_the_first_version_opens() {
    let line = concat!(
        r#"{"sealed":1,"key":"2026-11","key_check":"2e778206d160de5d","epoch":3,"generation":4,"#,
        r#""nonce":"CQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJ","ciphertext":"xVCE5Q7HGBbWKDkQShZ3hEmblaBzTb+Gw+N9LrJSOjTsCHrvr0WbO0fQhWP0RvhcxD9WT7o="}"#
    );
    let (key, stamp) = (key("2026-11", 7), Stamp::from_bytes([5; 16]));
    let plaintext: &[u8] = br#"{"format":1,"epoch":3,"generation":4}"#;
    let sealed = Envelope::seal(&key, [9; 24], &grant(), stamp, plaintext).unwrap().encode();
    assert_eq!(String::from_utf8_lossy(&sealed), line);
    let envelope = Envelope::decode(line.as_bytes()).unwrap();
    assert!(envelope.is_sealed_with(&key));
    assert_eq!(envelope.open(&key, &grant(), stamp).unwrap(), plaintext);
}

#[tokio::test]
async fn two_seals_of_one_record_have_no_nonce_in_common() {
    let original = clear(&record());
    let nonce = |record: &Versioned| text(record).split("nonce").nth(1).unwrap()[..40].to_owned();
    let (one, two) = (sealed(ring("k", 7), &original).await, sealed(ring("k", 7), &original).await);
    assert_ne!(nonce(&one), nonce(&two));
}
