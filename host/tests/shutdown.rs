//! A server that is told to stop: a request that has begun is answered and durable, nobody new is
//! served, and who never ends is not waited for longer than it says.

use crate::serving::{ADMIN_KEY, Server};
use serde_json::json;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::time::{Duration, Instant};

/// A request to make an org, of which only the first byte of its body was sent yet.
struct Begun {
    stream: TcpStream,
    rest: String,
}

impl Begun {
    fn new(server: &Server, name: &str) -> Self {
        let address = server.url.strip_prefix("http://").unwrap();
        let mut stream = TcpStream::connect(address).unwrap();
        let body = json!({"name": name}).to_string();
        let (first, rest) = body.split_at(1);
        write!(
            stream,
            "POST /v1/admin/orgs HTTP/1.1\r\nhost: {address}\r\n\
             authorization: Bearer {ADMIN_KEY}\r\ncontent-type: application/json\r\n\
             content-length: {}\r\n\r\n{first}",
            body.len()
        )
        .unwrap();
        Self {
            stream,
            rest: rest.to_owned(),
        }
    }

    fn answer(mut self) -> String {
        self.stream.write_all(self.rest.as_bytes()).unwrap();
        let mut answer = String::new();
        // The server closes the connection when it has answered.
        self.stream.read_to_string(&mut answer).unwrap();
        answer
    }
}

fn orgs(server: &Server) -> String {
    let mut answer = ureq::get(format!("{}/v1/admin/orgs", server.url))
        .header("authorization", format!("Bearer {ADMIN_KEY}"))
        .call()
        .unwrap();
    answer.body_mut().read_to_string().unwrap()
}

/// Starts a server that has taken up a request: it has answered another since.
fn with_open_request(data: &Path, options: &[&str]) -> (Server, Begun) {
    let server = Server::start(data, options);
    let begun = Begun::new(&server, "begun");
    orgs(&server);
    (server, begun)
}

#[test]
fn a_request_that_has_begun_is_answered_and_kept() {
    let folder = tempfile::tempdir().unwrap();
    let (mut server, begun) = with_open_request(folder.path(), &[]);
    server.ask_to_stop();
    // Nobody new is served from here on.
    let until = Instant::now() + Duration::from_secs(20);
    let address = server.url.strip_prefix("http://").unwrap().to_owned();
    while TcpStream::connect(&address).is_ok() {
        assert!(Instant::now() < until, "it still takes connections");
        std::thread::sleep(Duration::from_millis(10));
    }
    let answer = begun.answer();
    assert!(answer.starts_with("HTTP/1.1 201 "), "{answer}");
    server.wait();
    let nothing: [&str; 0] = [];
    let server = Server::start(folder.path(), nothing);
    assert!(orgs(&server).contains("\"begun\""));
}

#[test]
fn who_never_ends_is_not_waited_for() {
    let folder = tempfile::tempdir().unwrap();
    let (mut server, begun) = with_open_request(folder.path(), &["--drain-ms", "200"]);
    server.ask_to_stop();
    server.wait();
    drop(begun);
    let nothing: [&str; 0] = [];
    let server = Server::start(folder.path(), nothing);
    assert!(!orgs(&server).contains("\"begun\""));
}
