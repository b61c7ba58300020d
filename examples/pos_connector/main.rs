//! A point of sale on a Laravel backend: a password login, no refresh token, and tokens whose end is a local time without a
//! zone. An invoice is created, submitted, waited for and downloaded, and its calls know of no token.
//!
//! `cargo run --example pos_connector` plays it against a server of the kit, whose tokens end in the midst. Against yours:
//!
//! ```sh
//! POS_EMAIL=ada@example.com POS_PASSWORD_FILE=/run/secrets/pos cargo run --example pos_connector -- --url http://127.0.0.1:8000 --zone Europe/Berlin
//! ```

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use examples::{BoxError, claim, end, say, state_of};
use token_core::endpoint::profile::Profile;

mod connector;
mod kit;

use self::connector::PosConnector;

/// An invoice's way through a point of sale that has nothing but a password.
///
/// Without --url it starts a server of its own. POS_EMAIL and POS_PASSWORD say who logs in, or POS_EMAIL_FILE and
/// POS_PASSWORD_FILE name files of mode 0600.
#[derive(Debug, Parser)]
struct Options {
    /// Where the backend is.
    #[arg(long)]
    url: Option<String>,

    /// The IANA zone of its local times: `app.timezone` in Laravel.
    #[arg(long, default_value = "UTC")]
    zone: String,

    /// Where the invoice is written to.
    #[arg(long, default_value = "invoice.pdf")]
    pdf: PathBuf,
}

#[tokio::main]
async fn main() -> ExitCode {
    let options = Options::parse();
    let outcome = match &options.url {
        Some(url) => run(url, &options).await,
        None => kit::play().await,
    };
    end("pos_connector", outcome)
}

async fn run(url: &str, options: &Options) -> Result<(), BoxError> {
    let profile =
        Profile::shipped("pos-connector")?.with_base_url(url)?.with_zone(&options.zone)?;
    let pos = PosConnector::new(profile, url)?;
    say!("the API takes the token: {}", pos.is_valid().await?);
    say!("{}", state_of(&pos.tokens.status()));
    let pdf = invoice(&pos, |_| {}).await?;
    std::fs::write(&options.pdf, pdf)?;
    say!("{} written", options.pdf.display());
    Ok(())
}

/// The steps of an invoice; something may happen after each.
async fn invoice(pos: &PosConnector, happens: impl Fn(&str)) -> Result<Vec<u8>, BoxError> {
    let id = pos.create_invoice("2 espressi", 540).await?;
    say!("invoice {id} created");
    happens("created");
    pos.submit_invoice(id).await?;
    say!("invoice {id} submitted");
    happens("submitted");
    let mut waited = 0;
    loop {
        let status = pos.invoice_status(id).await?;
        say!("invoice {id} is {status}");
        if status == "done" {
            break;
        }
        claim!(waited < 100, "invoice {id} is still {status}; ask the backend what it waits for");
        waited += 1;
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    happens("done");
    let pdf = pos.download_invoice_pdf(id).await?;
    say!("invoice {id} downloaded, {} bytes", pdf.len());
    Ok(pdf)
}
