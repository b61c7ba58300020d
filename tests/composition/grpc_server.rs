//! A tonic server that knows which tokens are good no longer.

use std::collections::HashSet;
use std::pin::Pin;
use std::sync::{Arc, Mutex};

use axum::body::Body;
use axum::extract::{Request, State};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::Response;
use futures_util::{Stream, StreamExt};
use http::HeaderMap;
use http::header::AUTHORIZATION;
use token_core::TokenManager;
use tonic::service::Routes;
use tonic::{Status, Streaming};

use crate::support::Server;

/// What is generated from `proto/parcels.proto`.
#[allow(missing_docs, unreachable_pub, clippy::all)]
pub(crate) mod generated {
    tonic::include_proto!("parcels");
}

use generated::parcels_server::{Parcels, ParcelsServer};
use generated::{Parcel, Weight};

/// A parcel with this content makes a stream fail with status 16 after the parcels before it.
pub(crate) const UNAUTHENTICATED: &[u8] = b"unauthenticated";
/// A parcel with this content is never answered.
pub(crate) const FOREVER: &[u8] = b"for ever";

/// A running server. It takes each bearer token that was not revoked.
pub(crate) struct GrpcServer {
    server: Server,
    state: GrpcState,
}

#[derive(Clone, Default)]
struct GrpcState {
    revoked: Arc<Mutex<HashSet<String>>>,
    heads: Arc<Mutex<Vec<HeaderMap>>>,
}

impl GrpcServer {
    pub(crate) async fn start() -> Self {
        let state = GrpcState::default();
        let router = Routes::new(ParcelsServer::new(Warehouse))
            .prepare()
            .into_axum_router()
            .layer(from_fn_with_state(state.clone(), check));
        Self { server: Server::start(router).await, state }
    }

    pub(crate) fn origin(&self) -> &str {
        &self.server.origin
    }

    /// Refuses this manager's token from now on.
    pub(crate) fn revoke(&self, tokens: &TokenManager) {
        let token = tokens.cached().expect("a token").expose_secret().to_owned();
        self.state.revoked.lock().expect("no panic").insert(token);
    }

    /// The heads of all requests so far.
    pub(crate) fn heads(&self) -> Vec<HeaderMap> {
        self.state.heads.lock().expect("no panic").clone()
    }
}

async fn check(State(state): State<GrpcState>, request: Request, next: Next) -> Response {
    state.heads.lock().expect("no panic").push(request.headers().clone());
    let token = request
        .headers()
        .get(AUTHORIZATION)
        .and_then(|value| value.to_str().ok()?.strip_prefix("Bearer ").map(str::to_owned));
    let refused =
        token.is_none_or(|token| state.revoked.lock().expect("no panic").contains(&token));
    if refused {
        // In the head of a trailers-only answer, before the body was read.
        return Status::unauthenticated("not a good token").into_http::<Body>();
    }
    next.run(request).await
}

struct Warehouse;

type Answers<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

fn weigh(parcels: &[Parcel]) -> Weight {
    let bytes = parcels.iter().flat_map(|parcel| &parcel.content);
    let hash = bytes.clone().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    });
    Weight { bytes: bytes.count() as u64, parcels: parcels.len() as u64, hash }
}

/// What the server answers to parcels that all came.
pub(crate) fn weight_of<'a>(contents: impl IntoIterator<Item = &'a [u8]>) -> Weight {
    let parcels: Vec<_> =
        contents.into_iter().map(|content| Parcel { content: content.to_vec() }).collect();
    weigh(&parcels)
}

fn unless_marked(parcel: &Parcel) -> Result<(), Status> {
    match parcel.content == UNAUTHENTICATED {
        true => Err(Status::unauthenticated("of the caller's own")),
        false => Ok(()),
    }
}

#[tonic::async_trait]
impl Parcels for Warehouse {
    async fn weigh(
        &self,
        request: tonic::Request<Parcel>,
    ) -> Result<tonic::Response<Weight>, Status> {
        let parcel = request.into_inner();
        if parcel.content == FOREVER {
            std::future::pending::<()>().await;
        }
        Ok(tonic::Response::new(weigh(&[parcel])))
    }

    type SplitStream = Answers<Parcel>;

    async fn split(
        &self,
        request: tonic::Request<Parcel>,
    ) -> Result<tonic::Response<Self::SplitStream>, Status> {
        let content = request.into_inner().content;
        let parts: Vec<_> = content
            .split(|byte| *byte == b',')
            .map(|part| {
                let parcel = Parcel { content: part.to_vec() };
                unless_marked(&parcel).map(|()| parcel)
            })
            .collect();
        Ok(tonic::Response::new(Box::pin(futures_util::stream::iter(parts))))
    }

    async fn collect(
        &self,
        request: tonic::Request<Streaming<Parcel>>,
    ) -> Result<tonic::Response<Weight>, Status> {
        let mut stream = request.into_inner();
        let mut parcels = Vec::new();
        while let Some(parcel) = stream.message().await? {
            parcels.push(parcel);
        }
        Ok(tonic::Response::new(weigh(&parcels)))
    }

    type ExchangeStream = Answers<Weight>;

    async fn exchange(
        &self,
        request: tonic::Request<Streaming<Parcel>>,
    ) -> Result<tonic::Response<Self::ExchangeStream>, Status> {
        let answers = request.into_inner().map(|parcel| {
            let parcel = parcel?;
            unless_marked(&parcel)?;
            Ok(weigh(&[parcel]))
        });
        Ok(tonic::Response::new(Box::pin(answers)))
    }
}
