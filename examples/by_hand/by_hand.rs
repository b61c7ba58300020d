//! The middleware that people write by hand, in good faith: what a careful service has after a review or two.
//!
//! What it does well: one mutex, held over the refresh, so that whoever waits finds the new token and refreshes no second
//! time; a margin before the end; a timeout at the token endpoint; a 401 for a token that was replaced meanwhile refreshes
//! nothing; one retry and no loop; a body that cannot be cloned is sent all the same; and the tokens are on the disk before
//! they are used, in a file that is replaced in one step and that nobody else can read.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::{Extensions, HeaderValue, StatusCode};
use reqwest::{Client, Request, Response};
use reqwest_middleware::{Error, Middleware, Next, Result};
use serde::{Deserialize, Serialize};
use token_testkit::{DEFAULT_CLIENT_ID, DEFAULT_CLIENT_SECRET};
use tokio::sync::Mutex;

use crate::contender::Setup;

/// What the token of a server that does not say it lasts for.
const USUAL_LIFETIME: Duration = Duration::from_secs(3600);

pub(crate) struct ByHand {
    http: Client,
    token_url: String,
    margin: Duration,
    /// Whether a 401 refreshes whatever has happened meanwhile, as much of such code does.
    always_refresh: bool,
    file: PathBuf,
    tokens: Mutex<Tokens>,
}

#[derive(Clone, Deserialize, Serialize)]
struct Tokens {
    access_token: String,
    refresh_token: String,
    expires_at: SystemTime,
}

/// RFC 6749 §5.1.
#[derive(Deserialize)]
struct TokenAnswer {
    access_token: String,
    refresh_token: Option<String>,
    expires_in: Option<u64>,
}

impl ByHand {
    /// Goes on from its file, or begins with a login.
    pub(crate) fn open(setup: &Setup, always_refresh: bool) -> Result<Self> {
        let file = setup.directory.join("tokens.json");
        let tokens = if file.exists() {
            serde_json::from_slice(&std::fs::read(&file).map_err(Error::middleware)?)
                .map_err(Error::middleware)?
        } else {
            Tokens {
                access_token: setup.access_token.clone(),
                refresh_token: setup.refresh_token.clone(),
                expires_at: setup.expires_at,
            }
        };
        Ok(Self {
            http: Client::builder().timeout(setup.timeout).build()?,
            token_url: setup.token_url.clone(),
            margin: setup.margin,
            always_refresh,
            file,
            tokens: Mutex::new(tokens),
        })
    }

    /// A token that will be good for a while.
    async fn token(&self) -> Result<String> {
        let mut tokens = self.tokens.lock().await;
        if tokens.expires_at <= SystemTime::now() + self.margin {
            self.refresh(&mut tokens).await?;
        }
        Ok(tokens.access_token.clone())
    }

    /// A token other than the one that the API refused.
    async fn token_after(&self, refused: &str) -> Result<String> {
        let mut tokens = self.tokens.lock().await;
        if self.always_refresh || tokens.access_token == refused {
            self.refresh(&mut tokens).await?;
        }
        Ok(tokens.access_token.clone())
    }

    async fn refresh(&self, tokens: &mut Tokens) -> Result<()> {
        let form = form_urlencoded::Serializer::new(String::new())
            .append_pair("grant_type", "refresh_token")
            .append_pair("refresh_token", &tokens.refresh_token)
            .finish();
        let answer = self
            .http
            .post(&self.token_url)
            .basic_auth(DEFAULT_CLIENT_ID, Some(DEFAULT_CLIENT_SECRET))
            .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
            .body(form)
            .send()
            .await?
            .error_for_status()?
            .bytes()
            .await?;
        let answer: TokenAnswer = serde_json::from_slice(&answer).map_err(Error::middleware)?;
        let lifetime = answer.expires_in.map_or(USUAL_LIFETIME, Duration::from_secs);
        let new = Tokens {
            access_token: answer.access_token,
            refresh_token: answer.refresh_token.unwrap_or_else(|| tokens.refresh_token.clone()),
            expires_at: SystemTime::now() + lifetime,
        };
        new.save(&self.file).map_err(Error::middleware)?;
        *tokens = new;
        Ok(())
    }
}

#[async_trait]
impl Middleware for ByHand {
    async fn handle(
        &self,
        mut request: Request,
        extensions: &mut Extensions,
        next: Next<'_>,
    ) -> Result<Response> {
        let retry = request.try_clone();
        let token = self.token().await?;
        attach(&mut request, &token)?;
        let answer = next.clone().run(request, extensions).await?;
        if answer.status() != StatusCode::UNAUTHORIZED {
            return Ok(answer);
        }
        let Some(mut retry) = retry else { return Ok(answer) };
        let token = self.token_after(&token).await?;
        attach(&mut retry, &token)?;
        next.run(retry, extensions).await
    }
}

impl Tokens {
    fn save(&self, file: &Path) -> io::Result<()> {
        let directory = file.parent().unwrap_or(Path::new("."));
        let mut new = tempfile::NamedTempFile::new_in(directory)?;
        new.write_all(&serde_json::to_vec(self)?)?;
        new.as_file().sync_all()?;
        new.persist(file)?;
        Ok(())
    }
}

fn attach(request: &mut Request, token: &str) -> Result<()> {
    let mut value = HeaderValue::from_str(&format!("Bearer {token}")).map_err(Error::middleware)?;
    value.set_sensitive(true);
    request.headers_mut().insert(AUTHORIZATION, value);
    Ok(())
}
