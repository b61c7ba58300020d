//! What the program says at its start.

use std::io::{self, Write};

use token_testkit::{
    AKUVOX_USER_AGENT, AuthorizationServer, DEFAULT_PASSWORD, DEFAULT_USER, Dialect, Login,
};

use crate::{
    args::{Args, ClientAuth},
    duration_text,
};

/// Who has logged in: the client, or the first user where the dialect has no clients.
pub(crate) fn holder(args: &Args) -> &str {
    if has_clients(args) { &args.client_id } else { user(args).0 }
}

/// Everything that somebody with curl needs.
pub(crate) fn introduce(
    out: &mut impl Write,
    args: &Args,
    server: &AuthorizationServer,
    login: &Login,
) -> io::Result<()> {
    let origin = server.origin();
    writeln!(out, "token endpoint  {}", server.token_url())?;
    writeln!(out, "API             {}", server.api_url())?;
    writeln!(out, "control         {origin}/control")?;
    if has_clients(args) {
        let secret = match args.client_auth {
            ClientAuth::Public => "none, it is public",
            _ => &args.client_secret,
        };
        writeln!(out, "client id       {}", args.client_id)?;
        writeln!(out, "client secret   {secret}")?;
    } else {
        let (name, password) = user(args);
        writeln!(out, "user            {name}")?;
        writeln!(out, "password        {password}")?;
    }
    let (access, refresh) = (login.access_token(), login.refresh_token());
    // Without one, or if it is the access token itself, there is no line.
    if !refresh.is_empty() && refresh != access {
        writeln!(out, "refresh token   {refresh}")?;
    }
    let lifetime = duration_text::write(login.expires_in());
    writeln!(out, "access token    {access}  (for {lifetime})")?;
    writeln!(out)?;
    writeln!(out, "Refresh, make the next token request fail, and see what was presented:")?;
    writeln!(out)?;
    writeln!(out, "{}", renewal(args, server, login))?;
    writeln!(
        out,
        "curl -d '{{\"faults\":[\"status=503 retry-after=7\"]}}' {origin}/control/script"
    )?;
    writeln!(out, "curl {origin}/control/history")?;
    out.flush()
}

/// A line of curl that gets new tokens.
fn renewal(args: &Args, server: &AuthorizationServer, login: &Login) -> String {
    const JSON: &str = "curl -H 'Content-Type: application/json'";
    let (url, access, refresh) = (server.token_url(), login.access_token(), login.refresh_token());
    match args.dialect {
        Dialect::PosConnector => {
            let (name, password) = user(args);
            format!("{JSON} -d '{{\"email\":\"{name}\",\"password\":\"{password}\"}}' {url}")
        }
        Dialect::Akuvox => format!(
            "{JSON} -A '{AKUVOX_USER_AGENT}' -H '{}: {access}' \
             -d '{{\"refresh_token\":\"{refresh}\"}}' {url}",
            args.token_header
        ),
        Dialect::JwtRefresh => format!("{JSON} -d '{{\"token\":\"{access}\"}}' {url}"),
        Dialect::Nocturna => format!("curl -X POST '{url}?refresh_token={refresh}'"),
        // OAuth, and what is like it.
        _ => {
            let (id, secret) = (&args.client_id, &args.client_secret);
            let credentials = match args.client_auth {
                ClientAuth::Basic | ClientAuth::Either => format!("-u '{id}:{secret}'"),
                ClientAuth::Post => format!("-d client_id='{id}' -d client_secret='{secret}'"),
                ClientAuth::Public => format!("-d client_id='{id}'"),
            };
            format!(
                "curl {credentials} -d grant_type=refresh_token -d refresh_token={refresh} {url}"
            )
        }
    }
}

fn has_clients(args: &Args) -> bool {
    matches!(args.dialect, Dialect::OAuth | Dialect::HighLevel)
}

/// The user that logs in, and the password.
fn user(args: &Args) -> (&str, &str) {
    let first = args.users.first().map(|(name, password)| (&**name, &**password));
    first.unwrap_or((DEFAULT_USER, DEFAULT_PASSWORD))
}
