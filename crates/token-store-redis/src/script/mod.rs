//! What is asked of the server: one script reads, one compares and swaps, one sets aside. Each is one step for everybody
//! else, and touches one slot.
//!
//! They are sent whole: a digest would save half a kilobyte an hour, and cost an answer (`NOSCRIPT`) that has to be told from
//! those after which a write may have happened.

use redis::{Cmd, Value};
use token_core::store::{Expect, StoreKey, Versioned};

use crate::record::{FORMAT, Fields, Found, found};

const READ: &str = include_str!("read.lua");
const SWAP: &str = include_str!("swap.lua");
const ASIDE: &str = include_str!("aside.lua");

pub(crate) fn read(key: &str) -> Cmd {
    let mut command = redis::cmd("EVAL");
    command.arg(READ).arg(1).arg(key);
    command
}

pub(crate) fn swap(key: &str, grant: &StoreKey, expect: Expect, new: &Versioned) -> Cmd {
    let expected = match expect {
        Expect::Absent => String::new(),
        Expect::Is(stamp) => stamp.to_string(),
    };
    let mut command = redis::cmd("EVAL");
    command.arg(SWAP).arg(1).arg(key);
    command.arg(FORMAT).arg(grant.as_str()).arg(expected);
    // The key's name is also the name of the channel.
    command.arg(new.stamp().to_string()).arg(&new.bytes()[..]).arg(key);
    command
}

pub(crate) fn set_aside(
    key: &str,
    aside: &str,
    grant: &StoreKey,
    judged: &Fields,
    new: &Versioned,
) -> Cmd {
    let mut command = redis::cmd("EVAL");
    command.arg(ASIDE).arg(2).arg(key).arg(aside);
    command.arg(FORMAT).arg(grant.as_str());
    command.arg(new.stamp().to_string()).arg(&new.bytes()[..]).arg(key);
    for field in &judged.0 {
        match field {
            Some(value) => command.arg([b"+", &value[..]].concat()),
            None => command.arg("-"),
        };
    }
    command
}

/// What [`read`] was answered. Nothing: the server said something that the script does not say.
pub(crate) fn what_was_read(answer: Value) -> Option<Found> {
    let Value::Array(values) = answer else { return None };
    found(&mut values.into_iter()).ok()
}

/// What [`swap`] was answered: whether it was written, and what was there before.
pub(crate) fn whether_swapped(answer: Value) -> Option<(bool, Found)> {
    let Value::Array(values) = answer else { return None };
    let mut values = values.into_iter();
    let before = found(&mut values).ok()?;
    match values.next() {
        Some(Value::Int(written)) => Some((written == 1, before)),
        _ => None,
    }
}

/// What [`set_aside`] was answered: whether it was done.
pub(crate) fn whether_set_aside(answer: &Value) -> Option<bool> {
    match answer {
        Value::Int(done) => Some(*done == 1),
        _ => None,
    }
}
