//! Reading a request's body: its length, its hash, its trailers.

use http::HeaderMap;
use http_body_util::BodyExt;
use hyper::body::{Body, Incoming};
use sha2::{Digest, Sha256};

/// SHA-256 of no bytes.
const EMPTY_SHA256: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

/// What was read of a body.
pub(crate) struct Digested {
    pub(crate) bytes: u64,
    /// In hexadecimal.
    pub(crate) sha256: String,
    pub(crate) trailers: Option<HeaderMap>,
}

/// Reads a body as it comes.
pub(crate) struct Reader {
    body: Incoming,
    bytes: u64,
    hasher: Option<Sha256>,
    trailers: Option<HeaderMap>,
}

impl Reader {
    pub(crate) fn new(body: Incoming) -> Self {
        Self { body, bytes: 0, hasher: None, trailers: None }
    }

    /// Reads to the body's end.
    pub(crate) async fn all(&mut self) -> Result<(), hyper::Error> {
        self.up_to(u64::MAX).await
    }

    /// Reads until there were so many bytes, or to the body's end.
    pub(crate) async fn up_to(&mut self, bytes: u64) -> Result<(), hyper::Error> {
        while self.bytes < bytes && !self.body.is_end_stream() {
            match self.body.frame().await {
                None => break,
                Some(frame) => match frame?.into_data() {
                    Ok(data) => {
                        self.bytes += data.len() as u64;
                        self.hasher.get_or_insert_default().update(&data);
                    }
                    Err(frame) => self.trailers = frame.into_trailers().ok(),
                },
            }
        }
        Ok(())
    }

    pub(crate) fn digest(self) -> Digested {
        let sha256 = match self.hasher {
            None => EMPTY_SHA256.to_owned(),
            Some(hasher) => hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect(),
        };
        Digested { bytes: self.bytes, sha256, trailers: self.trailers }
    }
}
