//! Whether the server takes connections: how others ask for it, and the socket that does.

use std::{
    io,
    net::{SocketAddr, TcpListener as StdListener},
    sync::mpsc as blocking,
};

use tokio::{
    net::{TcpListener, TcpSocket, TcpStream},
    sync::{mpsc, oneshot},
};

/// How many clients may wait to be accepted, as the standard library has it.
const BACKLOG: u32 = 128;

/// Asks the server's thread to open or close.
#[derive(Clone)]
pub(crate) struct Doors(mpsc::UnboundedSender<Order>);

/// To open, or to close, and whom to tell when it is done.
pub(crate) struct Order {
    pub(crate) open: bool,
    pub(crate) done: Done,
}

type Done = Box<dyn FnOnce(io::Result<()>) + Send>;

impl Doors {
    pub(crate) fn new() -> (Self, mpsc::UnboundedReceiver<Order>) {
        let (sender, receiver) = mpsc::unbounded_channel();
        (Self(sender), receiver)
    }

    /// Waits until it is done. Not for the server's own thread.
    pub(crate) fn turn_from_outside(&self, open: bool) -> io::Result<()> {
        let (sender, receiver) = blocking::channel();
        self.order(open, Box::new(move |result| _ = sender.send(result)));
        receiver.recv().unwrap_or_else(|_| Err(ended()))
    }

    pub(crate) async fn turn(&self, open: bool) -> io::Result<()> {
        let (sender, receiver) = oneshot::channel();
        self.order(open, Box::new(move |result| _ = sender.send(result)));
        receiver.await.unwrap_or_else(|_| Err(ended()))
    }

    fn order(&self, open: bool, done: Done) {
        // Without a server the channel drops the order, and with it the promise.
        _ = self.0.send(Order { open, done });
    }
}

fn ended() -> io::Error {
    io::Error::other("the server has ended")
}

/// The server's socket.
pub(crate) enum Door {
    Open(TcpListener),
    /// Bound, so that nobody else gets the port, but not listening: the system refuses clients.
    Closed(TcpSocket),
    /// The port could not be kept.
    Lost,
}

impl Door {
    pub(crate) fn new(socket: StdListener) -> io::Result<Self> {
        TcpListener::from_std(socket).map(Self::Open)
    }

    /// The next client; waits for ever while it is closed.
    pub(crate) async fn accept(&self) -> io::Result<TcpStream> {
        match self {
            Self::Open(listener) => listener.accept().await.map(|(stream, _)| stream),
            Self::Closed(_) | Self::Lost => std::future::pending().await,
        }
    }

    /// Opens or closes it; nothing if it is so already.
    pub(crate) fn turn(&mut self, open: bool, address: SocketAddr) -> io::Result<()> {
        *self = match (std::mem::replace(self, Self::Lost), open) {
            (Self::Open(listener), false) => {
                drop(listener);
                Self::Closed(bind(address)?)
            }
            (Self::Closed(socket), true) => Self::Open(socket.listen(BACKLOG)?),
            (Self::Lost, true) => Self::Open(bind(address)?.listen(BACKLOG)?),
            (door, _) => door,
        };
        Ok(())
    }
}

fn bind(address: SocketAddr) -> io::Result<TcpSocket> {
    let socket = TcpSocket::new_v4()?;
    // Connections of before may linger. On Windows it would let others take the port.
    #[cfg(not(windows))]
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    Ok(socket)
}
