//! The thread that serves: its runtime, its socket, and its end.

use std::{
    io,
    net::{Ipv4Addr, SocketAddr, TcpListener as StdListener},
    sync::{Arc, mpsc},
    thread::{self, JoinHandle},
    time::Duration,
};

use tokio::{
    runtime,
    sync::{mpsc as orders, oneshot, watch},
};

use crate::{
    connection,
    doors::{Door, Order},
    shared::Shared,
};

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
    /// Listens on this port of 127.0.0.1, on a free one if it is 0.
    pub(crate) fn start(
        port: u16,
        shared: Arc<Shared>,
        orders: orders::UnboundedReceiver<Order>,
    ) -> io::Result<Self> {
        let socket = StdListener::bind((Ipv4Addr::LOCALHOST, port))?;
        socket.set_nonblocking(true)?;
        let address = socket.local_addr()?;
        let (stop, stopped) = oneshot::channel();
        let (ready, started) = mpsc::sync_channel(1);
        // The runtime is made and dropped on its own thread: elsewhere it might be dropped within
        // another runtime, which panics.
        let thread = thread::Builder::new().name("token-testkit".to_owned()).spawn(move || {
            match runtime::Builder::new_current_thread().enable_all().build() {
                Ok(runtime) => runtime.block_on(run(socket, shared, orders, ready, stopped)),
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
    orders: orders::UnboundedReceiver<Order>,
    ready: mpsc::SyncSender<io::Result<()>>,
    stopped: oneshot::Receiver<()>,
) {
    let opened = socket.local_addr().and_then(|address| Ok((address, Door::new(socket)?)));
    let (address, door) = match opened {
        Ok(opened) => opened,
        Err(error) => {
            _ = ready.send(Err(error));
            return;
        }
    };
    _ = ready.send(Ok(()));
    tokio::select! {
        () = accept(door, address, shared, orders) => {}
        _ = stopped => {}
    }
}

async fn accept(
    mut door: Door,
    address: SocketAddr,
    shared: Arc<Shared>,
    mut orders: orders::UnboundedReceiver<Order>,
) {
    let closing = watch::Sender::new(());
    loop {
        let accepted = tokio::select! {
            // The handle, which gives orders, may go before its last one is seen.
            Some(Order { open, done }) = orders.recv() => {
                let turned = door.turn(open, address);
                if !open {
                    closing.send_replace(());
                }
                done(turned);
                continue;
            }
            accepted = door.accept() => accepted,
        };
        match accepted {
            Ok(stream) => {
                // Small answers must not wait for more to come. A socket that refuses still works.
                _ = stream.set_nodelay(true);
                shared.state().counters.connections += 1;
                let served = connection::serve(stream, Arc::clone(&shared), closing.subscribe());
                tokio::spawn(served);
            }
            Err(_) => tokio::time::sleep(ACCEPT_BACKOFF).await,
        }
    }
}
