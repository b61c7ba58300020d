//! The options of the program.

use std::{str::FromStr, time::Duration};

use clap::{Parser, ValueEnum};
use token_testkit::{
    ApiFault, DEFAULT_CLIENT_ID, DEFAULT_CLIENT_SECRET, Dialect, Fault, Grace, ParseError, Rotation,
};

use crate::duration_text;

/// An OAuth authorization server that rotates, refuses and dies, and an API that it protects, on
/// loopback, to test an integration against.
///
/// Faults are words such as `status=503 retry-after=7`; several are joined by `;`. The README has
/// the table of them, `GET /control/catalogue` and `GET /control/api-catalogue` an example of each.
#[derive(Parser)]
#[command(version, max_term_width = 100)]
pub(crate) struct Args {
    /// Port of 127.0.0.1 to listen on; 0 takes a free one
    #[arg(long, default_value_t = 8080)]
    pub(crate) port: u16,
    /// What it looks like: oauth, pos-connector, akuvox, high-level, jwt-refresh or nocturna
    #[arg(long, value_name = "NAME", default_value_t)]
    pub(crate) dialect: Dialect,
    /// Id of the one client, in a dialect that has clients
    #[arg(long, default_value = DEFAULT_CLIENT_ID)]
    pub(crate) client_id: String,
    /// Its secret
    #[arg(long, default_value = DEFAULT_CLIENT_SECRET)]
    pub(crate) client_secret: String,
    /// How it must authenticate
    #[arg(long, value_enum, default_value = "either")]
    pub(crate) client_auth: ClientAuth,
    /// A user for the password grant or the login of a dialect; may be given more than once
    #[arg(long = "user", value_name = "NAME:PASSWORD", value_parser = user)]
    pub(crate) users: Vec<(String, String)>,
    /// The IANA zone of the local times that pos-connector answers [default: UTC]
    #[arg(long, value_name = "ZONE")]
    pub(crate) time_zone: Option<String>,
    /// The header of akuvox that has the token
    #[arg(long, value_name = "NAME", default_value = "x-auth-token")]
    pub(crate) token_header: String,
    /// How long access tokens are valid [default: the dialect's, 1h for oauth]
    #[arg(long, value_parser = duration)]
    pub(crate) access_lifetime: Option<Duration>,
    /// How long a refresh token is valid unless it is used [default: the dialect's, for ever for oauth]
    #[arg(long, value_parser = duration)]
    pub(crate) refresh_lifetime: Option<Duration>,
    /// What becomes of a refresh token: rotate, repeat or omit
    #[arg(long, default_value_t)]
    pub(crate) rotation: Rotation,
    /// What a spent refresh token gets: none, or same-pair=30s, new-pair=30s, previous-only=30s [default: the dialect's,
    /// none for oauth]
    #[arg(long)]
    pub(crate) grace: Option<Grace>,
    /// A refresh revokes the family's earlier access tokens
    #[arg(long)]
    pub(crate) revoke_on_refresh: bool,
    /// By how many seconds the Date of every answer is off
    #[arg(long, value_name = "SECONDS", default_value_t = 0, allow_negative_numbers = true)]
    pub(crate) date_skew: i64,
    /// Faults of the first token requests, one each, joined by `;`
    #[arg(long, value_name = "FAULTS", default_value = "")]
    pub(crate) script: Faults<Fault>,
    /// Fault of every token request that the script has none for
    #[arg(long, value_name = "FAULT")]
    pub(crate) always: Option<Fault>,
    /// Part of the token requests that get a random fault, from 0 to 1
    #[arg(long, value_name = "RATE", value_parser = rate, requires = "random_seed", conflicts_with = "always")]
    pub(crate) random_rate: Option<f64>,
    /// The same seed draws the same faults
    #[arg(long, value_name = "SEED", requires = "random_rate")]
    pub(crate) random_seed: Option<u64>,
    /// The faults to draw from, joined by `;`
    #[arg(
        long,
        value_name = "FAULTS",
        default_value = "status=503; status=502 carried-out; reset-before; reset-after; html"
    )]
    pub(crate) random_faults: Faults<Fault>,
    /// Faults of the first API requests, one each, joined by `;`, such as `challenge=Bearer; close`
    #[arg(long, value_name = "FAULTS", default_value = "")]
    pub(crate) api_script: Faults<ApiFault>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum ClientAuth {
    /// Authorization: Basic
    Basic,
    /// client_id and client_secret in the form
    Post,
    /// Either of them
    Either,
    /// client_id in the form, no secret
    Public,
}

/// Faults joined by `;`.
#[derive(Clone, Debug)]
pub(crate) struct Faults<F>(pub(crate) Vec<F>);

impl<F: FromStr<Err = ParseError>> FromStr for Faults<F> {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        if text.trim().is_empty() {
            return Ok(Self(Vec::new()));
        }
        text.split(';').map(str::parse).collect::<Result<_, _>>().map(Self)
    }
}

fn duration(text: &str) -> Result<Duration, String> {
    duration_text::read(text).ok_or_else(|| format!("it is not {}", duration_text::EXPECTED))
}

fn user(text: &str) -> Result<(String, String), String> {
    let (name, password) = text.split_once(':').ok_or("it is not NAME:PASSWORD")?;
    Ok((name.to_owned(), password.to_owned()))
}

fn rate(text: &str) -> Result<f64, String> {
    let rate = text.parse().ok().filter(|rate| (0.0..=1.0).contains(rate));
    rate.ok_or_else(|| "it is not a number from 0 to 1, as in `0.2`".to_owned())
}
