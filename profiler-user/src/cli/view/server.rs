//! The server: one site on the loopback interface, at a port that the system chooses. It reads the head of a request, answers,
//! and closes the connection.

use std::fs::File;
use std::io::{self, Read as _};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;

use super::super::failure::Failure;
use super::contents::Site;
use super::neighbour;
use super::request::{Answer, Head, MOST_BYTES};

/// How long a request may take to arrive. Browsers open connections that they may never use.
const HEAD_WITHIN: Duration = Duration::from_secs(30);
/// How long an answer may take to be read.
const READ_WITHIN: Duration = Duration::from_secs(120);
/// Connections at the same time: a browser opens six.
const MOST_CONNECTIONS: usize = 32;
/// How long to wait when no connection can be accepted (descriptors are used up).
const LATER: Duration = Duration::from_millis(200);
/// Random bytes of a token.
const TOKEN_BYTES: usize = 16;

/// A server that listens.
pub(super) struct Server {
    listener: TcpListener,
    shared: Arc<Shared>,
}

/// What all connections need.
struct Shared {
    site: Site,
    port: u16,
    token: String,
}

impl Server {
    /// Listens.
    pub(super) async fn bind(site: Site) -> Result<Self, Failure> {
        let failed = |error: io::Error| {
            Failure::new(format_args!("cannot listen on 127.0.0.1: {error}"))
                .hint("pyebpf report FILE -o FILE.html   (a page that needs no server)")
        };
        let token = token().map_err(|error| Failure::new(format_args!("no random numbers: {error}")))?;
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
            .await
            .map_err(failed)?;
        let port = listener.local_addr().map_err(failed)?.port();
        Ok(Self {
            listener,
            shared: Arc::new(Shared { site, port, token }),
        })
    }

    /// Where the page is.
    pub(super) fn address(&self) -> String {
        let Shared { site, port, token } = &*self.shared;
        format!("http://127.0.0.1:{port}/{token}/{}", site.fragment)
    }

    /// Answers, until it cannot any more.
    pub(super) async fn serve(&self) -> Failure {
        let connections = Arc::new(Semaphore::new(MOST_CONNECTIONS));
        loop {
            let Ok(permit) = Arc::clone(&connections).acquire_owned().await else {
                return Failure::new("the server has stopped");
            };
            let (stream, peer) = match self.listener.accept().await {
                Ok(accepted) => accepted,
                Err(error) => {
                    log::debug!("accepting a connection: {error}");
                    tokio::time::sleep(LATER).await;
                    continue;
                }
            };
            let shared = Arc::clone(&self.shared);
            tokio::spawn(async move {
                let _permit = permit;
                if let Err(error) = answer(stream, peer, &shared).await {
                    log::debug!("a connection: {error}");
                }
            });
        }
    }
}

/// Answers the one request of a connection.
async fn answer(mut stream: TcpStream, peer: SocketAddr, shared: &Shared) -> io::Result<()> {
    let Shared { site, port, token } = shared;
    // Who sees the list of this host's processes may see the address among the arguments of the browser.
    if neighbour::is_somebody_else(peer, *port) {
        log::debug!("a connection of another user");
        return Ok(());
    }
    let mut bytes = Vec::new();
    let head = async {
        loop {
            match Head::parse(&bytes) {
                Head::Partial => {}
                head => return Ok::<Head, io::Error>(head),
            }
            let mut part = [0; 1024];
            let length = stream.read(&mut part).await?;
            if length == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            let room = MOST_BYTES.saturating_sub(bytes.len());
            bytes.extend(part.iter().take(length.min(room)));
        }
    };
    let head = tokio::time::timeout(HEAD_WITHIN, head).await??;
    let answer = match &head {
        Head::Whole(request) => Answer::to(request, site, *port, token),
        Head::Partial | Head::Wrong => Answer::Wrong,
    };
    let (head, bytes) = answer.written(site);
    let written = async {
        stream.write_all(head.as_bytes()).await?;
        stream.write_all(bytes).await?;
        stream.shutdown().await
    };
    tokio::time::timeout(READ_WITHIN, written).await?
}

/// Digits that nobody can guess.
fn token() -> io::Result<String> {
    let mut bytes = [0; TOKEN_BYTES];
    File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}
