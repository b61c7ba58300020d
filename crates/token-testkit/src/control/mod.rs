//! Everything under `/control`: what the handle can do, by HTTP and JSON.

use std::{fmt::Display, sync::Arc, time::Duration};

use http::{HeaderValue, Method, Request, StatusCode, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::{
    ApiFault, DEFAULT_CLIENT_ID, DEFAULT_USER, Fault, Login, RandomFaults,
    response::{self, Reply, Whole},
    script::Script,
    shared::{Shared, State},
};

mod orders;

use orders::{Always, Faults, Kill, Nothing, Random, Refuse, Settings, SignIn, UserActive};

/// A longer request body is refused.
const MAX_BODY: usize = 1024 * 1024;

/// How long to wait before the port is asked for again.
const REOPEN: Duration = Duration::from_millis(100);

/// Every request that is understood: method, path, and an example of its body.
const REQUESTS: &[(&str, &str, &str)] = &[
    ("GET", "/control", ""),
    ("GET", "/control/counters", ""),
    ("GET", "/control/history", ""),
    ("GET", "/control/catalogue", ""),
    ("POST", "/control/record-api", "{}"),
    ("GET", "/control/api-history", ""),
    ("GET", "/control/api-catalogue", ""),
    ("GET", "/control/settings", ""),
    (
        "POST",
        "/control/settings",
        r#"{"access_lifetime":"60s","refresh_lifetime":null,"rotation":"rotate","grace":"same-pair=30s","date_skew":-3600}, of which each may be left out"#,
    ),
    ("POST", "/control/sign-in", r#"{"client_id":"kit-client"}, which may be left out"#),
    ("POST", "/control/user", r#"{"user":"kit-user@example.com","active":false}"#),
    ("POST", "/control/script", r#"{"faults":["status=503 retry-after=7","reset-after"]}"#),
    ("POST", "/control/always", r#"{"fault":"status=503"}, or {"fault":null} to end it"#),
    (
        "POST",
        "/control/random",
        r#"{"rate":0.2,"seed":7,"faults":["status=503","reset-after"]}, or {"rate":0} to end it"#,
    ),
    ("POST", "/control/api-script", r#"{"faults":["challenge=Bearer","close after-bytes=10"]}"#),
    ("POST", "/control/api-always", r#"{"fault":"status=403"}, or {"fault":null} to end it"#),
    ("POST", "/control/revoke-access-tokens", "{}"),
    ("POST", "/control/kill-family", r#"{"token":"a refresh or access token"}"#),
    ("POST", "/control/refuse-connections", r#"{"seconds":5}"#),
];

/// What a request is answered: a status and JSON.
type Outcome = Result<Value, Refused>;

struct Refused(StatusCode, String);

pub(crate) async fn serve(shared: Arc<Shared>, request: Request<Incoming>) -> Reply {
    let (head, body) = request.into_parts();
    let path = head.uri.path();
    let known: Vec<_> = REQUESTS.iter().filter(|(_, known, _)| *known == path).collect();
    let Some((_, _, example)) = known.iter().find(|(method, ..)| head.method == *method) else {
        let methods: Vec<_> = known.iter().map(|(method, ..)| *method).collect();
        return unknown(path, &methods.join(", "));
    };
    let outcome = match read(body).await {
        Ok(_) if head.method == Method::GET => report(&shared, path),
        Ok(body) => order(&shared, path, &body, example).await,
        Err(refused) => Err(refused),
    };
    match outcome {
        Ok(value) => answer(StatusCode::OK, &value).into(),
        Err(Refused(status, why)) => answer(status, &json!({ "error": why })).into(),
    }
}

/// JSON that ends its line, for those who read it in a terminal.
fn answer(status: StatusCode, value: &Value) -> Whole {
    let mut response = response::json(status, value);
    *response.body_mut() = Full::from(format!("{value}\n"));
    response
}

fn unknown(path: &str, allowed: &str) -> Reply {
    let (status, why) = if allowed.is_empty() {
        (StatusCode::NOT_FOUND, format!("there is no {path}; GET /control lists what is"))
    } else {
        (StatusCode::METHOD_NOT_ALLOWED, format!("{path} is for {allowed}; see GET /control"))
    };
    let mut response = answer(status, &json!({ "error": why }));
    if !allowed.is_empty()
        && let Ok(allowed) = HeaderValue::from_str(allowed)
    {
        response.headers_mut().insert(header::ALLOW, allowed);
    }
    response.into()
}

async fn read(body: Incoming) -> Result<Vec<u8>, Refused> {
    match Limited::new(body, MAX_BODY).collect().await {
        Ok(body) => Ok(body.to_bytes().to_vec()),
        Err(_) => Err(Refused(
            StatusCode::PAYLOAD_TOO_LARGE,
            format!("the body could not be read, or is longer than {MAX_BODY} bytes"),
        )),
    }
}

fn report(shared: &Shared, path: &str) -> Outcome {
    Ok(match path {
        "/control/counters" => {
            let state = shared.state();
            let per_generation = state.history.per_generation();
            let per_generation: Vec<_> = per_generation
                .into_iter()
                .map(|((family, generation), presented)| {
                    json!({ "family": family, "generation": generation, "presented": presented })
                })
                .collect();
            json!({ "counters": state.counters, "presentations_per_generation": per_generation })
        }
        "/control/history" => json!(shared.state().history.presentations()),
        "/control/catalogue" => Fault::catalogue().map(|(text, _)| text).collect(),
        "/control/api-history" => {
            let state = shared.state();
            if !state.api_history.recording {
                let why = "no API request is recorded before POST /control/record-api";
                return Err(Refused(StatusCode::CONFLICT, why.to_owned()));
            }
            json!(state.api_history.requests())
        }
        "/control/api-catalogue" => ApiFault::catalogue().map(|(text, _)| text).collect(),
        "/control/settings" => orders::settings(&shared.state()),
        _ => REQUESTS
            .iter()
            .map(|(method, path, body)| json!({ "method": method, "path": path, "body": body }))
            .collect(),
    })
}

async fn order(shared: &Arc<Shared>, path: &str, body: &[u8], example: &str) -> Outcome {
    match path {
        "/control/settings" => {
            let settings: Settings = parse(path, body, example)?;
            let mut state = shared.state();
            settings.apply(&mut state);
            Ok(orders::settings(&state))
        }
        "/control/sign-in" => Ok(sign_in(shared, parse(path, body, example)?)),
        "/control/user" => {
            let UserActive { user, active } = parse(path, body, example)?;
            Ok(json!({ "known": shared.state().users.set_active(&user, active) }))
        }
        "/control/script" => {
            let faults = parse(path, body, example)?;
            Ok(append(&mut shared.state().script, faults))
        }
        "/control/always" => {
            let fault = parse(path, body, example)?;
            Ok(set_always(&mut shared.state().script, fault))
        }
        "/control/api-script" => {
            let faults = parse(path, body, example)?;
            Ok(append(&mut shared.state().api_script, faults))
        }
        "/control/api-always" => {
            let fault = parse(path, body, example)?;
            Ok(set_always(&mut shared.state().api_script, fault))
        }
        "/control/record-api" => {
            let Nothing {} = parse(path, body, example)?;
            shared.state().api_history.recording = true;
            Ok(json!({ "recording": true }))
        }
        "/control/random" => {
            let Random { rate, seed, faults } = parse(path, body, example)?;
            random(&mut shared.state(), rate, seed, faults.into_iter().map(|fault| fault.0))
                .map_err(|why| wrong(path, why, example))
        }
        "/control/revoke-access-tokens" => {
            let Nothing {} = parse(path, body, example)?;
            shared.state().tokens.revoke_access_tokens();
            Ok(json!({ "revoked": true }))
        }
        "/control/kill-family" => {
            let Kill { token } = parse(path, body, example)?;
            Ok(json!({ "revoked": shared.state().revoke_family_of(&token) }))
        }
        _ => {
            let Refuse { seconds } = parse(path, body, example)?;
            let time = Duration::try_from_secs_f64(seconds)
                .ok()
                .filter(|time| !time.is_zero())
                .ok_or_else(|| wrong(path, "`seconds` is not above 0, or too long", example))?;
            refuse_connections(shared, time).await
        }
    }
}

/// An empty body is an object without members.
fn parse<T: DeserializeOwned>(path: &str, body: &[u8], example: &str) -> Result<T, Refused> {
    let body = if body.is_empty() { b"{}" } else { body };
    serde_json::from_slice(body).map_err(|error| wrong(path, error, example))
}

fn wrong(path: &str, why: impl std::fmt::Display, example: &str) -> Refused {
    let why = format!("the body is wrong: {why}. POST {path} takes JSON such as {example}");
    Refused(StatusCode::BAD_REQUEST, why)
}

fn sign_in(shared: &Shared, SignIn { client_id }: SignIn) -> Value {
    let usual = if shared.dialect.has_clients() { DEFAULT_CLIENT_ID } else { DEFAULT_USER };
    let login: Login = shared.sign_in(client_id.as_deref().unwrap_or(usual));
    json!({
        "refresh_token": login.refresh_token(),
        "access_token": login.access_token(),
        "expires_in": login.expires_in().as_secs_f64(),
        "family": login.family(),
    })
}

fn append<F>(script: &mut Script<F>, Faults { faults }: Faults<F>) -> Value
where
    F: Clone + Default + Display,
{
    script.append(faults.into_iter().map(|fault| fault.0));
    let queue: Vec<_> = script.queue().map(F::to_string).collect();
    json!({ "script": queue })
}

fn set_always<F>(script: &mut Script<F>, Always { fault }: Always<F>) -> Value
where
    F: Clone + Default + Display,
{
    let fault = fault.map(|fault| fault.0);
    let text = fault.as_ref().map(F::to_string);
    script.set_always(fault);
    json!({ "always": text })
}

fn random(
    state: &mut State,
    rate: f64,
    seed: Option<u64>,
    faults: impl Iterator<Item = Fault>,
) -> Result<Value, &'static str> {
    let faults: Vec<_> = faults.collect();
    let random = match seed {
        _ if rate == 0.0 => None,
        _ if !(0.0..=1.0).contains(&rate) => return Err("`rate` is not from 0 to 1"),
        None => return Err("`seed` is missing"),
        _ if faults.is_empty() => return Err("`faults` is missing or empty"),
        Some(seed) => Some(RandomFaults::new(seed, rate, faults)),
    };
    state.random = random;
    Ok(json!({ "rate": rate, "seed": seed }))
}

async fn refuse_connections(shared: &Arc<Shared>, time: Duration) -> Outcome {
    let failed = |error: std::io::Error| {
        Refused(StatusCode::INTERNAL_SERVER_ERROR, format!("the listener did not close: {error}"))
    };
    shared.doors.turn(false).await.map_err(failed)?;
    let doors = shared.doors.clone();
    tokio::spawn(async move {
        tokio::time::sleep(time).await;
        // Nobody can ask for it by HTTP now, so it is tried until the port is there again.
        while doors.turn(true).await.is_err() {
            tokio::time::sleep(REOPEN).await;
        }
    });
    Ok(json!({ "refused_seconds": time.as_secs_f64() }))
}
