//! The kit as a program, for integrations in any language.

use std::{
    io::{self, Write},
    process::ExitCode,
};

use clap::Parser;
use token_testkit::{AuthorizationServer, Client, RandomFaults};
use tokio::{runtime, signal};

mod args;
#[path = "../duration_text.rs"]
mod duration_text;
mod introduce;

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
        let login = server.sign_in(introduce::holder(args));
        introduce::introduce(&mut io::stdout().lock(), args, &server, &login)?;
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
        .dialect(args.dialect)
        .port(args.port)
        .client(client)
        .rotation(args.rotation)
        .revoke_on_refresh(args.revoke_on_refresh)
        .date_skew(args.date_skew)
        .token_header(&args.token_header)
        .control(true);
    if let Some(zone) = &args.time_zone {
        builder = builder.time_zone(zone);
    }
    if let Some(lifetime) = args.access_lifetime {
        builder = builder.access_lifetime(lifetime);
    }
    if let Some(lifetime) = args.refresh_lifetime {
        builder = builder.refresh_lifetime(Some(lifetime));
    }
    if let Some(grace) = args.grace {
        builder = builder.grace(grace);
    }
    for (name, password) in &args.users {
        builder = builder.user(name, password);
    }
    let server = builder.start().map_err(|error| match error.kind() {
        io::ErrorKind::InvalidInput => error,
        kind => {
            let what = format!("cannot listen on port {} of 127.0.0.1: {error}", args.port);
            io::Error::new(kind, what)
        }
    })?;
    server.script(args.script.0.clone());
    server.always(args.always.clone());
    server.api_script(args.api_script.0.clone());
    if let (Some(rate), Some(seed)) = (args.random_rate, args.random_seed) {
        server.random(Some(RandomFaults::new(seed, rate, args.random_faults.0.clone())));
    }
    Ok(server)
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
