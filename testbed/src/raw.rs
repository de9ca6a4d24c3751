//! A plain RESP2 connection: the server as it is, without the code under test.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

/// A connection.
#[derive(Debug)]
pub struct Raw {
    stream: BufReader<TcpStream>,
}

/// A reply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// Nothing there.
    Nil,
    /// An integer.
    Number(i64),
    /// A string.
    Text(Vec<u8>),
    /// An error.
    Error(String),
    /// Several.
    List(Vec<Value>),
}

impl Value {
    /// The string in it; empty for anything else.
    pub fn text(&self) -> String {
        match self {
            Self::Text(bytes) => String::from_utf8_lossy(bytes).into_owned(),
            _ => String::new(),
        }
    }

    /// The integer in it, also where it is written as a string.
    ///
    /// # Panics
    /// If it is none.
    pub fn number(&self) -> i64 {
        match self {
            Self::Number(number) => *number,
            Self::Text(_) => self.text().parse().unwrap(),
            other => panic!("{other:?} is no number"),
        }
    }

    /// The replies in it; empty for anything else.
    pub fn list(self) -> Vec<Self> {
        match self {
            Self::List(list) => list,
            _ => Vec::new(),
        }
    }
}

impl Raw {
    /// Connects to the server at this port.
    ///
    /// # Errors
    /// Those of the socket.
    pub fn connect(port: u16) -> io::Result<Self> {
        let stream = TcpStream::connect(("127.0.0.1", port))?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(Duration::from_secs(20)))?;
        Ok(Self { stream: BufReader::new(stream) })
    }

    /// Sends a command and waits for its reply.
    ///
    /// # Panics
    /// If the connection breaks.
    pub fn command(&mut self, arguments: &[&str]) -> Value {
        self.try_command(arguments).unwrap()
    }

    /// The same, where the connection may break.
    ///
    /// # Errors
    /// Those of the socket.
    pub fn try_command(&mut self, arguments: &[&str]) -> io::Result<Value> {
        let arguments: Vec<&[u8]> = arguments.iter().map(|argument| argument.as_bytes()).collect();
        self.try_bytes(&arguments)
    }

    /// The same for arguments that are no text.
    ///
    /// # Errors
    /// Those of the socket.
    pub fn try_bytes(&mut self, arguments: &[&[u8]]) -> io::Result<Value> {
        let mut out = format!("*{}\r\n", arguments.len()).into_bytes();
        for argument in arguments {
            out.extend(format!("${}\r\n", argument.len()).bytes());
            out.extend(*argument);
            out.extend(b"\r\n");
        }
        self.stream.get_mut().write_all(&out)?;
        self.next()
    }

    /// Subscribes to a pattern; [`next`](Self::next) returns what comes.
    ///
    /// # Panics
    /// If the connection breaks.
    pub fn subscribe(mut self, pattern: &str) -> Self {
        self.command(&["PSUBSCRIBE", pattern]);
        self
    }

    /// The next reply or message.
    ///
    /// # Errors
    /// Those of the socket, and if nothing comes for a long time.
    #[allow(clippy::should_implement_trait, reason = "it fails, and has no end")]
    pub fn next(&mut self) -> io::Result<Value> {
        let mut line = String::new();
        if self.stream.read_line(&mut line)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let line = line.trim_end();
        let (kind, rest) = line.split_at(line.len().min(1));
        let length = || rest.parse::<i64>().map_err(io::Error::other);
        Ok(match kind {
            "+" => Value::Text(rest.as_bytes().to_vec()),
            "-" => Value::Error(rest.to_owned()),
            ":" => Value::Number(length()?),
            "$" | "*" if rest == "-1" => Value::Nil,
            "$" => {
                let length = usize::try_from(length()?).map_err(io::Error::other)?;
                let mut bytes = vec![0; length + 2];
                self.stream.read_exact(&mut bytes)?;
                bytes.truncate(length);
                Value::Text(bytes)
            }
            "*" => Value::List((0..length()?).map(|_| self.next()).collect::<io::Result<_>>()?),
            _ => return Err(io::Error::other(format!("unexpected reply {line:?}"))),
        })
    }

    /// All keys that match, sorted. Tests may; the library doesn't.
    ///
    /// # Panics
    /// If the connection breaks.
    pub fn keys(&mut self, pattern: &str) -> Vec<String> {
        let mut keys: Vec<_> = self.command(&["KEYS", pattern]).list().iter().map(Value::text).collect();
        keys.sort();
        keys
    }
    /// Deletes all keys that match.
    ///
    /// # Panics
    /// If the connection breaks.
    pub fn delete(&mut self, pattern: &str) {
        for key in self.keys(pattern) {
            self.command(&["DEL", &key]);
        }
    }

    /// A field of `INFO`.
    ///
    /// # Panics
    /// If the connection breaks.
    pub fn info(&mut self, section: &str, field: &str) -> Option<String> {
        let info = self.command(&["INFO", section]).text();
        info.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':').map(|value| value.trim().to_owned()))
    }
}
