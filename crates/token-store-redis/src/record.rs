//! A record as a hash of five fields.

use std::sync::Arc;

use bytes::Bytes;
use redis::{FromRedisValue, ParsingError, Value};
use token_core::store::{Provenance, Stamp, StoreKey, Versioned};
use zeroize::Zeroizing;

/// The format that this code writes, and the newest that it reads.
pub(crate) const FORMAT: u32 = 1;

/// What a script found under a key, and what it was told by the server that holds it.
#[derive(Debug)]
pub(crate) struct Found {
    there: bool,
    fields: Fields,
    /// The server's replication id: it is another after each fall-back, and after each restart.
    pub(crate) history: Arc<str>,
    pub(crate) is_master: bool,
    /// How many replicas follow it and have caught up once.
    pub(crate) replicas: u32,
}

/// The fields as they are: format, grant, stamp, bytes, and the history under which they were written.
#[derive(Default)]
pub(crate) struct Fields(pub(crate) [Option<Bytes>; 5]);

/// Why what is there is not the grant's record. It quotes nothing of the record.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Unreadable {
    /// Nothing in it is of ours.
    Foreign,
    Damaged {
        field: char,
    },
    Newer {
        format: u32,
    },
    OtherGrant {
        found: String,
    },
}

impl Found {
    /// The grant's record, with its provenance.
    pub(crate) fn record(
        &self,
        grant: &StoreKey,
    ) -> Result<Option<(Versioned, Provenance)>, Unreadable> {
        if !self.there {
            return Ok(None);
        }
        let [format, owner, stamp, bytes, written_in] = &self.fields.0;
        if format.is_none() && owner.is_none() && stamp.is_none() && bytes.is_none() {
            return Err(Unreadable::Foreign);
        }
        let damaged = |field| Unreadable::Damaged { field };
        let written = text(format).unwrap_or_default();
        let format: u32 = written.parse().map_err(|_| damaged('f'))?;
        if format > FORMAT {
            return Err(Unreadable::Newer { format });
        }
        // The script compares texts: what it would not take for ours is none of ours.
        if written != FORMAT.to_string() {
            return Err(damaged('f'));
        }
        let owner = text(owner).ok_or_else(|| damaged('k'))?;
        if owner != grant.as_str() {
            return Err(Unreadable::OtherGrant { found: owner.to_owned() });
        }
        let written = text(stamp).unwrap_or_default();
        let stamp: Stamp = written.parse().map_err(|_| damaged('v'))?;
        if written != stamp.to_string() {
            return Err(damaged('v'));
        }
        let bytes = bytes.clone().ok_or_else(|| damaged('b'))?;
        // Without a history of its own a record counts as one of another.
        let written_in = text(written_in).unwrap_or_default();
        let written_in = if written_in == &*self.history {
            Arc::clone(&self.history)
        } else {
            Arc::from(written_in)
        };
        let provenance = Provenance::new(written_in, Arc::clone(&self.history));
        Ok(Some((Versioned::new(stamp, bytes), provenance)))
    }

    pub(crate) const fn fields(&self) -> &Fields {
        &self.fields
    }
}

impl std::fmt::Debug for Fields {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // They hold tokens.
        f.debug_list().entries(self.0.iter().map(|field| field.as_ref().map(Bytes::len))).finish()
    }
}

fn text(field: &Option<Bytes>) -> Option<&str> {
    std::str::from_utf8(field.as_ref()?).ok()
}

/// The first nine values of a script's answer.
pub(crate) fn found(values: &mut impl Iterator<Item = Value>) -> Result<Found, ParsingError> {
    let mut next = || values.next().unwrap_or(Value::Nil);
    let there: u32 = FromRedisValue::from_redis_value(next())?;
    let mut fields = Fields::default();
    for field in &mut fields.0 {
        let bytes: Option<Vec<u8>> = FromRedisValue::from_redis_value(next())?;
        *field = bytes.map(|bytes| Bytes::from_owner(Zeroizing::new(bytes)));
    }
    let history: String = FromRedisValue::from_redis_value(next())?;
    let role: String = FromRedisValue::from_redis_value(next())?;
    let replicas: u32 = FromRedisValue::from_redis_value(next())?;
    Ok(Found {
        there: there > 0,
        fields,
        history: Arc::from(history),
        is_master: role == "master",
        replicas,
    })
}

#[cfg(test)]
mod tests {
    use token_core::TokenKey;

    use super::*;

    const STAMP: &str = "07070707070707070707070707070707";
    /// Numbers like a stamp, and no stamps.
    const UPPER_CASE: &str = "0A070707070707070707070707070707";
    const SIGNED: &str = "+7070707070707070707070707070707";

    fn grant() -> StoreKey {
        StoreKey::from(&TokenKey::new("grant").unwrap())
    }

    fn read(fields: [Option<&str>; 5]) -> Result<Option<(Versioned, Provenance)>, Unreadable> {
        let bulk = |text: &str| Value::BulkString(text.as_bytes().to_vec());
        let mut values = vec![Value::Int(1)];
        values.extend(fields.iter().map(|field| field.map_or(Value::Nil, bulk)));
        values.extend([bulk("abc"), bulk("master"), Value::Int(2)]);
        found(&mut values.into_iter()).unwrap().record(&grant())
    }

    #[test]
    fn a_whole_record_is_read_and_its_history_compared() {
        let whole = [Some("1"), Some("grant"), Some(STAMP), Some("bytes"), Some("abc")];
        let (record, provenance) = read(whole).unwrap().unwrap();
        assert_eq!(record.stamp(), Stamp::from_bytes([7; 16]));
        assert_eq!(record.bytes(), "bytes");
        assert!(!provenance.is_broken());
        for history in [Some("other"), None] {
            let [format, owner, stamp, bytes, _] = whole;
            let (_, provenance) = read([format, owner, stamp, bytes, history]).unwrap().unwrap();
            assert!(provenance.is_broken(), "{history:?}");
        }
    }

    #[test]
    fn what_is_no_record_is_told_apart() {
        let of = |fields| read(fields).unwrap_err();
        let bytes = Some("bytes");
        assert_eq!(of([None, None, None, None, Some("of another")]), Unreadable::Foreign);
        assert_eq!(
            of([Some("2"), None, None, None, None]),
            Unreadable::Newer { format: 2 },
            "a newer format may have other fields"
        );
        assert_eq!(
            of([Some("1"), Some("another"), Some(STAMP), bytes, None]),
            Unreadable::OtherGrant { found: "another".to_owned() }
        );
        for (field, fields) in [
            ('f', [None, Some("grant"), Some(STAMP), bytes, None]),
            ('f', [Some("x"), Some("grant"), Some(STAMP), bytes, None]),
            ('f', [Some("0"), Some("grant"), Some(STAMP), bytes, None]),
            ('f', [Some("01"), Some("grant"), Some(STAMP), bytes, None]),
            ('v', [Some("1"), Some("grant"), Some(UPPER_CASE), bytes, None]),
            ('v', [Some("1"), Some("grant"), Some(SIGNED), bytes, None]),
            ('k', [Some("1"), None, Some(STAMP), bytes, None]),
            ('v', [Some("1"), Some("grant"), Some("7"), bytes, None]),
            ('v', [Some("1"), Some("grant"), None, bytes, None]),
            ('b', [Some("1"), Some("grant"), Some(STAMP), None, None]),
        ] {
            assert_eq!(of(fields), Unreadable::Damaged { field });
        }
    }

    #[test]
    fn an_answer_that_is_no_answer_is_an_error() {
        assert!(found(&mut [].into_iter()).is_err());
    }
}
