//! One of the processes: managers of all grants over the shared store, callers, and a pipe in each direction.
//!
//! It tells what it does on standard output, one JSON line each, and takes orders from standard input:
//!
//! | order | what it does |
//! |---|---|
//! | `arm before-send` | waits where it reaches this step next, on whatever grant, and says so |
//! | `disarm` | forgets that, and lets go who waits |
//! | `go` | lets go who waits |
//! | `login 3 REFRESH ACCESS` | somebody has logged in to grant 3 |

use std::io::BufRead;
use std::sync::Arc;

use token_core::store::TokenStore;
use token_core::{Freshness, TokenKey, TokenManager, TokenSet};
use token_store_file::FileStore;
use token_store_redis::RedisStore;
use tokio::sync::mpsc;

use crate::options::{CONTROL, Replica, Store};
use crate::stores::{Open, Stores, place_of};
use crate::time::{ACCESS_LIFETIME, EXCHANGE_DEADLINE, SERVER_DRAIN, STORE_DEADLINE};

mod callers;
mod grant;
mod log;
mod pulse;
mod refresher;
mod steps;
mod store;
mod ttl_lock;

use self::grant::Grant;
use self::log::Log;
use self::refresher::Stepping;
use self::steps::Steps;
use self::store::Recorded;

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// The first pause between tries, and the longest: in proportion to the tokens' life.
const BACKOFF: (std::time::Duration, std::time::Duration) =
    (std::time::Duration::from_millis(50), std::time::Duration::from_millis(300));

/// Runs until it is killed, or until its parent is gone.
pub(crate) fn run(options: &Replica) -> Result<(), BoxError> {
    match options.store {
        Store::File => run_over::<FileStore>(options),
        Store::Redis | Store::RedisSentinel => run_over::<RedisStore>(options),
    }
}

fn run_over<S: Open>(options: &Replica) -> Result<(), BoxError> {
    let log = Arc::new(Log::on_stdout()?);
    pulse::watch(&log);
    let steps = Arc::new(Steps::new(Arc::clone(&log)));
    // Nobody is ever armed for a step of the control.
    let no_steps = Arc::new(Steps::new(Arc::clone(&log)));
    // Two threads, so that a caller and a refresh really overlap.
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let stores = Stores::new(options.place.clone())?;
    let mut senders = Vec::new();
    let mut places: Vec<Vec<_>> = (0..stores.places()).map(|_| Vec::new()).collect();
    for number in 0..options.grants + CONTROL {
        let steps = if number < options.grants { &steps } else { &no_steps };
        let grant = Arc::new(Grant::new(options.id, number, Arc::clone(&log), Arc::clone(steps)));
        let (sender, logins) = mpsc::unbounded_channel();
        senders.push(sender);
        places[place_of(number, stores.places()) as usize].push((grant, logins));
    }
    for (place, grants) in (0..).zip(places) {
        let (stores, options) = (stores.clone(), options.clone());
        runtime.spawn(async move {
            // A place that is out of reach keeps nobody from the others.
            let store = stores.open::<S>(place).await;
            for (grant, logins) in grants {
                if let Err(error) = start(&options, store.clone(), &grant, logins) {
                    eprintln!("chaos: grant {} does not start: {error}", grant.number());
                    std::process::exit(1);
                }
            }
        });
    }
    log.write(None, crate::history::What::Ready);
    obey(&steps, &senders);
    Ok(())
}

/// A login that a grant is to take.
struct Login {
    refresh: String,
    access: String,
}

/// Starts a grant on the runtime that this runs on.
fn start(
    options: &Replica,
    store: impl TokenStore + Clone,
    grant: &Arc<Grant>,
    mut logins: mpsc::UnboundedReceiver<Login>,
) -> Result<(), token_core::ConfigError> {
    let key = TokenKey::new(name(grant.number()))?;
    let refresher = Stepping::new(&options.origin, Arc::clone(grant));
    let recorded = Recorded::new(store, Arc::clone(grant));
    if grant.number() >= options.grants {
        tokio::spawn(ttl_lock::hold(recorded, refresher, key, Arc::clone(grant), logins));
        return Ok(());
    }
    let tokens = TokenManager::builder(refresher)
        .store(recorded)
        .key(key)
        .freshness(Freshness::default())
        .exchange_deadline(EXCHANGE_DEADLINE)
        .store_deadline(STORE_DEADLINE)
        .server_drain(SERVER_DRAIN)
        .backoff(BACKOFF.0, BACKOFF.1)
        .refusals(5, BACKOFF.1)
        .build()?;
    callers::start(&tokens, grant, format!("{}/api", options.origin));
    let grant = Arc::clone(grant);
    tokio::spawn(async move {
        while let Some(Login { refresh, access }) = logins.recv().await {
            let set = TokenSet::new(access).with_refresh_token(refresh.as_str());
            grant.login_begins(&refresh);
            let stored = tokens.login(set.with_expires_in(ACCESS_LIFETIME)).await.is_ok();
            grant.login_ended(stored);
        }
    });
    Ok(())
}

/// The name of a grant in the store.
pub(crate) fn name(grant: u32) -> String {
    format!("grant-{grant}")
}

fn obey(steps: &Arc<Steps>, logins: &[mpsc::UnboundedSender<Login>]) {
    let mut orders = std::io::stdin().lock().lines();
    while let Some(Ok(order)) = orders.next() {
        let words: Vec<&str> = order.split(' ').collect();
        match words.as_slice() {
            ["arm", step] => {
                if let Ok(step) = step.parse() {
                    steps.arm(step);
                }
            }
            ["disarm"] => steps.disarm(),
            ["go"] => steps.go(),
            ["login", grant, refresh, access] => {
                let grant = grant.parse().ok().and_then(|grant: usize| logins.get(grant));
                if let Some(grant) = grant {
                    // It runs for as long as this process.
                    let _ = grant.send(Login {
                        refresh: (*refresh).to_owned(),
                        access: (*access).to_owned(),
                    });
                }
            }
            _ => eprintln!("chaos: a replica got an order that it does not know: {}", words[0]),
        }
    }
    // The parent is gone. Nothing of this process is worth a wait.
    std::process::exit(0);
}
