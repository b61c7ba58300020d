//! HTTP as bytes: what a client gets, broken or not. Shared by the kit's tests and the program's.

use std::{
    io::{self, Read, Write},
    net::TcpStream,
    time::Duration,
};

use base64::{Engine, engine::general_purpose::STANDARD};

/// What waits longer than this waits for ever.
const PATIENCE: Duration = Duration::from_secs(30);

/// An answer, as far as it came.
#[derive(Debug)]
pub(crate) struct Raw {
    pub(crate) status: u16,
    head: String,
    pub(crate) body: Vec<u8>,
}

impl Raw {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers(name).next()
    }

    pub(crate) fn headers(&self, name: &str) -> impl Iterator<Item = &str> {
        let lines = self.head.lines().filter_map(|line| line.split_once(": "));
        lines.filter(move |(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("no JSON: {}", self.text()))
    }
}

pub(crate) fn connect(origin: &str) -> io::Result<TcpStream> {
    let stream = TcpStream::connect(origin.trim_start_matches("http://"))?;
    stream.set_read_timeout(Some(PATIENCE))?;
    Ok(stream)
}

/// Sends a request and reads until the connection ends. `None`: it ended without an answer.
pub(crate) fn request(origin: &str, method: &str, path: &str, body: &str) -> Option<Raw> {
    let mut stream = connect(origin).expect("a connection");
    send(&mut stream, method, path, body);
    let mut received = Vec::new();
    // An end with an error is an end as well.
    if let Err(error) = stream.read_to_end(&mut received) {
        assert_ne!(error.kind(), io::ErrorKind::WouldBlock, "no end in time");
    }
    let end_of_head = received.windows(4).position(|four| four == b"\r\n\r\n")?;
    let head = String::from_utf8(received[..end_of_head].to_vec()).expect("a readable head");
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status");
    Some(Raw { status, head, body: received[end_of_head + 4..].to_vec() })
}

pub(crate) fn send(stream: &mut TcpStream, method: &str, path: &str, body: &str) {
    write!(
        stream,
        "{method} {path} HTTP/1.1\r\nHost: kit\r\nConnection: close\r\nAuthorization: Basic {}\r\n\
         Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n\r\n{body}",
        STANDARD.encode("kit-client:kit-secret"),
        body.len(),
    )
    .expect("a request sent");
}

/// The body of a refresh.
pub(crate) fn refresh(refresh_token: &str) -> String {
    format!("grant_type=refresh_token&refresh_token={refresh_token}")
}
