//! What stands between a store and its server, writes down the commands, and stops connections.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread;

/// The commands of a connection that were sent before an answer came to any of them.
pub(crate) type Trip = Vec<String>;

/// A port that leads to a server.
#[derive(Clone)]
pub(crate) struct Wire {
    port: u16,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    connections: Vec<Connection>,
    /// Nothing passes in either direction, but on this connection.
    only: Option<usize>,
    /// Nothing passes at all.
    cut: bool,
    /// No more than so many commands pass after the next message of a connection; and how many each had before.
    after_message: Option<(usize, Vec<usize>)>,
}

#[derive(Default)]
struct Connection {
    trips: Vec<Trip>,
    /// Something came back after the last command, or nothing was sent yet.
    answered: bool,
    /// How many messages about changes came by it, and how many commands were sent before the last of them.
    messages: usize,
    before_message: usize,
}

impl Wire {
    pub(crate) fn to(target: u16) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port is free");
        let port = listener.local_addr().expect("it has one").port();
        let wire = Self { port, shared: Arc::default() };
        let shared = Arc::clone(&wire.shared);
        thread::spawn(move || {
            while let Ok((client, _)) = listener.accept() {
                let Ok(server) = TcpStream::connect((Ipv4Addr::LOCALHOST, target)) else {
                    continue;
                };
                shared.carry(client, server);
            }
        });
        wire
    }

    pub(crate) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// The connection that has sent a swap.
    pub(crate) fn writes(&self) -> usize {
        let is_swap = |trip: &Trip| trip.iter().any(|command| command == "EVAL swap");
        let state = self.shared.state();
        let writes = |connection: &Connection| connection.trips.iter().any(is_swap);
        state.connections.iter().rposition(writes).expect("somebody has written")
    }

    /// Everything that a connection has sent.
    pub(crate) fn trips(&self, connection: usize) -> Vec<Trip> {
        self.shared.state().connections[connection].trips.clone()
    }

    /// How many messages have come.
    pub(crate) fn messages(&self) -> usize {
        self.shared.state().connections.iter().map(|connection| connection.messages).sum()
    }

    /// What was sent after the last message, by the connection that it came by.
    pub(crate) fn since_message(&self) -> Vec<String> {
        let state = self.shared.state();
        let heard = state.connections.iter().rfind(|connection| connection.messages > 0);
        heard.expect("a message has come").since_message().cloned().collect()
    }

    /// Lets so many commands pass after the next message of a connection, and then none.
    pub(crate) fn stop_after_message(&self, commands: usize) {
        let mut state = self.shared.state();
        let before = state.connections.iter().map(|connection| connection.messages).collect();
        state.after_message = Some((commands, before));
    }

    /// Stops every connection but this one.
    pub(crate) fn stop_all_but(&self, connection: usize) {
        self.shared.state().only = Some(connection);
    }

    /// Stops all, those that are made from now on too.
    pub(crate) fn cut(&self) {
        self.shared.state().cut = true;
    }

    pub(crate) fn mend(&self) {
        let mut state = self.shared.state();
        (state.only, state.cut, state.after_message) = (None, false, None);
        drop(state);
        self.shared.changed.notify_all();
    }
}

impl State {
    /// Whether a connection has sent all that it may after a message.
    fn is_spent(&self, number: usize) -> bool {
        let Some((commands, before)) = &self.after_message else { return false };
        let connection = &self.connections[number];
        let heard = connection.messages > before.get(number).copied().unwrap_or_default();
        heard && connection.since_message().count() >= *commands
    }
}

impl Connection {
    fn since_message(&self) -> impl Iterator<Item = &String> {
        self.trips.iter().flatten().skip(self.before_message)
    }
}

impl Shared {
    fn carry(self: &Arc<Self>, client: TcpStream, server: TcpStream) {
        let number = {
            let mut state = self.state();
            state.connections.push(Connection { answered: true, ..Connection::default() });
            state.connections.len() - 1
        };
        let (to_server, to_client) = (server.try_clone(), client.try_clone());
        let (up, down) = (Arc::clone(self), Arc::clone(self));
        let to_server = to_server.expect("a socket");
        thread::spawn(move || {
            let mut rest = Vec::new();
            pass(client, to_server, |bytes| {
                up.until_it_may(number, State::is_spent);
                rest.extend_from_slice(bytes);
                up.sent(number, &mut rest);
            });
        });
        let to_client = to_client.expect("a socket");
        thread::spawn(move || {
            pass(server, to_client, |bytes| {
                down.until_it_may(number, |_, _| false);
                down.came(number, bytes);
            });
        });
    }

    fn until_it_may(&self, number: usize, not_now: impl Fn(&State, usize) -> bool) {
        let stopped = |state: &mut State| {
            state.cut || state.only.is_some_and(|only| only != number) || not_now(state, number)
        };
        let state = self.changed.wait_while(self.state(), stopped);
        drop(state.expect("nobody panics with the lock"));
    }

    fn sent(&self, number: usize, rest: &mut Vec<u8>) {
        let mut state = self.state();
        let connection = &mut state.connections[number];
        while let Some((name, length)) = command(rest) {
            rest.drain(..length);
            if std::mem::take(&mut connection.answered) {
                connection.trips.push(Trip::new());
            }
            connection.trips.last_mut().expect("there is one").push(name);
        }
    }

    fn came(&self, number: usize, bytes: &[u8]) {
        let mut state = self.state();
        let connection = &mut state.connections[number];
        connection.answered = true;
        // So a message begins, with its length and its kind.
        let messages = bytes.windows(15).filter(|part| part == b">3\r\n$7\r\nmessage").count();
        if messages > 0 {
            connection.messages += messages;
            connection.before_message = connection.trips.iter().flatten().count();
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("nobody panics with the lock")
    }
}

fn pass(mut from: TcpStream, mut to: TcpStream, mut see: impl FnMut(&[u8])) {
    let mut buffer = [0; 64 * 1024];
    while let Ok(read @ 1..) = from.read(&mut buffer) {
        see(&buffer[..read]);
        if to.write_all(&buffer[..read]).is_err() {
            break;
        }
    }
    let _ = (from.shutdown(Shutdown::Both), to.shutdown(Shutdown::Both));
}

/// The first whole command, and how many bytes it has. Of a script what it does.
fn command(bytes: &[u8]) -> Option<(String, usize)> {
    let mut at = 0;
    let mut words = Vec::new();
    for _ in 0..number(bytes, &mut at)? {
        let length = number(bytes, &mut at)?;
        words.push(String::from_utf8_lossy(bytes.get(at..at + length)?).into_owned());
        at += length + 2;
    }
    (at <= bytes.len()).then_some(())?;
    let name = words.first()?.to_uppercase();
    let does = words.get(1).filter(|_| name == "EVAL").map(|script| match script {
        script if script.contains("'HSET'") => " swap",
        _ => " read",
    });
    Some((name + does.unwrap_or_default(), at))
}

/// The number of a line such as `*3` or `$12`.
fn number(bytes: &[u8], at: &mut usize) -> Option<usize> {
    let line = bytes.get(*at..)?;
    let end = line.windows(2).position(|part| part == b"\r\n")?;
    *at += end + 2;
    std::str::from_utf8(line.get(1..end)?).ok()?.parse().ok()
}
