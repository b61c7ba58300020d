//! Every grant that has a record, page by page.

use redis::{FromRedisValue, Value};
use token_core::store::{Cursor, Page, StoreError, StoreKey};

use crate::failure;
use crate::key_name::Namespace;
use crate::link::{Link, Trouble};
use crate::nodes::Nodes;

const PAGE: usize = 500;

/// What a server says of a key that holds something else than fields.
const WRONG_TYPE: &str = "WRONGTYPE";

/// Keys that the server looks at for one answer; it does nothing else meanwhile.
const STEP: u32 = 1000;

/// The keys are sorted, and a cursor is the last key of its page: a scan of the server's own may repeat keys, and its
/// cursors mean nothing to another server after a failover. So each page is a scan of the whole database.
pub(crate) async fn page(
    nodes: &Nodes,
    server: &str,
    namespace: &Namespace,
    after: Option<&Cursor>,
) -> Result<Page, StoreError> {
    let failed = |trouble| failure::server(server, trouble);
    let nodes = nodes.all().await.map_err(failed)?;
    let mut keys = Vec::new();
    for (n, node) in nodes.iter().enumerate() {
        let names = names(&node.reads, namespace, after).await.map_err(failed)?;
        keys.extend(names.into_iter().map(|name| (name, n)));
    }
    keys.sort_unstable();
    // A key that is just moving is on two nodes.
    keys.dedup_by(|a, b| a.0 == b.0);
    let more = keys.len() > PAGE;
    keys.truncate(PAGE);
    let next = keys.last().filter(|_| more).map(|(key, _)| Cursor::new(key));
    let mut grants = Vec::with_capacity(keys.len());
    for (n, node) in nodes.iter().enumerate() {
        let keys: Vec<&str> =
            keys.iter().filter(|(_, on)| *on == n).map(|(key, _)| key.as_str()).collect();
        for (key, found) in owners(&node.reads, &keys).await.map_err(failed)? {
            match found {
                Owner::Named(grant) if namespace.key(&grant) == key => grants.push(grant),
                Owner::Gone => {}
                Owner::Named(_) | Owner::Nameless => return Err(failure::nameless(server, key)),
            }
        }
    }
    Ok(Page::new(grants, next))
}

/// What a key says of whose it is.
enum Owner {
    Named(StoreKey),
    Nameless,
    /// Somebody has just removed it.
    Gone,
}

async fn owners<'a>(link: &Link, keys: &[&'a str]) -> Result<Vec<(&'a str, Owner)>, Trouble> {
    if keys.is_empty() {
        return Ok(Vec::new());
    }
    let mut commands = redis::pipe();
    commands.ignore_errors();
    for key in keys {
        commands.cmd("HMGET").arg(key).arg("k").cmd("EXISTS").arg(key);
    }
    let answers = link.read_all(&commands).await?;
    let owners = answers.chunks(2).map(owner).collect::<Result<Vec<_>, _>>()?;
    Ok(keys.iter().copied().zip(owners).collect())
}

/// Whose it is, by the answers to `HMGET` and `EXISTS`.
fn owner(answers: &[Value]) -> Result<Owner, Trouble> {
    let [names, there] = answers else { return Err(Trouble::Odd) };
    for answer in answers {
        if let Value::ServerError(error) = answer
            && error.code() != WRONG_TYPE
        {
            // It is not there any more, say: its slot has moved. That tells nothing about the key.
            return Err(Trouble::Refused(error.clone().into()));
        }
    }
    let gone = *there == Value::Int(0);
    Ok(grant(names).map_or(if gone { Owner::Gone } else { Owner::Nameless }, Owner::Named))
}

async fn names(
    link: &Link,
    namespace: &Namespace,
    after: Option<&Cursor>,
) -> Result<Vec<String>, Trouble> {
    let mut names = Vec::new();
    let mut cursor = 0_u64;
    // A cursor means nothing to another server, and another connection may lead to one.
    let mut open = link.open().await?;
    loop {
        let mut scan = redis::cmd("SCAN");
        scan.arg(cursor).arg("MATCH").arg(namespace.pattern()).arg("COUNT").arg(STEP);
        let answer = match link.ask(open.clone(), &scan).await {
            // The server may have closed it while nobody used it.
            Err(Trouble::Unanswered(error)) if cursor == 0 && !open.new && !error.is_timeout() => {
                open = link.open().await?;
                link.ask(open.clone(), &scan).await?
            }
            answer => answer?,
        };
        let (next, found): (u64, Vec<Vec<u8>>) =
            FromRedisValue::from_redis_value(answer).map_err(|_| Trouble::Odd)?;
        let found = found.into_iter().filter_map(|name| String::from_utf8(name).ok());
        names.extend(found.filter(|name| {
            namespace.is_record(name) && after.is_none_or(|after| name.as_str() > after.as_str())
        }));
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
