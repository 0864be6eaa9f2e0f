//! As much of HTTP as asking a signer on this machine takes: one request a connection, bounded in time and size.
//!
//! HTTP/1.0, because its answers come in one piece. Neither encrypted nor authenticated, so only for places that the
//! network does not reach.

use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};
use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// The longest answer: some seven thousand public keys.
const LONGEST: u64 = 1 << 20;

/// Where it listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Place {
    Loopback(SocketAddr),
    Socket(PathBuf),
}

/// What it said.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) body: String,
}

impl Place {
    /// `http://` with a loopback address and a port, or `unix:` with the absolute path of a socket.
    pub(super) fn parse(url: &str) -> Option<Self> {
        if let Some(path) = url.strip_prefix("unix:") {
            let path = PathBuf::from(path.strip_prefix("//").unwrap_or(path));
            return path.is_absolute().then_some(Self::Socket(path));
        }
        let authority = url.strip_prefix("http://")?;
        let authority = authority.strip_suffix('/').unwrap_or(authority);
        let address = match authority.strip_prefix("localhost:") {
            Some(port) => SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port.parse().ok()?),
            None => authority.parse().ok()?,
        };
        address.ip().is_loopback().then_some(Self::Loopback(address))
    }

    /// One request, with JSON if there is a body, and its answer, all within `patience`.
    pub(super) fn ask(&self, what: &str, body: Option<&str>, patience: Duration) -> io::Result<Answer> {
        let until = Instant::now() + patience;
        match self {
            Self::Loopback(address) => {
                let stream = TcpStream::connect_timeout(address, patience)?;
                exchange(Bounded { stream, until }, &address.to_string(), what, body)
            }
            Self::Socket(path) => {
                let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
                let socket = rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
                // Not std's, which waits for ever when the other side takes no more connections.
                rustix::net::connect(&socket, &SocketAddrUnix::new(path)?)?;
                let stream = UnixStream::from(socket);
                stream.set_nonblocking(false)?;
                exchange(Bounded { stream, until }, "localhost", what, body)
            }
        }
    }
}

fn exchange<S: Timeouts>(mut stream: Bounded<S>, host: &str, what: &str, body: Option<&str>) -> io::Result<Answer> {
    let mut request = format!("{what} HTTP/1.0\r\nHost: {host}\r\nConnection: close\r\n");
    if let Some(body) = body {
        let length = body.len();
        request += &format!("Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}");
    } else {
        request += "\r\n";
    }
    stream.write_all(request.as_bytes())?;
    let mut text = String::new();
    stream.take(LONGEST + 1).read_to_string(&mut text)?;
    if text.len() as u64 > LONGEST {
        return Err(io::Error::other(format!("an answer of more than {LONGEST} bytes")));
    }
    parse(&text).ok_or_else(|| io::Error::other("the answer is not whole, or not HTTP"))
}

fn parse(text: &str) -> Option<Answer> {
    let (head, body) = text.split_once("\r\n\r\n")?;
    let mut lines = head.split("\r\n");
    let status = lines.next()?.strip_prefix("HTTP/1.")?.split(' ').nth(1)?.parse().ok()?;
    for (name, value) in lines.filter_map(|line| line.split_once(':')) {
        match name.to_ascii_lowercase().as_str() {
            "content-length" if value.trim().parse() != Ok(body.len()) => return None,
            "transfer-encoding" => return None,
            _ => {}
        }
    }
    Some(Answer { status, body: body.into() })
}

/// A stream whose reads and writes end at one moment, however many there are.
struct Bounded<S> {
    stream: S,
    until: Instant,
}

impl<S> Bounded<S> {
    fn left(&self) -> io::Result<Option<Duration>> {
        let left = self.until.saturating_duration_since(Instant::now());
        if left.is_zero() { Err(late()) } else { Ok(Some(left)) }
    }
}

fn late() -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, "no answer in time")
}

/// A timeout of a socket reads as "would block".
fn in_words(error: io::Error) -> io::Error {
    if error.kind() == io::ErrorKind::WouldBlock { late() } else { error }
}

impl<S: Timeouts> Read for Bounded<S> {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        self.stream.reads_within(self.left()?)?;
        self.stream.read(to).map_err(in_words)
    }
}

impl<S: Timeouts> Write for Bounded<S> {
    fn write(&mut self, from: &[u8]) -> io::Result<usize> {
        self.stream.writes_within(self.left()?)?;
        self.stream.write(from).map_err(in_words)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stream.flush()
    }
}

trait Timeouts: Read + Write {
    fn reads_within(&self, limit: Option<Duration>) -> io::Result<()>;
    fn writes_within(&self, limit: Option<Duration>) -> io::Result<()>;
}

impl Timeouts for TcpStream {
    fn reads_within(&self, limit: Option<Duration>) -> io::Result<()> {
        self.set_read_timeout(limit)
    }

    fn writes_within(&self, limit: Option<Duration>) -> io::Result<()> {
        self.set_write_timeout(limit)
    }
}

impl Timeouts for UnixStream {
    fn reads_within(&self, limit: Option<Duration>) -> io::Result<()> {
        self.set_read_timeout(limit)
    }

    fn writes_within(&self, limit: Option<Duration>) -> io::Result<()> {
        self.set_write_timeout(limit)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use super::*;

    #[test]
    fn only_this_machine_is_a_place() {
        let at = |text: &str| Some(Place::Loopback(text.parse().unwrap()));
        assert_eq!(Place::parse("http://127.0.0.1:9000"), at("127.0.0.1:9000"));
        assert_eq!(Place::parse("http://localhost:9000/"), at("127.0.0.1:9000"));
        assert_eq!(Place::parse("http://[::1]:9000"), at("[::1]:9000"));
        assert_eq!(Place::parse("unix:/run/a.sock"), Some(Place::Socket("/run/a.sock".into())));
        assert_eq!(Place::parse("unix:///run/a.sock"), Some(Place::Socket("/run/a.sock".into())));
        for odd in [
            "",
            "http://",
            "http://127.0.0.1",
            "http://10.0.0.1:9000",
            "http://example.org:9000",
            "https://127.0.0.1:9000",
            "http://127.0.0.1:9000/path",
            "http://user@127.0.0.1:9000",
            "unix:run/a.sock",
            "/run/a.sock",
        ] {
            assert_eq!(Place::parse(odd), None, "{odd}");
        }
    }

    #[test]
    fn answers_are_whole_or_none() {
        let answer = parse("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nab").unwrap();
        assert_eq!((answer.status, answer.body.as_str()), (200, "ab"));
        assert_eq!(parse("HTTP/1.0 404 Not Found\r\n\r\n").unwrap().status, 404);
        for odd in [
            "",
            "ab",
            "HTTP/1.1 200 OK\r\n",
            "HTTP/2 200\r\n\r\n",
            "HTTP/1.1 abc\r\n\r\n",
            "HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nab",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab",
        ] {
            assert!(parse(odd).is_none(), "{odd}");
        }
    }
}
