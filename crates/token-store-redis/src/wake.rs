//! Messages about changes: whoever waits for one looks at once. They may be lost, so nobody waits for them alone.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use redis::{PushInfo, PushKind, Value};
use tokio::sync::Notify;
use tokio::sync::futures::Notified;

use crate::nodes::Nodes;

/// So many channels that nobody waits for any more are kept: most are waited for again at once.
const IDLE: usize = 64;

/// Who waits for which channel.
#[derive(Debug, Default)]
pub(crate) struct Wakes {
    channels: Mutex<HashMap<String, Channel>>,
}

#[derive(Debug, Default)]
struct Channel {
    wake: Arc<Notify>,
    waiting: usize,
    /// The number of the connection that its messages come by.
    on: u64,
}

/// Somebody who waits.
pub(crate) struct Waiting<'a> {
    wakes: &'a Wakes,
    channel: &'a str,
    wake: Arc<Notify>,
}

impl Wakes {
    /// Takes in what the server sends unasked.
    pub(crate) fn heard(&self, push: &PushInfo) {
        let (PushKind::Message, Some(Value::BulkString(channel))) = (&push.kind, push.data.first())
        else {
            return;
        };
        let Ok(channel) = std::str::from_utf8(channel) else { return };
        if let Some(channel) = self.channels().get(channel) {
            channel.wake.notify_waiters();
        }
    }

    pub(crate) fn wait<'a>(&'a self, channel: &'a str) -> Waiting<'a> {
        let mut channels = self.channels();
        let entry = channels.entry(channel.to_owned()).or_default();
        entry.waiting += 1;
        Waiting { wakes: self, channel, wake: Arc::clone(&entry.wake) }
    }

    fn channels(&self) -> MutexGuard<'_, HashMap<String, Channel>> {
        // The map is whole whenever the lock is free: nothing in between can panic.
        self.channels.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Forgets the channels that nobody waits for, if they are many, and names them.
    fn forget_idle(&self) -> Vec<String> {
        let mut channels = self.channels();
        let idle = |channel: &Channel| channel.waiting == 0;
        if channels.values().filter(|channel| idle(channel)).count() <= IDLE {
            return Vec::new();
        }
        let mut forgotten = Vec::new();
        channels.retain(|name, channel| {
            if idle(channel) {
                forgotten.push(name.clone());
            }
            !idle(channel)
        });
        forgotten
    }
}

impl Waiting<'_> {
    /// A message that comes from now on ends it, once it was polled or enabled.
    pub(crate) fn message(&self) -> Notified<'_> {
        self.wake.notified()
    }

    /// Sees to it that messages come. Without them a change is noticed at the next look.
    pub(crate) async fn subscribe(&self, nodes: &Nodes) {
        let on = self.wakes.channels().get(self.channel).map_or(0, |channel| channel.on);
        // The key's name is the channel's, and its server is asked anyway. In a cluster messages go to all.
        let Ok(way) = nodes.way(self.channel) else { return };
        let link = &way.node.reads;
        let Ok(number) = link.subscribe(self.channel, on).await else { return };
        if number == on {
            return;
        }
        if let Some(channel) = self.wakes.channels().get_mut(self.channel) {
            channel.on = number;
        }
        let idle = self.wakes.forget_idle();
        if !idle.is_empty() {
            link.unsubscribe(&idle).await;
        }
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        if let Some(channel) = self.wakes.channels().get_mut(self.channel) {
            channel.waiting -= 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn channels_that_nobody_waits_for_are_forgotten_once_they_are_many() {
        let wakes = Wakes::default();
        let waited_for = wakes.wait("mine");
        let names: Vec<String> = (0..=IDLE).map(|n| n.to_string()).collect();
        for name in &names {
            assert!(wakes.forget_idle().is_empty());
            drop(wakes.wait(name));
        }
        assert_eq!(wakes.forget_idle().len(), names.len());
        assert!(wakes.forget_idle().is_empty());
        assert_eq!(wakes.channels().len(), 1);
        drop(waited_for);
    }

    #[tokio::test]
    async fn a_message_wakes_those_who_wait_for_its_channel() {
        let wakes = Wakes::default();
        let (one, other) = (wakes.wait("one"), wakes.wait("other"));
        let mut messages = (Box::pin(one.message()), Box::pin(other.message()));
        messages.0.as_mut().enable();
        messages.1.as_mut().enable();
        let data = ["one", "stamp"].map(|text| Value::BulkString(text.into())).to_vec();
        wakes.heard(&PushInfo { kind: PushKind::Message, data });
        assert!(messages.0.as_mut().enable());
        assert!(!messages.1.as_mut().enable());
    }
}
