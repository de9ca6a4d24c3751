//! Two instances over one database file and one Redis server.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::Command;
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use larder_testbed::{Process, Server};

struct Instance {
    process: Process,
    address: String,
}

impl Instance {
    fn start(redis: &str, database: &Path) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_larder-example-web"));
        command.args(["--listen", "127.0.0.1:0", "--redis", redis, "--database", database.to_str().unwrap()]);
        let (sender, lines) = channel();
        let process = Process::spawn(&mut command, move |line| drop(sender.send(line.to_owned())));
        let line = lines.recv_timeout(Duration::from_secs(30)).expect("it starts");
        Self { process, address: line.strip_prefix("listening on ").unwrap().to_owned() }
    }

    /// Status and body.
    fn request(&self, method: &str, path: &str, body: &str) -> (u16, String) {
        let (head, body) = self.request_with("", method, path, body);
        (head.split(' ').nth(1).unwrap().parse().unwrap(), body)
    }

    /// Head and body of the response to a request with this cookie.
    fn request_with(&self, cookie: &str, method: &str, path: &str, body: &str) -> (String, String) {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        let length = body.len();
        write!(
            stream,
            "{method} {path} HTTP/1.1\r\nhost: here\r\nconnection: close\r\ncookie: a=b; {cookie}\r\ncontent-type: application/json\r\n\
             content-length: {length}\r\n\r\n{body}"
        )
        .unwrap();
        let mut response = String::new();
        stream.read_to_string(&mut response).unwrap();
        let (head, body) = response.split_once("\r\n\r\n").unwrap();
        (head.to_owned(), body.to_owned())
    }

    fn get(&self, path: &str) -> String {
        let (status, body) = self.request("GET", path, "");
        assert_eq!(status, 200, "{path}: {body}");
        body
    }

    fn put(&self, id: u64, title: &str) {
        let draft = draft(title);
        // It connects to Redis while it is serving already.
        soon("a write", || self.request("PUT", &format!("/articles/{id}"), &draft).0 == 204);
    }
}

fn draft(title: &str) -> String {
    format!(r#"{{"title": "{title}", "text": "..."}}"#)
}

/// The message to the other instance is on its way when the write returns. It must be there long before the five seconds
/// of `max_staleness` are over, but how long it takes is up to the machine.
fn soon(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(4);
    while !condition() {
        assert!(Instant::now() < deadline, "{what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

#[test]
fn a_write_at_one_is_seen_at_the_other() {
    let server = Server::start();
    let directory = tempfile::tempdir().unwrap();
    let database = directory.path().join("articles.db");
    let start = || Instance::start(&server.url(), &database);
    let (one, two) = (start(), start());
    let read_by = |instance: &Instance| format!(r#""read_by":{}"#, instance.process.pid());

    assert_eq!(one.request("GET", "/articles/1", "").0, 404);
    assert_eq!(two.request("GET", "/articles/1", "").0, 404);
    assert_eq!(two.get("/"), "");

    one.put(1, "Bread");
    assert!(one.get("/articles/1").contains("Bread"), "a writer sees its write at once");
    soon("two hears of it", || two.request("GET", "/articles/1", "").0 == 200);
    assert!(two.get("/articles/1").contains("Bread"));
    soon("the list too", || two.get("/") == "1. Bread\n");
    assert_eq!(one.get("/"), "1. Bread\n");

    two.put(2, "Cheese");
    assert_eq!(two.get("/"), "1. Bread\n2. Cheese\n");
    soon("one hears of it", || one.get("/") == "1. Bread\n2. Cheese\n");
    assert!(two.get("/articles/2").contains(&read_by(&two)), "two has read it for its front page");
    assert!(one.get("/articles/2").contains(&read_by(&two)), "one has it from Redis");

    two.put(1, "Rye bread");
    soon("one hears of that", || one.get("/articles/1").contains("Rye bread"));
    soon("what was made of it too", || one.get("/") == "1. Rye bread\n2. Cheese\n");
    assert!(one.get("/articles/2").contains(&read_by(&two)), "nothing else was read again");
    assert!(one.get("/stats").contains("article"));
}

/// Not soon, but in the next request.
#[test]
fn a_client_reads_its_own_writes_at_the_other_instance() {
    let server = Server::start();
    let directory = tempfile::tempdir().unwrap();
    let database = directory.path().join("articles.db");
    let start = || Instance::start(&server.url(), &database);
    let (one, two) = (start(), start());
    one.put(1, "first");
    two.put(1, "second");
    for number in 0..50 {
        let (writer, reader) = if number % 2 == 0 { (&one, &two) } else { (&two, &one) };
        let title = format!("number {number}");
        let (head, _) = writer.request_with("", "PUT", "/articles/1", &draft(&title));
        let cookie = head.lines().find_map(|line| line.strip_prefix("set-cookie: ")).unwrap();
        let (cookie, _) = cookie.split_once(';').unwrap();
        let (_, body) = reader.request_with(cookie, "GET", "/articles/1", "");
        assert!(body.contains(&title), "{body} for {cookie}");
    }
    for cookie in ["last-write=", "last-write=?", "last-write=larder-web:99999999999999999", "last-write=elsewhere:1"] {
        let (_, body) = one.request_with(cookie, "GET", "/articles/1", "");
        assert!(body.contains("number 49"), "{body} for {cookie}");
    }
}

#[test]
fn it_works_without_redis() {
    let mut server = Server::start();
    let directory = tempfile::tempdir().unwrap();
    let instance = Instance::start(&server.url(), &directory.path().join("articles.db"));
    instance.put(1, "Bread");
    server.kill();
    assert!(instance.get("/articles/1").contains("Bread"));
    let (status, body) = instance.request("PUT", "/articles/1", &draft("Rye bread"));
    assert_eq!(status, 503, "others could not be told");
    assert!(body.starts_with("written"), "{body}");
    assert!(instance.get("/articles/1").contains("Rye bread"), "its own memory is cleared all the same");
}

#[test]
fn a_failing_database_is_told_and_not_cached() {
    let server = Server::start();
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("articles.db");
    let instance = Instance::start(&server.url(), &file);
    instance.put(1, "Bread");
    change(&file, "ALTER TABLE articles RENAME TO away");
    let (status, body) = instance.request("GET", "/articles/1", "");
    assert_eq!(status, 503, "{body}");
    assert!(body.starts_with("the database failed"), "{body}");
    change(&file, "ALTER TABLE away RENAME TO articles");
    assert!(instance.get("/articles/1").contains("Bread"));
    change(&file, "ALTER TABLE articles RENAME TO away");
    assert!(instance.get("/articles/1").contains("Bread"), "it is cached");
}

/// Behind the instance's back.
fn change(database: &Path, statement: &str) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let url = format!("sqlite://{}", database.display());
        let mut connection = <sqlx::SqliteConnection as sqlx::Connection>::connect(&url).await.unwrap();
        sqlx::raw_sql(statement).execute(&mut connection).await.unwrap();
    });
}

#[test]
fn it_ends_in_order_when_it_is_told_to() {
    let server = Server::start();
    let directory = tempfile::tempdir().unwrap();
    let mut instance = Instance::start(&server.url(), &directory.path().join("articles.db"));
    instance.put(1, "Bread");
    assert!(instance.process.terminate());
    assert!(TcpStream::connect(&instance.address).is_err(), "nobody listens any more");
}
