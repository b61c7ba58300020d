//! The replicas of the story, and what each of them did.

use std::fmt;
use std::io::{self, Write};
use std::time::{Duration, Instant};

use examples::Replica;
use futures_util::future::select_all;
use tokio::time::timeout;

use crate::words::{Leave, Settings, Told};

/// What takes longer than this never happens.
const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) struct Cast {
    settings: Settings,
    /// Whether nothing is told while it happens.
    silent: bool,
    start: Instant,
    lives: Vec<Life>,
}

/// One replica, from its beginning to its end.
#[derive(Debug)]
pub(crate) struct Life {
    pub(crate) name: char,
    pub(crate) asked: u64,
    pub(crate) refreshed: u64,
    pub(crate) followed: u64,
    pub(crate) took_over: u64,
    pub(crate) failed_calls: u64,
    pub(crate) end: &'static str,
    /// How many refreshes its tokens are away from the login.
    generation: u64,
    /// Until its end.
    process: Option<Replica>,
}

impl Cast {
    pub(crate) fn new(settings: Settings, silent: bool) -> Self {
        Self { settings, silent, start: Instant::now(), lives: Vec::new() }
    }

    /// Prints what happens now.
    pub(crate) fn print(&self, who: char, what: &str) -> io::Result<()> {
        let seconds = self.start.elapsed().as_secs_f64();
        self.line(format_args!("{seconds:7.3} s  {who}  {what}"))
    }

    /// Prints what comes next.
    pub(crate) fn head(&self, what: &str) -> io::Result<()> {
        self.line(format_args!("\n{what}\n"))
    }

    /// Another replica joins.
    pub(crate) async fn join(&mut self) -> io::Result<()> {
        let name = ('a'..).nth(self.lives.len()).unwrap_or('?');
        let mut process = Replica::start(name)?;
        process.tell(&self.settings).await?;
        self.lives.push(Life {
            name,
            asked: 0,
            refreshed: 0,
            followed: 0,
            took_over: 0,
            failed_calls: 0,
            end: "",
            generation: 0,
            process: Some(process),
        });
        self.until(|_, who, told| who == name && matches!(told, Told::Joined)).await.map(drop)
    }

    /// Waits for the next refresh that succeeds, and until all have what it brought.
    pub(crate) async fn refreshed(&mut self) -> io::Result<()> {
        self.until(|_, _, told| matches!(told, Told::Refreshed(_))).await?;
        self.caught_up().await
    }

    /// Waits until all have the newest tokens that anybody has.
    pub(crate) async fn caught_up(&mut self) -> io::Result<()> {
        if are_equal(&self.lives) {
            return Ok(());
        }
        self.until(|lives, _, _| are_equal(lives)).await.map(drop)
    }

    /// A replica leaves as it should.
    pub(crate) async fn leave(&mut self, name: char) -> io::Result<()> {
        self.print(name, "is told to leave")?;
        self.process(name)?.tell(&Leave).await?;
        self.until(|_, who, told| who == name && matches!(told, Told::Left)).await?;
        self.end(name, "left")?.dismiss().await
    }

    /// A replica is killed as by `kill -9`.
    pub(crate) async fn kill(&mut self, name: char) -> io::Result<()> {
        let mut process = self.end(name, "killed")?;
        process.kill().await?;
        self.print(name, "is killed")?;
        // Until it breaks off, perhaps within a line.
        while let Ok(told) = process.hear().await {
            self.note(name, &told)?;
        }
        Ok(())
    }

    /// Waits until somebody tells what is wanted, and says who.
    ///
    /// # Errors
    ///
    /// A call failed, a replica is lost, or it takes too long.
    pub(crate) async fn until(
        &mut self,
        wanted: impl Fn(&[Life], char, &Told) -> bool,
    ) -> io::Result<char> {
        let told = async {
            loop {
                let (name, told) = self.hear().await?;
                self.note(name, &told)?;
                if let Told::CallFailed(error) = told {
                    return Err(io::Error::other(format!("a call of {name} failed: {error}")));
                }
                if wanted(&self.lives, name, &told) {
                    return Ok(name);
                }
            }
        };
        let late = |_| io::Error::other(format!("nothing came of it within {PATIENCE:?}"));
        timeout(PATIENCE, told).await.map_err(late)?
    }

    /// All that ever joined.
    pub(crate) fn lives(&self) -> &[Life] {
        &self.lives
    }

    /// Who is there.
    pub(crate) fn present(&self) -> Vec<char> {
        let present = self.lives.iter().filter(|life| life.process.is_some());
        present.map(|life| life.name).collect()
    }

    /// The next that anybody tells.
    async fn hear(&mut self) -> io::Result<(char, Told)> {
        let hearing = self.lives.iter_mut().filter_map(|Life { name, process, .. }| {
            let process = process.as_mut()?;
            Some(Box::pin(async { Ok((*name, process.hear().await?)) }))
        });
        select_all(hearing).await.0
    }

    fn line(&self, line: fmt::Arguments<'_>) -> io::Result<()> {
        if self.silent { Ok(()) } else { writeln!(io::stdout(), "{line}") }
    }

    fn note(&mut self, name: char, told: &Told) -> io::Result<()> {
        self.print(name, &told.to_string())?;
        let life = self.life(name)?;
        match told {
            Told::Asks => life.asked += 1,
            Told::Refreshed(generation) => {
                life.refreshed += 1;
                life.generation = *generation;
            }
            Told::Followed(generation) => {
                life.followed += 1;
                life.generation = *generation;
            }
            Told::TookOver => life.took_over += 1,
            Told::CallFailed(_) => life.failed_calls += 1,
            Told::Joined | Told::Reported(_) | Told::Left => {}
        }
        Ok(())
    }

    fn end(&mut self, name: char, how: &'static str) -> io::Result<Replica> {
        let life = self.life(name)?;
        life.end = how;
        life.process.take().ok_or_else(|| gone(name))
    }

    fn process(&mut self, name: char) -> io::Result<&mut Replica> {
        self.life(name)?.process.as_mut().ok_or_else(|| gone(name))
    }

    fn life(&mut self, name: char) -> io::Result<&mut Life> {
        self.lives.iter_mut().find(|life| life.name == name).ok_or_else(|| gone(name))
    }
}

fn are_equal(lives: &[Life]) -> bool {
    let newest = lives.iter().map(|life| life.generation).max().unwrap_or_default();
    lives.iter().all(|life| life.process.is_none() || life.generation == newest)
}

fn gone(name: char) -> io::Error {
    io::Error::other(format!("there is no replica {name}"))
}
