//! npm's `oidc-provider` in a process of its own: an authorization server that nobody here wrote.

mod login;

use std::io::{BufRead, BufReader, ErrorKind};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, Request};
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use token_core::endpoint::{ClientAuth, TokenEndpoint};
use token_core::http::Origins;
use token_core::{TokenManager, TokenManagerBuilder, TokenSet};
use tower_token_refresh::TokenRefreshLayer;

use crate::client::{Answer, ApiClient, TestBody};
use crate::kit::{Http, Kit};
use crate::wait::{PATIENCE, soon};

const CLIENT_ID: &str = "billing";
const CLIENT_SECRET: &str = "billing-secret";

/// The provider, which rotates at every refresh and revokes the grant on reuse. It is killed when it is dropped.
#[derive(Debug)]
pub struct OidcProvider {
    process: Child,
    url: String,
    http: Client<HttpConnector, Full<Bytes>>,
}

impl OidcProvider {
    /// Starts one on a free port, whose access tokens live so many whole seconds.
    ///
    /// # Panics
    ///
    /// Node or the locked packages are missing, or it does not start.
    pub fn start(access_seconds: u32) -> Self {
        const MISSING: &str = "Node.js or oidc-provider is not installed: run `cargo xtask test`, which installs both";
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("oidc-provider");
        assert!(folder.join("node_modules/oidc-provider").is_dir(), "{MISSING}");
        let newer = folder.join("newer-node/node_modules/node/bin/node");
        let node = if newer.is_file() { newer } else { PathBuf::from("node") };
        let mut process = Command::new(node)
            .args(["server.mjs", &access_seconds.to_string()])
            .current_dir(folder)
            // It ends when this end of the pipe does, however this process ends.
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| match error.kind() {
                ErrorKind::NotFound => panic!("{MISSING}"),
                _ => panic!("node did not start: {error}"),
            });
        let stdout = process.stdout.take().expect("it is piped");
        let (sender, first) = mpsc::channel();
        // In a thread, because nothing else ends a read that waits for ever.
        std::thread::spawn(move || {
            let mut line = String::new();
            let _ = sender.send(BufReader::new(stdout).read_line(&mut line).map(|_| line));
        });
        let line = match first.recv_timeout(PATIENCE) {
            Ok(line) => line.expect("a line"),
            Err(_) => {
                let _ = process.kill();
                panic!("server.mjs did not say its URL within {PATIENCE:?}");
            }
        };
        let line: Value = serde_json::from_str(&line)
            .expect("server.mjs prints its URL; why it did not is on stderr");
        let url = line["url"].as_str().expect("a URL").to_owned();
        // A pooled connection may be one that a stopped or killed server has just left.
        let http = Client::builder(TokioExecutor::new())
            .pool_max_idle_per_host(0)
            .build(HttpConnector::new());
        Self { process, url, http }
    }

    /// The refresh-token grant of the server's client.
    pub fn endpoint(&self) -> TokenEndpoint<Http> {
        self.endpoint_with_secret(CLIENT_SECRET)
    }

    /// The same with another secret.
    pub fn endpoint_with_secret(&self, secret: &str) -> TokenEndpoint<Http> {
        let auth = ClientAuth::basic(CLIENT_ID, secret);
        TokenEndpoint::refresh_token(Kit::http(), self.token_url(), auth)
    }

    /// A manager to be, with these tokens as its seed.
    pub fn manager(&self, tokens: TokenSet) -> TokenManagerBuilder {
        TokenManager::builder(self.endpoint()).seed(tokens)
    }

    /// A client of the server's `/api`, with the layer.
    ///
    /// # Panics
    ///
    /// The server's origin is none.
    pub fn client(&self, tokens: &TokenManager) -> ApiClient<TestBody> {
        let origins = Origins::only(&self.url).expect("an origin");
        ApiClient::new(TokenRefreshLayer::new(tokens.clone(), origins), format!("{}/api", self.url))
    }

    /// What the server has counted so far under this name; server.mjs has the names.
    ///
    /// # Panics
    ///
    /// It counts nothing under this name.
    pub async fn count(&self, name: &str) -> u64 {
        let answer = self.send("GET", "/stats", HeaderMap::new(), "").await;
        let stats: Value = serde_json::from_slice(&answer.body).expect("JSON");
        stats[name].as_u64().unwrap_or_else(|| panic!("no counter `{name}`: {stats}"))
    }

    /// Waits until the server has counted so many.
    pub async fn until(&self, name: &str, count: u64) {
        soon(async {
            while self.count(name).await < count {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        })
        .await;
    }

    /// Has one of the server's switches thrown; server.mjs has the paths.
    pub async fn switch(&self, path: &str) {
        let answer = self.send("POST", path, HeaderMap::new(), "").await;
        assert_eq!(answer.status, 204, "{path}: {answer:?}");
    }

    /// Presents a refresh token by hand (RFC 6749 §6).
    pub async fn present(&self, refresh_token: &str) -> Answer {
        let fields = [("grant_type", "refresh_token"), ("refresh_token", refresh_token)];
        self.as_client("/token", &fields).await
    }

    /// Revokes a token at the revocation endpoint (RFC 7009).
    pub async fn revoke(&self, token: &str) -> Answer {
        self.as_client("/token/revocation", &[("token", token)]).await
    }

    /// Stops the process where it is: its sockets take what is sent and nobody answers.
    pub fn stop(&self) {
        self.signal(Signal::STOP);
    }

    /// Lets a stopped process go on.
    pub fn go_on(&self) {
        self.signal(Signal::CONT);
    }

    /// Kills the process, and with it all that it knew.
    pub fn kill(&mut self) {
        // It may have ended by itself, which is no worse.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }

    fn token_url(&self) -> String {
        format!("{}/token", self.url)
    }

    fn signal(&self, signal: Signal) {
        let pid = self.process.id().try_into().ok().and_then(Pid::from_raw).expect("a process id");
        kill_process(pid, signal).expect("the process is there");
    }

    async fn as_client(&self, path: &str, fields: &[(&str, &str)]) -> Answer {
        let mut headers = HeaderMap::new();
        let pair = BASE64_STANDARD.encode(format!("{CLIENT_ID}:{CLIENT_SECRET}"));
        let basic = HeaderValue::try_from(format!("Basic {pair}")).expect("base 64");
        headers.insert(AUTHORIZATION, basic);
        let form = HeaderValue::from_static("application/x-www-form-urlencoded");
        headers.insert(CONTENT_TYPE, form);
        let body = form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
        self.send("POST", path, headers, &body).await
    }

    /// Sends a request past the layer, and follows no redirect.
    async fn send(&self, method: &str, path: &str, headers: HeaderMap, body: &str) -> Answer {
        let body = Full::from(body.to_owned());
        let uri = format!("{}{path}", self.url);
        let mut request = Request::builder().method(method).uri(uri).body(body).expect("valid");
        *request.headers_mut() = headers;
        soon(async {
            let (head, body) = self.http.request(request).await.expect("an answer").into_parts();
            let body = body.collect().await.expect("a body").to_bytes();
            Answer { status: head.status, headers: head.headers, body }
        })
        .await
    }
}

impl Drop for OidcProvider {
    fn drop(&mut self) {
        self.kill();
    }
}
