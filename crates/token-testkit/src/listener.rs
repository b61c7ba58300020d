//! The thread that serves: its runtime, its socket, and its end.

use std::{
    io,
    net::{Ipv4Addr, SocketAddr, TcpListener as StdListener},
    sync::{Arc, mpsc},
    thread::{self, JoinHandle},
    time::Duration,
};

use tokio::{net::TcpListener, runtime, sync::oneshot};

use crate::{connection, shared::Shared};

/// How long to wait when the system has no socket left for the next client.
const ACCEPT_BACKOFF: Duration = Duration::from_millis(10);

/// A running listener. Dropping it closes the listener and every connection, and waits for its
/// thread.
pub(crate) struct Listener {
    address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Listener {
    /// Listens on a free port of 127.0.0.1.
    pub(crate) fn start(shared: Arc<Shared>) -> io::Result<Self> {
        let socket = StdListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        socket.set_nonblocking(true)?;
        let address = socket.local_addr()?;
        let (stop, stopped) = oneshot::channel();
        let (ready, started) = mpsc::sync_channel(1);
        // The runtime is made and dropped on its own thread: elsewhere it might be dropped within
        // another runtime, which panics.
        let thread = thread::Builder::new().name("token-testkit".to_owned()).spawn(move || {
            match runtime::Builder::new_current_thread().enable_all().build() {
                Ok(runtime) => runtime.block_on(run(socket, shared, ready, stopped)),
                Err(error) => _ = ready.send(Err(error)),
            }
        })?;
        started.recv().unwrap_or_else(|_| Err(io::Error::other("the server's thread ended")))?;
        Ok(Self { address, stop: Some(stop), thread: Some(thread) })
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // A panic over there has been reported by its own hook.
            _ = thread.join();
        }
    }
}

async fn run(
    socket: StdListener,
    shared: Arc<Shared>,
    ready: mpsc::SyncSender<io::Result<()>>,
    stopped: oneshot::Receiver<()>,
) {
    let listener = match TcpListener::from_std(socket) {
        Ok(listener) => listener,
        Err(error) => {
            _ = ready.send(Err(error));
            return;
        }
    };
    _ = ready.send(Ok(()));
    tokio::select! {
        () = accept(listener, shared) => {}
        _ = stopped => {}
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                // Small answers must not wait for more to come. A socket that refuses still works.
                _ = stream.set_nodelay(true);
                shared.state().counters.connections += 1;
                tokio::spawn(connection::serve(stream, Arc::clone(&shared)));
            }
            Err(_) => tokio::time::sleep(ACCEPT_BACKOFF).await,
        }
    }
}
