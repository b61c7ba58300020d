//! A record as a file: JSON that a person can read.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use token_core::store::{Stamp, StoreKey, Versioned};
use zeroize::Zeroizing;

/// The format that this code writes, and the newest that it reads.
const FORMAT: u32 = 1;

/// What a record's file holds.
#[derive(Debug)]
pub(crate) struct Envelope {
    pub(crate) key: String,
    /// Who wrote it: the name of the writer's file in [`alive`](crate::alive).
    pub(crate) writer: Option<String>,
    pub(crate) record: Versioned,
}

/// Why a file is not an envelope. It quotes nothing of what is in it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Unreadable {
    Empty,
    /// Where the JSON breaks off or goes wrong.
    Damaged {
        line: usize,
        column: usize,
    },
    Newer {
        format: u32,
    },
    /// JSON, and still not what we write.
    Foreign,
}

#[derive(Deserialize)]
struct Head {
    format: u32,
}

#[derive(Deserialize, Serialize)]
struct Wire<'a> {
    format: u32,
    key: String,
    stamp: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    writer: Option<String>,
    /// The record itself where it is JSON, character by character.
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    record: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    base64: Option<Zeroizing<String>>,
}

pub(crate) fn encode(
    key: &StoreKey,
    writer: Option<&str>,
    record: &Versioned,
) -> Zeroizing<Vec<u8>> {
    // A value with blanks around it would come back without them, and `null` as nothing.
    let json = serde_json::from_slice::<&RawValue>(record.bytes())
        .ok()
        .filter(|json| json.get().len() == record.bytes().len() && json.get() != "null");
    let wire = Wire {
        format: FORMAT,
        key: key.as_str().to_owned(),
        stamp: record.stamp().to_string(),
        writer: writer.map(str::to_owned),
        record: json,
        base64: json.is_none().then(|| Zeroizing::new(STANDARD.encode(record.bytes()))),
    };
    // Room for all of it: a buffer that grows leaves copies behind that nobody wipes.
    let room = record.bytes().len() * 2 + key.as_str().len() + 512;
    let mut bytes = Zeroizing::new(Vec::with_capacity(room));
    // Writing strings and numbers into memory cannot fail.
    let _ = serde_json::to_writer_pretty(&mut *bytes, &wire);
    bytes.push(b'\n');
    bytes
}

/// Reads a file's bytes; the record's are a part of them, and wiped with them.
pub(crate) fn decode(bytes: Zeroizing<Vec<u8>>) -> Result<Envelope, Unreadable> {
    if bytes.trim_ascii().is_empty() {
        return Err(Unreadable::Empty);
    }
    let all = Bytes::from_owner(bytes);
    let unreadable = |error: serde_json::Error| match error.classify() {
        serde_json::error::Category::Data => Unreadable::Foreign,
        _ => Unreadable::Damaged { line: error.line(), column: error.column() },
    };
    let head: Head = serde_json::from_slice(&all).map_err(unreadable)?;
    if head.format > FORMAT {
        return Err(Unreadable::Newer { format: head.format });
    }
    let wire: Wire<'_> = serde_json::from_slice(&all).map_err(unreadable)?;
    let stamp: Stamp = wire.stamp.parse().map_err(|_| Unreadable::Foreign)?;
    let record = match (wire.record, wire.base64) {
        (Some(json), None) => all.slice_ref(json.get().as_bytes()),
        (None, Some(text)) => {
            let bytes = STANDARD.decode(text.as_bytes()).map_err(|_| Unreadable::Foreign)?;
            Bytes::from_owner(Zeroizing::new(bytes))
        }
        _ => return Err(Unreadable::Foreign),
    };
    Ok(Envelope { key: wire.key, writer: wire.writer, record: Versioned::new(stamp, record) })
}

#[cfg(test)]
mod tests {
    use token_core::TokenKey;

    use super::*;

    fn file(record: &[u8]) -> Zeroizing<Vec<u8>> {
        let key = StoreKey::from(&TokenKey::new("grant").unwrap());
        let record = Versioned::new(Stamp::from_bytes([7; 16]), Bytes::copy_from_slice(record));
        encode(&key, Some("me"), &record)
    }

    #[test]
    fn a_record_that_is_json_can_be_read_in_the_file() {
        let text = String::from_utf8(file(br#"{"state": "idle"}"#).to_vec()).unwrap();
        assert_eq!(
            text,
            "{\n  \"format\": 1,\n  \"key\": \"grant\",\n  \"stamp\": \"07070707070707070707070707070707\",\n  \
             \"writer\": \"me\",\n  \"record\": {\"state\": \"idle\"}\n}\n"
        );
    }

    #[test]
    fn every_file_that_is_cut_short_is_told_as_damaged_or_empty() {
        for record in [&b"{\"a\": [1, 2]}"[..], b"\xff\xfe not text"] {
            let whole = file(record);
            for end in 0..whole.len() - 2 {
                let error = decode(Zeroizing::new(whole[..end].to_vec())).unwrap_err();
                assert!(
                    matches!(error, Unreadable::Empty | Unreadable::Damaged { .. }),
                    "{end}: {error:?}"
                );
            }
            assert_eq!(decode(whole).unwrap().record.bytes(), record);
        }
    }

    #[test]
    fn what_somebody_else_wrote_is_told_from_what_a_newer_version_wrote() {
        let of = |text: &str| decode(Zeroizing::new(text.as_bytes().to_vec())).unwrap_err();
        assert_eq!(of(r#"{"format": 2, "shape": "unheard of"}"#), Unreadable::Newer { format: 2 });
        let stamp = "07070707070707070707070707070707";
        for text in [
            "{}".to_owned(),
            "[]".to_owned(),
            r#"{"format": 1}"#.to_owned(),
            r#"{"format": 1, "key": "k", "stamp": "x", "record": {}}"#.to_owned(),
            format!(r#"{{"format": 1, "key": "k", "stamp": "{stamp}"}}"#),
            format!(r#"{{"format": 1, "key": "k", "stamp": "{stamp}", "base64": "?"}}"#),
            format!(
                r#"{{"format": 1, "key": "k", "stamp": "{stamp}", "base64": "", "record": 1}}"#
            ),
        ] {
            assert_eq!(of(&text), Unreadable::Foreign, "{text}");
        }
    }
}
