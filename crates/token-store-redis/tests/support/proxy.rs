//! What stands between a store and its server, and loses answers.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU16, AtomicUsize, Ordering};
use std::thread;

/// What becomes of what is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Route {
    Open,
    /// Writes arrive; then the connection ends instead of the answer.
    LoseAnswersToWrites,
    /// Writes end the connection.
    LoseWrites,
    /// Writes arrive, and are never answered.
    HoldAnswersToWrites,
}

/// A port of its own that leads to another one.
pub(crate) struct Proxy {
    port: u16,
    route: Arc<AtomicU8>,
    target: Arc<AtomicU16>,
    lost: Arc<AtomicUsize>,
    connections: Arc<AtomicUsize>,
}

/// Only scripts that write have it in them.
const WRITE: &[u8] = b"redis.call('HSET'";

impl Proxy {
    pub(crate) fn to(target: u16) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let route = Arc::new(AtomicU8::new(Route::Open as u8));
        let target = Arc::new(AtomicU16::new(target));
        let lost = Arc::new(AtomicUsize::new(0));
        let shared = (Arc::clone(&route), Arc::clone(&target), Arc::clone(&lost));
        let connections = Arc::new(AtomicUsize::new(0));
        let made = Arc::clone(&connections);
        thread::spawn(move || {
            while let Ok((client, _)) = listener.accept() {
                made.fetch_add(1, Ordering::SeqCst);
                let target = shared.1.load(Ordering::SeqCst);
                let Ok(server) = TcpStream::connect((Ipv4Addr::LOCALHOST, target)) else {
                    continue;
                };
                let (route, lost) = (Arc::clone(&shared.0), Arc::clone(&shared.2));
                thread::spawn(move || carry(&client, &server, &route, &lost));
            }
        });
        Self { port, route, target, lost, connections }
    }

    pub(crate) const fn port(&self) -> u16 {
        self.port
    }

    pub(crate) fn set(&self, route: Route) {
        self.route.store(route as u8, Ordering::SeqCst);
    }

    /// How many writes, or answers to them, did not arrive.
    pub(crate) fn lost(&self) -> usize {
        self.lost.load(Ordering::SeqCst)
    }

    /// How many connections were made, also those that led nowhere.
    pub(crate) fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    /// Leads new connections to another server, as a name or an address does after a failover.
    pub(crate) fn lead_to(&self, target: u16) {
        self.target.store(target, Ordering::SeqCst);
    }
}

fn carry(client: &TcpStream, server: &TcpStream, route: &Arc<AtomicU8>, lost: &AtomicUsize) {
    let (mut from, mut to) = (client.try_clone().unwrap(), server.try_clone().unwrap());
    let (mut back_from, mut back_to) = (server.try_clone().unwrap(), client.try_clone().unwrap());
    let up = Arc::clone(route);
    let held = Arc::new(AtomicU8::new(Route::Open as u8));
    let hold = Arc::clone(&held);
    thread::spawn(move || {
        let mut buffer = [0; 64 * 1024];
        while let Ok(read @ 1..) = back_from.read(&mut buffer) {
            match held.load(Ordering::SeqCst) {
                lose if lose == Route::LoseAnswersToWrites as u8 => break,
                hold if hold == Route::HoldAnswersToWrites as u8 => {}
                _ if back_to.write_all(&buffer[..read]).is_err() => break,
                _ => {}
            }
        }
        let _ = (back_from.shutdown(Shutdown::Both), back_to.shutdown(Shutdown::Both));
    });
    let mut buffer = [0; 64 * 1024];
    let mut before = Vec::new();
    while let Ok(read @ 1..) = from.read(&mut buffer) {
        // A script may come in two parts.
        before.extend_from_slice(&buffer[..read]);
        if before.windows(WRITE.len()).any(|part| part == WRITE) {
            let route = up.load(Ordering::SeqCst);
            hold.store(route, Ordering::SeqCst);
            lost.fetch_add(usize::from(route != Route::Open as u8), Ordering::SeqCst);
            if route == Route::LoseWrites as u8 {
                break;
            }
            before.clear();
        }
        before.drain(..before.len().saturating_sub(WRITE.len()));
        if to.write_all(&buffer[..read]).is_err() {
            break;
        }
    }
    let _ = (from.shutdown(Shutdown::Both), to.shutdown(Shutdown::Both));
}
