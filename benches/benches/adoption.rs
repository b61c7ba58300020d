//! How long after an answer the last of several processes holds it, in round trips to the Redis that they share. Each has
//! a store, and so connections, of its own, over a wire that takes 20 ms each way. Needs `redis-server` in the path.

use std::error::Error;
use std::io;
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use benches::table;
use redis_servers::Server;
use token_core::store::{StoreKey, TokenStore};
use token_core::{RefreshError, Refresher, Spends, TokenKey, TokenManager, TokenSet};
use token_store_redis::RedisStore;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::time::{sleep, sleep_until};

const PROCESSES: usize = 8;

/// So long that the round trips are all that counts.
const ONE_WAY: Duration = Duration::from_millis(20);

/// Odd, so that the median was measured.
const ROUNDS: usize = 7;

/// After so long the pauses between two looks have grown to their second.
const REST: Duration = Duration::from_secs(7);

/// All that a service has a right to, but messages.
const SILENT: &str = "on nopass resetkeys ~token-refresh:* resetchannels -@all +eval +hmget +hset +exists +copy +wait +info";

fn main() -> Result<(), Box<dyn Error>> {
    if !benches::is_bench() {
        return Ok(());
    }
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    runtime.block_on(run())
}

async fn run() -> Result<(), Box<dyn Error>> {
    let server = Server::start();
    let wire = delayed(server.port()).await?;
    let trip = round_trip(&RedisStore::open(format!("redis://127.0.0.1:{wire}")).await?).await?;
    let words: Vec<&str> = "ACL SETUSER silent".split(' ').chain(SILENT.split(' ')).collect();
    let () = server.ask(&words);
    let mut rows = vec![vec![
        "a round trip".to_owned(),
        table::time(trip),
        "1.0".to_owned(),
        String::new(),
        String::new(),
    ]];
    // An answer that comes at once is the worst for those who look by themselves: they have not seen the intent.
    let slow = 6 * ONE_WAY;
    for (name, user, exchange, goal) in [
        ("with messages", "", slow, "≤ 5 round trips"),
        ("with messages, an answer at once", "", Duration::ZERO, "≤ 5 round trips"),
        ("without", "silent:x@", slow, ""),
        ("without, an answer at once", "silent:x@", Duration::ZERO, "≤ 1.25 s and 3 round trips"),
    ] {
        let url = format!("redis://{user}127.0.0.1:{wire}");
        let times = last_adoptions(&url, name, exchange).await?;
        let last = times.iter().copied().fold(0.0, f64::max);
        let median = table::median(&times);
        rows.push(vec![
            name.to_owned(),
            table::time(median),
            format!("{:.1}", median / trip),
            format!("{:.1}", last / trip),
            goal.to_owned(),
        ]);
    }
    let columns = ["", "median", "round trips", "the longest", "goal"];
    table::print(
        &format!("the last of {PROCESSES} processes holds the new token"),
        &columns,
        &rows,
    );
    Ok(())
}

/// One refreshes; from its answer, with the commit still to be written, to the last that holds it.
async fn last_adoptions(
    url: &str,
    grant: &str,
    exchange: Duration,
) -> Result<Vec<f64>, Box<dyn Error>> {
    let tokens = Tokens { takes: exchange, ..Tokens::default() };
    let key = TokenKey::new(grant.replace([' ', ','], "-"))?;
    let mut managers = Vec::new();
    for _ in 0..PROCESSES {
        let builder = TokenManager::builder(tokens.clone());
        let seed = TokenSet::from_refresh_token("0");
        let builder = builder.key(key.clone()).store(RedisStore::open(url).await?).seed(seed);
        // An empty store may have lost everything just now; here nobody has to wait long for that.
        let deadline = Duration::from_millis(500);
        managers.push(builder.exchange_deadline(deadline).server_drain(deadline).build()?);
    }
    for manager in &managers {
        manager.token().await?;
    }
    let mut times = Vec::new();
    for _ in 0..ROUNDS {
        sleep(REST).await;
        managers[0].refresh_now().await?;
        let (answered, newest) = tokens.newest();
        for manager in &managers {
            while manager.cached().is_none_or(|token| token.expose_secret() != newest) {
                sleep(Duration::from_millis(1)).await;
            }
        }
        times.push(answered.elapsed().as_secs_f64());
    }
    Ok(times)
}

/// The median of what one look takes.
async fn round_trip(store: &RedisStore) -> Result<f64, Box<dyn Error>> {
    let nobodys = StoreKey::from(&TokenKey::new("nobody")?);
    let mut times = Vec::new();
    for _ in 0..ROUNDS {
        let start = Instant::now();
        store.load(&nobodys).await?;
        times.push(start.elapsed().as_secs_f64());
    }
    Ok(table::median(&times))
}

/// An authorization server that remembers when it answered.
#[derive(Clone, Debug, Default)]
struct Tokens {
    takes: Duration,
    answered: Arc<Mutex<(u32, Option<Instant>)>>,
}

impl Tokens {
    fn newest(&self) -> (Instant, String) {
        let state = self.answered.lock().unwrap_or_else(PoisonError::into_inner);
        (state.1.expect("there was an answer"), format!("at-{}", state.0))
    }
}

impl Refresher for Tokens {
    async fn refresh(&self, _: Option<&TokenSet>) -> Result<TokenSet, RefreshError> {
        sleep(self.takes).await;
        let mut state = self.answered.lock().unwrap_or_else(PoisonError::into_inner);
        *state = (state.0 + 1, Some(Instant::now()));
        let tokens = TokenSet::new(format!("at-{}", state.0));
        Ok(tokens
            .with_refresh_token(format!("rt-{}", state.0))
            .with_expires_in(Duration::from_secs(3600)))
    }

    fn spends(&self, _: Option<&TokenSet>) -> Spends {
        Spends::RefreshToken
    }
}

/// A port that leads to another one, 20 ms away in each direction.
async fn delayed(target: u16) -> io::Result<u16> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let port = listener.local_addr()?.port();
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            let Ok(server) = TcpStream::connect((Ipv4Addr::LOCALHOST, target)).await else {
                return;
            };
            let _ = (client.set_nodelay(true), server.set_nodelay(true));
            let (from_client, to_client) = client.into_split();
            let (from_server, to_server) = server.into_split();
            carry(from_client, to_server);
            carry(from_server, to_client);
        }
    });
    Ok(port)
}

/// Each part arrives so long after it was sent, however many are on the way.
fn carry(mut from: OwnedReadHalf, mut to: OwnedWriteHalf) {
    let (sender, mut on_the_way) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        let mut buffer = vec![0; 64 * 1024];
        while let Ok(read @ 1..) = from.read(&mut buffer).await {
            let arrives = tokio::time::Instant::now() + ONE_WAY;
            if sender.send((arrives, buffer[..read].to_vec())).is_err() {
                return;
            }
        }
    });
    tokio::spawn(async move {
        while let Some((arrives, bytes)) = on_the_way.recv().await {
            sleep_until(arrives).await;
            if to.write_all(&bytes).await.is_err() {
                return;
            }
        }
    });
}
