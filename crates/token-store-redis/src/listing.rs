//! Every grant that has a record, page by page.

use redis::{FromRedisValue, Value};
use token_core::store::{Cursor, Page, StoreError, StoreKey};

use crate::failure;
use crate::key_name::Namespace;
use crate::link::{Link, Trouble};

const PAGE: usize = 500;

/// Keys that the server looks at for one answer; it does nothing else meanwhile.
const STEP: u32 = 1000;

/// The keys are sorted, and a cursor is the last key of its page: a scan of the server's own may repeat keys, and its
/// cursors mean nothing to another server after a failover. So each page is a scan of the whole database.
pub(crate) async fn page(
    link: &Link,
    server: &str,
    namespace: &Namespace,
    after: Option<&Cursor>,
) -> Result<Page, StoreError> {
    let failed = |trouble| failure::server(server, trouble);
    let mut keys = names(link, namespace).await.map_err(failed)?;
    keys.sort_unstable();
    keys.dedup();
    keys.retain(|key| after.is_none_or(|cursor| key.as_str() > cursor.as_str()));
    let more = keys.len() > PAGE;
    keys.truncate(PAGE);
    let next = keys.last().filter(|_| more).map(Cursor::new);
    if keys.is_empty() {
        return Ok(Page::default());
    }
    let mut commands = redis::pipe();
    commands.ignore_errors();
    for key in &keys {
        commands.cmd("HMGET").arg(key).arg("k").cmd("EXISTS").arg(key);
    }
    let answers = link.read_all(&mut commands).await.map_err(failed)?;
    let mut grants = Vec::with_capacity(keys.len());
    for (key, answer) in keys.iter().zip(answers.chunks(2)) {
        let [names, there] = answer else { return Err(failed(Trouble::Odd)) };
        match grant(names).filter(|grant| namespace.key(grant) == *key) {
            Some(grant) => grants.push(grant),
            // Somebody has just removed it.
            None if *there == Value::Int(0) => {}
            None => return Err(failure::nameless(server, key)),
        }
    }
    Ok(Page::new(grants, next))
}

async fn names(link: &Link, namespace: &Namespace) -> Result<Vec<String>, Trouble> {
    let mut names = Vec::new();
    let mut cursor = 0_u64;
    loop {
        let mut scan = redis::cmd("SCAN");
        scan.arg(cursor).arg("MATCH").arg(namespace.pattern()).arg("COUNT").arg(STEP);
        let answer = link.read(&scan).await?;
        let (next, found): (u64, Vec<Vec<u8>>) =
            FromRedisValue::from_redis_value(answer).map_err(|_| Trouble::Odd)?;
        let found = found.into_iter().filter_map(|name| String::from_utf8(name).ok());
        names.extend(found.filter(|name| namespace.is_record(name)));
        if next == 0 {
            return Ok(names);
        }
        cursor = next;
    }
}

fn grant(names: &Value) -> Option<StoreKey> {
    let (grant,): (Option<String>,) = FromRedisValue::from_redis_value_ref(names).ok()?;
    grant?.parse().ok()
}
