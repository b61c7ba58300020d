//! The kit as a program, for integrations in any language.

use std::{
    io::{self, Write},
    process::ExitCode,
};

use clap::Parser;
use token_testkit::{AuthorizationServer, Client, Login, RandomFaults};
use tokio::{runtime, signal};

mod args;
#[path = "../duration_text.rs"]
mod duration_text;

use args::{Args, ClientAuth};

fn main() -> ExitCode {
    let args = Args::parse();
    match run(&args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Nobody is left to tell if this fails.
            _ = writeln!(io::stderr(), "error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(args: &Args) -> io::Result<()> {
    let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        // Before anything is printed: who reads the address may send the signal at once.
        let end = end_signal()?;
        let server = start(args)?;
        let login = server.sign_in(&args.client_id);
        introduce(&mut io::stdout().lock(), args, &server, &login)?;
        end.await
    })
}

fn start(args: &Args) -> io::Result<AuthorizationServer> {
    let (id, secret) = (&args.client_id, &args.client_secret);
    let client = match args.client_auth {
        ClientAuth::Basic => Client::basic(id, secret),
        ClientAuth::Post => Client::post(id, secret),
        ClientAuth::Either => Client::confidential(id, secret),
        ClientAuth::Public => Client::public(id),
    };
    let mut builder = AuthorizationServer::builder()
        .port(args.port)
        .client(client)
        .access_lifetime(args.access_lifetime)
        .refresh_lifetime(args.refresh_lifetime)
        .rotation(args.rotation)
        .grace(args.grace)
        .revoke_on_refresh(args.revoke_on_refresh)
        .date_skew(args.date_skew)
        .control(true);
    for (name, password) in &args.users {
        builder = builder.user(name, password);
    }
    let server = builder.start().map_err(|error| {
        let what = format!("cannot listen on port {} of 127.0.0.1: {error}", args.port);
        io::Error::new(error.kind(), what)
    })?;
    server.script(args.script.0.clone());
    server.always(args.always.clone());
    server.api_script(args.api_script.0.clone());
    if let (Some(rate), Some(seed)) = (args.random_rate, args.random_seed) {
        server.random(Some(RandomFaults::new(seed, rate, args.random_faults.0.clone())));
    }
    Ok(server)
}

/// Everything that somebody with curl needs.
fn introduce(
    out: &mut impl Write,
    args: &Args,
    server: &AuthorizationServer,
    login: &Login,
) -> io::Result<()> {
    let (token_url, origin) = (server.token_url(), server.origin());
    let (id, secret) = (&args.client_id, &args.client_secret);
    let (shown_secret, credentials) = match args.client_auth {
        ClientAuth::Basic | ClientAuth::Either => (&**secret, format!("-u '{id}:{secret}'")),
        ClientAuth::Post => (&**secret, format!("-d client_id='{id}' -d client_secret='{secret}'")),
        ClientAuth::Public => ("none, it is public", format!("-d client_id='{id}'")),
    };
    let lifetime = duration_text::write(args.access_lifetime);
    writeln!(out, "token endpoint  {token_url}")?;
    writeln!(out, "API             {}", server.api_url())?;
    writeln!(out, "control         {origin}/control")?;
    writeln!(out, "client id       {id}")?;
    writeln!(out, "client secret   {shown_secret}")?;
    writeln!(out, "refresh token   {}", login.refresh_token())?;
    writeln!(out, "access token    {}  (for {lifetime})", login.access_token())?;
    writeln!(out)?;
    writeln!(out, "Refresh, make the next token request fail, and see what was presented:")?;
    writeln!(out)?;
    let token = login.refresh_token();
    writeln!(
        out,
        "curl {credentials} -d grant_type=refresh_token -d refresh_token={token} {token_url}"
    )?;
    writeln!(
        out,
        "curl -d '{{\"faults\":[\"status=503 retry-after=7\"]}}' {origin}/control/script"
    )?;
    writeln!(out, "curl {origin}/control/history")?;
    out.flush()
}

/// Ends when somebody wants the program to end.
fn end_signal() -> io::Result<impl Future<Output = io::Result<()>>> {
    #[cfg(unix)]
    {
        use signal::unix::{SignalKind, signal};

        let (mut interrupt, mut terminate) =
            (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
        Ok(async move {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
            Ok(())
        })
    }
    #[cfg(not(unix))]
    Ok(signal::ctrl_c())
}
