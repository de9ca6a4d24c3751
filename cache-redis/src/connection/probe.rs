//! Finds out what answers at an address where opening a connection takes long or has failed, so that the error can say what is
//! wrong with the URL. It is used only until the address has been Redis once.

use std::io;
use std::path::Path;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpStream, UnixStream};
use tokio::time::{Instant, timeout_at};

use crate::options::address::Host;

/// Where to look.
#[derive(Clone, Copy, Debug)]
pub(super) enum At<'a> {
    Host(&'a Host),
    Socket(&'a Path),
}

/// What was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// Nobody accepts connections.
    Nobody,
    /// It accepts connections and says nothing.
    Silence,
    /// It accepts connections and closes them.
    Closed,
    Redis,
    Tls,
    Http,
    /// Something else.
    Stranger,
}

/// Looks what answers there. It takes no longer than until then.
pub(super) async fn look(at: At<'_>, deadline: Instant) -> Found {
    let (plain, tls) = tokio::join!(answer(at, PING, deadline), answer(at, HELLO, deadline));
    match (plain, classify(&tls)) {
        (Answer::None(found), Found::Tls) if found != Found::Nobody => Found::Tls,
        (plain, _) => classify(&plain),
    }
}

const PING: &[u8] = b"*1\r\n$4\r\nPING\r\n";

/// The first message of a TLS client, which a server of TLS 1.2 or 1.3 answers, if only by refusing it.
const HELLO: &[u8] = b"\x16\x03\x01\x00\x6e\x01\x00\x00\x6a\x03\x03\
      larder looks for what is in here\
      \x00\x00\x10\x13\x01\x13\x02\x13\x03\xc0\x2b\xc0\x2c\xc0\x2f\xc0\x30\xcc\xa8\x01\x00\
      \x00\x31\
      \x00\x2b\x00\x05\x04\x03\x04\x03\x03\
      \x00\x0a\x00\x06\x00\x04\x00\x1d\x00\x17\
      \x00\x0d\x00\x0e\x00\x0c\x04\x03\x05\x03\x08\x04\x08\x05\x04\x01\x05\x01\
      \x00\x0b\x00\x02\x01\x00\
      \x00\x33\x00\x02\x00\x00";

/// The first bytes, or why there are none.
enum Answer {
    Bytes(Vec<u8>),
    None(Found),
}

async fn answer(at: At<'_>, question: &[u8], deadline: Instant) -> Answer {
    let asked = async {
        io::Result::Ok(match at {
            At::Host((host, port)) => ask(TcpStream::connect((host.as_str(), *port)).await?, question, deadline).await,
            At::Socket(path) => ask(UnixStream::connect(path).await?, question, deadline).await,
        })
    };
    match timeout_at(deadline, asked).await {
        Ok(Ok(answer)) => answer,
        _ => Answer::None(Found::Nobody),
    }
}

async fn ask(mut stream: impl AsyncRead + AsyncWrite + Unpin, question: &[u8], deadline: Instant) -> Answer {
    let mut bytes = vec![0; 16];
    let mut length = 0;
    let exchange = async {
        stream.write_all(question).await?;
        // Enough to tell.
        while length < 5 {
            match stream.read(bytes.get_mut(length..).unwrap_or_default()).await? {
                0 => break,
                count => length += count,
            }
        }
        io::Result::Ok(())
    };
    let ended = timeout_at(deadline, exchange).await;
    bytes.truncate(length);
    match ended {
        _ if !bytes.is_empty() => Answer::Bytes(bytes),
        Ok(_) => Answer::None(Found::Closed),
        Err(_) => Answer::None(Found::Silence),
    }
}

fn classify(answer: &Answer) -> Found {
    match answer {
        Answer::None(found) => *found,
        Answer::Bytes(bytes) => match bytes.as_slice() {
            // A part of the handshake, or an alert, of any version.
            [0x15 | 0x16, 3, ..] => Found::Tls,
            [b'H', b'T', b'T', b'P', ..] => Found::Http,
            [b'+' | b'-', code, ..] if code.is_ascii_uppercase() => Found::Redis,
            _ => Found::Stranger,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers() {
        for (bytes, found) in [
            (&b"+PONG\r\n"[..], Found::Redis),
            (b"-NOAUTH Authentication required", Found::Redis),
            (b"-DENIED Redis is running", Found::Redis),
            (b"\x15\x03\x03\x00\x02\x02\x28", Found::Tls),
            (b"\x16\x03\x03\x00\x7a", Found::Tls),
            (b"HTTP/1.1 400 Bad", Found::Http),
            (b"SSH-2.0-OpenSSH", Found::Stranger),
            (b"-", Found::Stranger),
            (b"J\0\0\0\n8.0", Found::Stranger),
        ] {
            assert_eq!(classify(&Answer::Bytes(bytes.to_vec())), found, "{bytes:?}");
        }
    }

    /// Lengths stand before what they are of.
    #[test]
    fn the_hello_is_well_formed() {
        let length = |at: usize| usize::from(HELLO[at]) << 8 | usize::from(HELLO[at + 1]);
        assert_eq!(length(3), HELLO.len() - 5, "record");
        assert_eq!(length(7), HELLO.len() - 9, "handshake");
        let ciphers = 5 + 4 + 2 + 32 + 1;
        let extensions = ciphers + 2 + length(ciphers) + 2;
        assert_eq!(length(extensions), HELLO.len() - extensions - 2);
        let mut at = extensions + 2;
        while at < HELLO.len() {
            at += 4 + length(at + 2);
        }
        assert_eq!(at, HELLO.len());
    }
}
