//! Messages about changes: whoever waits for one looks at once. They may be lost, so nobody waits for them alone.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use redis::{PushInfo, PushKind, Value};
use tokio::sync::Notify;
use tokio::sync::futures::Notified;

use crate::nodes::{Node, Nodes};

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
    /// The number of the connection that its messages come by, and the node that it leads to.
    on: u64,
    node: Weak<Node>,
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

    /// Forgets the channels that nobody waits for, if they are many, and names them with their nodes.
    fn forget_idle(&self) -> Vec<(Weak<Node>, Vec<String>)> {
        let mut channels = self.channels();
        let idle = |channel: &Channel| channel.waiting == 0;
        if channels.values().filter(|channel| idle(channel)).count() <= IDLE {
            return Vec::new();
        }
        let mut forgotten: Vec<(Weak<Node>, Vec<String>)> = Vec::new();
        for (name, Channel { node, .. }) in channels.extract_if(|_, channel| idle(channel)) {
            match forgotten.iter_mut().find(|(of, _)| of.ptr_eq(&node)) {
                Some((_, names)) => names.push(name),
                None => forgotten.push((node, vec![name])),
            }
        }
        forgotten
    }

    /// Ends the messages of channels that were forgotten.
    async fn unsubscribe(&self, node: &Node, names: &[String]) {
        node.reads.unsubscribe(names).await;
        // Somebody may have begun to wait for one again just before, and its messages have ended with the others'.
        let mut channels = self.channels();
        for name in names {
            if let Some(channel) = channels.get_mut(name) {
                channel.on = 0;
            }
        }
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
        let Ok(number) = way.node.reads.subscribe(self.channel, on).await else { return };
        if number == on {
            return;
        }
        if let Some(channel) = self.wakes.channels().get_mut(self.channel) {
            (channel.on, channel.node) = (number, Arc::downgrade(&way.node));
        }
        for (node, names) in self.wakes.forget_idle() {
            if let Some(node) = node.upgrade() {
                self.wakes.unsubscribe(&node, &names).await;
            }
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
        let forgotten = wakes.forget_idle();
        assert_eq!(forgotten.len(), 1, "they are of one node");
        assert_eq!(forgotten[0].1.len(), names.len());
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
