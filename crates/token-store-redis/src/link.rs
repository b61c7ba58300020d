//! One connection to the server: made when it is needed, judged before it is used, made anew when it fails.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use redis::aio::{MultiplexedConnection, SendError};
use redis::{AsyncConnectionConfig, Cmd, ErrorKind, Pipeline, RedisError, ServerErrorKind, Value};
use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::server::Server;
use crate::source::Source;
use crate::wake::Wakes;

/// A connection that many use at once. What one of them gives up goes on to its end.
pub(crate) struct Link {
    source: Arc<Source>,
    limits: Limits,
    /// Takes what the server sends unasked.
    wakes: Option<Arc<Wakes>>,
    /// Whether it leads to a node of a cluster.
    in_cluster: bool,
    state: Mutex<State>,
    /// How often it was left in vain because the server's replicas are missed.
    doubts: AtomicU32,
}

/// A connection to a server whose replicas are missed lasts so long, and twice that each time that it was left in vain: it may
/// lead to a former master, and a replica may be missing for days.
const DOUBT: Duration = Duration::from_secs(1);

/// No longer than 8 s, so that what only one process knows is back before the settle barrier of the others is over.
const LONGEST_DOUBT: u32 = 3;

/// However many ask, ten connections a second are tried, and no more: the server may be on its way back, and Sentinels have
/// better things to do while one is.
const BETWEEN_CONNECTIONS: Duration = Duration::from_millis(100);

/// How long the server may take.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    pub(crate) connect: Duration,
    pub(crate) answer: Duration,
    /// And its replicas, after that.
    pub(crate) replicas: Duration,
}

/// What was answered to a write.
pub(crate) struct Written {
    pub(crate) answer: Value,
    /// How many replicas have it, as far as they were asked.
    pub(crate) on: u32,
    /// The connection that it was written on.
    open: Open,
}

/// Why there is no answer to be had.
#[derive(Clone, Debug)]
pub(crate) enum Trouble {
    /// There is no connection, so nothing was sent.
    Unreached(RedisError),
    /// The server is not one to keep records on; nothing was sent.
    Unsuitable(String),
    /// The server answered with an error, and has done nothing.
    Refused(RedisError),
    /// It was sent, perhaps, and the answer is missing.
    Unanswered(RedisError),
    /// The answer has another form than the command has.
    Odd,
}

/// The number of the next connection.
static MADE: AtomicU64 = AtomicU64::new(1);

#[derive(Default)]
struct State {
    open: Option<Open>,
    /// The last attempt that failed, for those who waited for it.
    failed: Option<(Instant, Trouble)>,
}

/// A connection that is open, or was.
#[derive(Clone)]
pub(crate) struct Open {
    connection: MultiplexedConnection,
    /// No other has it in this process.
    number: u64,
    /// Whether this caller made it.
    pub(crate) new: bool,
    made: Instant,
}

impl Link {
    pub(crate) fn new(
        source: Arc<Source>,
        limits: Limits,
        wakes: Option<Arc<Wakes>>,
        in_cluster: bool,
    ) -> Self {
        let (state, doubts) = (Mutex::default(), AtomicU32::new(0));
        Self { source, limits, wakes, in_cluster, state, doubts }
    }

    /// Asks for what can be asked for twice.
    pub(crate) async fn read(&self, command: &Cmd) -> Result<Value, Trouble> {
        let open = self.open().await?;
        let new = open.new;
        match self.ask(open, command).await {
            // The server may have closed it while nobody used it.
            Err(Trouble::Unanswered(error)) if !new && !error.is_timeout() => {
                let open = self.open().await?;
                self.ask(open, command).await
            }
            answer => answer,
        }
    }

    /// Asks once, and waits until so many replicas have what this connection wrote: how many have it.
    ///
    /// Both go out together. Asked for on another connection, or on one made anew, the wait would be for somebody else's
    /// writes.
    pub(crate) async fn write(&self, command: &Cmd, replicas: u32) -> Result<Written, Trouble> {
        let open = self.open().await?;
        if replicas == 0 {
            let answer = self.ask(open.clone(), command).await?;
            return Ok(Written { answer, on: 0, open });
        }
        let mut both = redis::pipe();
        both.ignore_errors().add_command(command.clone()).add_command(self.wait(replicas));
        let mut connection = open.connection.clone();
        let answers: Result<Vec<Value>, _> = both.query_async(&mut connection).await;
        let mut answers = match answers {
            Ok(answers) => answers.into_iter(),
            Err(error) => return Err(self.failed(open.number, error).await),
        };
        match answers.next() {
            Some(Value::ServerError(error)) => Err(self.failed(open.number, error.into()).await),
            Some(answer) => Ok(Written { answer, on: count(answers.next()), open }),
            None => Err(Trouble::Odd),
        }
    }

    /// How many replicas have what was written, after a wait for so many.
    pub(crate) async fn spread(&self, written: &Written, replicas: u32) -> u32 {
        let mut connection = written.open.connection.clone();
        count(self.wait(replicas).query_async(&mut connection).await.ok())
    }

    /// Makes the next one begin on another connection: the server may not be the master any more, and does not know.
    pub(crate) async fn leave(&self, written: &Written) {
        self.leave_if(|open| open.number == written.open.number).await;
    }

    /// The same where there is no answer to go by.
    pub(crate) async fn leave_any(&self) {
        self.leave_if(|_| true).await;
    }

    /// The same where the server's replicas are missed, and at most so often, as soon as there is another connection; whether
    /// there is.
    pub(crate) async fn doubt(&self, missed: bool) -> bool {
        if !missed {
            self.doubts.store(0, Ordering::Relaxed);
            return false;
        }
        let pause = DOUBT * 2_u32.pow(self.doubts.load(Ordering::Relaxed).min(LONGEST_DOUBT));
        let doubted = {
            let mut state = self.state.lock().await;
            let Some(open) = state.open.as_mut().filter(|open| open.made.elapsed() >= pause) else {
                return false;
            };
            // Nobody else doubts it meanwhile, and it is used.
            open.made = Instant::now();
            open.number
        };
        self.doubts.fetch_add(1, Ordering::Relaxed);
        let Ok(connection) = self.connect().await else { return false };
        let mut state = self.state.lock().await;
        let left = state.open.as_ref().is_some_and(|open| open.number == doubted);
        if left {
            state.open = Some(Open::new(connection));
        }
        left
    }

    /// One that was made a moment ago leads to no other server.
    async fn leave_if(&self, is_meant: impl Fn(&Open) -> bool) {
        let is_old = |open: &Open| open.made.elapsed() >= BETWEEN_CONNECTIONS;
        self.state.lock().await.open.take_if(|open| is_old(open) && is_meant(open));
    }

    fn wait(&self, replicas: u32) -> Cmd {
        let mut command = redis::cmd("WAIT");
        // Zero milliseconds would be for ever.
        command.arg(replicas).arg(self.limits.replicas.as_millis().max(1).to_string());
        command
    }

    /// Asks for several things that can be asked for twice; each has an answer of its own.
    pub(crate) async fn read_all(&self, commands: &Pipeline) -> Result<Vec<Value>, Trouble> {
        let open = self.open().await?;
        let mut connection = open.connection.clone();
        match commands.query_async(&mut connection).await {
            Ok(answers) => Ok(answers),
            Err(error) => Err(self.failed(open.number, error).await),
        }
    }

    /// Has the messages of this channel sent to the connection that is in use, and returns its number: nothing is to be done
    /// if that is `on`.
    ///
    /// A server that denies the right is not asked again on the same connection.
    pub(crate) async fn subscribe(&self, channel: &str, on: u64) -> Result<u64, Trouble> {
        let Open { mut connection, number, .. } = self.open().await?;
        if number != on
            && let Err(error) = connection.subscribe(channel).await
            && error.kind() != ErrorKind::Server(ServerErrorKind::NoPerm)
        {
            return Err(self.failed(number, error).await);
        }
        Ok(number)
    }

    /// Ends what [`subscribe`](Self::subscribe) began. A channel that remains costs a message now and then.
    pub(crate) async fn unsubscribe(&self, channels: &[String]) {
        // With its connection a subscription is gone as well.
        let open = self.state.lock().await.open.clone();
        if let Some(Open { mut connection, .. }) = open {
            let _ = connection.unsubscribe(channels).await;
        }
    }

    /// Asks on this connection and on no other.
    pub(crate) async fn ask(&self, open: Open, command: &Cmd) -> Result<Value, Trouble> {
        let Open { mut connection, number, .. } = open;
        match command.query_async(&mut connection).await {
            Ok(answer) => Ok(answer),
            Err(error) => Err(self.failed(number, error).await),
        }
    }

    /// Whoever waits while another connects shares what comes of it.
    pub(crate) async fn open(&self) -> Result<Open, Trouble> {
        let asked = Instant::now();
        let mut state = self.state.lock().await;
        if let Some(open) = &state.open {
            return Ok(open.clone());
        }
        if let Some((at, trouble)) = &state.failed
            && (*at >= asked || at.elapsed() < BETWEEN_CONNECTIONS)
        {
            return Err(trouble.clone());
        }
        match self.connect().await {
            Ok(connection) => {
                let open = Open::new(connection);
                state.open = Some(open.clone());
                state.failed = None;
                Ok(Open { new: true, ..open })
            }
            Err(trouble) => {
                state.failed = Some((Instant::now(), trouble.clone()));
                Err(trouble)
            }
        }
    }

    async fn connect(&self) -> Result<MultiplexedConnection, Trouble> {
        // The crate's own limits, half a second and one, are exceeded by a server that saves its data.
        let mut config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(self.limits.connect))
            .set_response_timeout(Some(self.limits.answer.saturating_add(self.limits.replicas)));
        if let Some(wakes) = self.wakes.clone() {
            config = config.set_push_sender(move |push| {
                wakes.heard(&push);
                Ok::<_, SendError>(())
            });
        }
        let client = self.source.client().await?;
        let mut connection = client
            .get_multiplexed_async_connection_with_config(&config)
            .await
            .map_err(Trouble::Unreached)?;
        // Each time: behind one address there is another server after a failover.
        let info: String =
            redis::cmd("INFO").query_async(&mut connection).await.map_err(|error| {
                if is_answer(&error) { Trouble::Refused(error) } else { Trouble::Unreached(error) }
            })?;
        match Server::new(&info).refusal(self.in_cluster) {
            Some(why) => Err(Trouble::Unsuitable(why)),
            None => Ok(connection),
        }
    }

    async fn failed(&self, number: u64, error: RedisError) -> Trouble {
        if !is_answer(&error) {
            self.state.lock().await.open.take_if(|open| open.number == number);
            return Trouble::Unanswered(error);
        }
        if is_about_the_server(&error) {
            self.leave_if(|open| open.number == number).await;
        }
        Trouble::Refused(error)
    }
}

impl Open {
    fn new(connection: MultiplexedConnection) -> Self {
        let number = MADE.fetch_add(1, Ordering::Relaxed);
        Self { connection, number, new: false, made: Instant::now() }
    }
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The source has the password.
        f.debug_struct("Link").field("limits", &self.limits).finish_non_exhaustive()
    }
}

/// An error, such as a missing right, is no replica.
fn count(answer: Option<Value>) -> u32 {
    match answer {
        Some(Value::Int(replicas)) => u32::try_from(replicas).unwrap_or(0),
        _ => 0,
    }
}

/// Whether the server said it.
fn is_answer(error: &RedisError) -> bool {
    matches!(error.kind(), ErrorKind::Server(_) | ErrorKind::Extension)
}

/// Whether another connection may lead to a server that says something else. A former master has no replicas.
pub(crate) fn is_about_the_server(error: &RedisError) -> bool {
    let has_lost_its_place = matches!(
        error.kind(),
        ErrorKind::Server(
            ServerErrorKind::MasterDown
                | ServerErrorKind::BusyLoading
                | ServerErrorKind::ClusterDown
        )
    );
    has_lost_its_place
        || is_a_replicas(error)
        || matches!(error.code(), Some("NOAUTH" | "NOREPLICAS"))
}

/// Whether a server that follows another one takes no writes.
pub(crate) fn is_a_replicas(error: &RedisError) -> bool {
    // Redis 7.0.0 says it of a script, and without the code.
    error.kind() == ErrorKind::Server(ServerErrorKind::ReadOnly)
        || error.detail().is_some_and(|detail| detail.contains("on readonly replica"))
}
