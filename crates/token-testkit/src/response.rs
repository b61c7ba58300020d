//! Answers, as both endpoints build them.

use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header};
use http_body_util::Full;
use serde::Serialize;

use crate::{
    fault::Drip,
    streamed::{Content, Streamed},
};

/// An answer with its whole body in memory.
pub(crate) type Whole = Response<Full<Bytes>>;

/// What becomes of a request's connection.
pub(crate) enum Reply {
    Answer(Whole),
    /// Its body is sent piece by piece.
    Stream(Response<Streamed>),
    /// The connection is closed without an answer.
    Close,
}

impl Reply {
    pub(crate) fn of(response: Response<Content>, drip: Option<Drip>) -> Self {
        let (head, content) = response.into_parts();
        match content {
            Content::Whole(bytes) if drip.is_none() => {
                Self::Answer(Response::from_parts(head, Full::from(bytes)))
            }
            content => Self::Stream(Response::from_parts(head, Streamed::new(content, drip))),
        }
    }
}

impl From<Whole> for Reply {
    fn from(response: Whole) -> Self {
        Self::Answer(response)
    }
}

pub(crate) fn empty(status: StatusCode) -> Whole {
    let mut response = Response::new(Full::default());
    *response.status_mut() = status;
    response
}

pub(crate) fn json(status: StatusCode, value: &impl Serialize) -> Whole {
    // Structs of strings and numbers always serialize.
    let Ok(body) = serde_json::to_vec(value) else {
        return empty(StatusCode::INTERNAL_SERVER_ERROR);
    };
    let mut response = Response::new(Full::from(body));
    *response.status_mut() = status;
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}
