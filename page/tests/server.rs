//! The server as pages and strangers meet it.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::channel;
use std::thread::JoinHandle;

use costate_demos::dataset::Meta;
use costate_page::{Options, serve};
use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use serde_json::{Value, json};
use tempfile::TempDir;
use tungstenite::client::IntoClientRequest;
use tungstenite::stream::MaybeTlsStream;
use tungstenite::{Message, WebSocket};

/// A server for a test; dropping it stops it.
struct Server {
    folder: TempDir,
    port: u16,
    url: String,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    fn new() -> Self {
        Self::at(Ipv4Addr::LOCALHOST)
    }

    fn at(host: Ipv4Addr) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let options = Options {
            host: host.into(),
            ..Options::new(folder.path().join("demos"), folder.path().join("runs"))
        };
        let stop = Arc::new(AtomicBool::new(false));
        let (ready, address) = channel();
        let flag = stop.clone();
        let thread = std::thread::spawn(move || {
            let ready = |url: &str| ready.send(url.to_owned()).unwrap();
            serve(options, None, ready, &flag).unwrap();
        });
        let url = address.recv().unwrap();
        let port = url.split([':', '/']).nth(4).unwrap().parse().unwrap();
        Self {
            folder,
            port,
            url,
            stop,
            thread: Some(thread),
        }
    }

    /// Status and body of a request with these header lines.
    fn ask(&self, method: &str, path: &str, headers: &[String], body: &str) -> (u16, String) {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).unwrap();
        let lines: String = headers.iter().map(|h| format!("{h}\r\n")).collect();
        let length = body.len();
        // A server that refuses early may close before all is written.
        let _ = write!(
            stream,
            "{method} {path} HTTP/1.1\r\n{lines}content-length: {length}\r\nconnection: close\r\n\r\n{body}"
        );
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        let answer = String::from_utf8_lossy(&answer);
        let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
        let status = head.split(' ').nth(1).and_then(|s| s.parse().ok());
        (status.unwrap_or(0), body.to_owned())
    }

    fn host(&self) -> String {
        format!("host: localhost:{}", self.port)
    }

    fn get(&self, path: &str) -> (u16, String) {
        self.ask("GET", path, &[self.host()], "")
    }

    fn post(&self, path: &str, body: &Value) -> (u16, String) {
        let json = "content-type: application/json".to_owned();
        self.ask("POST", path, &[self.host(), json], &body.to_string())
    }

    fn page(&self) -> Page {
        Page::connect(self, &[]).unwrap()
    }

    fn alive(&self) -> bool {
        self.get("/api/hello").0 == 200
    }

    /// Everything under the server's folder.
    fn written(&self) -> usize {
        walk(self.folder.path())
    }
}

fn walk(folder: &Path) -> usize {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    entries
        .map(|e| match e.path().is_dir() {
            true => walk(&e.path()),
            false => 1,
        })
        .sum()
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap();
        }
    }
}

/// A page's socket.
struct Page(WebSocket<MaybeTlsStream<TcpStream>>);

impl Page {
    fn connect(server: &Server, headers: &[(&'static str, String)]) -> tungstenite::Result<Self> {
        let url = format!("ws://localhost:{}/api/drive", server.port);
        let mut request = url.into_client_request()?;
        for (name, value) in headers {
            request.headers_mut().insert(*name, value.parse().unwrap());
        }
        tungstenite::connect(request).map(|(socket, _)| Self(socket))
    }

    fn say(&mut self, value: Value) {
        self.0.send(Message::text(value.to_string())).unwrap();
    }

    /// The next answer; `None` once the socket is closed.
    fn hear(&mut self) -> Option<Value> {
        loop {
            match self.0.read() {
                Ok(Message::Text(text)) => return serde_json::from_str(&text).ok(),
                Ok(Message::Close(_)) | Err(_) => return None,
                Ok(_) => {}
            }
        }
    }

    /// The next answer that fits.
    fn until(&mut self, what: &str, fits: impl Fn(&Value) -> bool) -> Value {
        for _ in 0..5_000 {
            let answer = self
                .hear()
                .unwrap_or_else(|| panic!("closed before {what}"));
            if fits(&answer) {
                return answer;
            }
        }
        panic!("never: {what}")
    }

    fn of_type(&mut self, name: &str) -> Value {
        self.until(name, |a| a["type"] == name)
    }

    fn phase(&mut self, phase: &str) -> Value {
        self.until(phase, |a| a["type"] == "frame" && a["phase"] == phase)
    }

    fn open(&mut self, dataset: &str) -> Value {
        self.say(json!({ "type": "open", "env": "cart_pole", "dataset": dataset }));
        self.of_type("opened")
    }
}

#[test]
fn an_episode_is_driven_in_real_time_and_kept() {
    let server = Server::new();
    let mut page = server.page();
    let opened = page.open("hand");
    assert_eq!(opened["horizon"], 500);
    assert_eq!(opened["action"][0]["name"], "push");
    page.say(json!({ "type": "begin" }));
    assert!(page.phase("countdown")["countdown_s"].as_f64().unwrap() > 1.0);
    page.phase("running");
    page.say(json!({ "type": "input", "n": 7, "action": [1.0] }));
    let pushed = page.until("the input's step", |a| a["n"] == 7);
    assert_eq!(pushed["action"], json!([1.0]));
    page.say(json!({ "type": "pause" }));
    page.phase("paused");
    page.say(json!({ "type": "keep", "tags": ["first"] }));
    let kept = page.of_type("kept");
    assert_eq!((&kept["id"], &kept["episodes"]), (&json!(0), &json!(1)));
    page.phase("ready");
    let (status, body) = server.get("/api/datasets/hand");
    let view: Value = serde_json::from_str(&body).unwrap();
    assert_eq!((status, &view["list"][0]["tags"]), (200, &json!(["first"])));
    assert_eq!(view["recording"], true);
    assert_eq!(server.get("/api/datasets/hand/episodes/0/film").0, 200);
    assert_eq!(server.get("/api/datasets/hand/episodes/1/film").0, 404);
    page.say(json!({ "type": "leave" }));
    assert!(
        page.of_type("ended")["message"]
            .as_str()
            .unwrap()
            .contains("left")
    );
    let meta = Meta::open(&server.folder.path().join("demos/hand")).unwrap();
    assert_eq!(meta.expert.name, "human");
}

#[test]
fn a_lost_driver_stops_the_clock_and_comes_back_with_its_key_alone() {
    let server = Server::new();
    let mut page = server.page();
    let opened = page.open("hand");
    let mut watcher = server.page();
    watcher.say(json!({ "type": "join", "session": opened["session"] }));
    assert_eq!(watcher.of_type("opened")["key"], Value::Null);
    page.say(json!({ "type": "begin" }));
    page.until("some steps", |a| a["step"].as_u64() > Some(3));
    // Someone who watches does not drive.
    watcher.say(json!({ "type": "input", "n": 1, "action": [1.0] }));
    assert!(
        watcher.of_type("refused")["message"]
            .as_str()
            .unwrap()
            .contains("watches")
    );
    drop(page);
    let paused = watcher.phase("paused");
    assert!(
        paused["note"].as_str().unwrap().contains("lost"),
        "{paused}"
    );
    for key in [json!("0".repeat(32)), json!("")] {
        let mut thief = server.page();
        thief.say(json!({ "type": "join", "session": opened["session"], "key": key }));
        assert!(
            thief.of_type("refused")["message"]
                .as_str()
                .unwrap()
                .contains("another")
        );
    }
    let mut back = server.page();
    back.say(json!({ "type": "join", "session": opened["session"], "key": opened["key"] }));
    assert_eq!(back.of_type("opened")["key"], opened["key"]);
    let frame = back.phase("paused");
    assert_eq!(frame["step"], paused["step"]);
    back.say(json!({ "type": "go" }));
    back.until("the next step", |a| {
        a["step"].as_u64() > paused["step"].as_u64()
    });
    // A second window with the same key does not drive along.
    let mut twice = server.page();
    twice.say(json!({ "type": "join", "session": opened["session"], "key": opened["key"] }));
    assert!(
        twice.of_type("refused")["message"]
            .as_str()
            .unwrap()
            .contains("another window")
    );
}

#[test]
fn two_people_do_not_record_into_one_dataset_by_accident() {
    let server = Server::new();
    let mut first = server.page();
    let opened = first.open("hand");
    let mut second = server.page();
    let open =
        |take: bool| json!({ "type": "open", "env": "cart_pole", "dataset": "hand", "take": take });
    second.say(open(false));
    assert_eq!(second.of_type("refused")["held_by"], opened["session"]);
    second.say(open(true));
    second.of_type("opened");
    assert!(
        first.of_type("ended")["message"]
            .as_str()
            .unwrap()
            .contains("taken over")
    );
    assert!(first.hear().is_none(), "its socket is closed");
}

#[test]
fn strangers_and_paths_are_refused() {
    let server = Server::new();
    let before = server.written();
    let at = |host: &str| vec![format!("host: {host}")];
    for host in ["evil.example", "evil.example:80", "10.0.0.1", ""] {
        assert_eq!(
            server.ask("GET", "/api/hello", &at(host), "").0,
            403,
            "{host}"
        );
    }
    let origin = |o: &str| vec![server.host(), format!("origin: {o}")];
    for foreign in ["http://evil.example", "null", "http://localhost:1"] {
        assert_eq!(
            server.ask("GET", "/", &origin(foreign), "").0,
            403,
            "{foreign}"
        );
        let headers = [("origin", foreign.to_owned())];
        assert!(Page::connect(&server, &headers).is_err(), "{foreign}");
    }
    // A form of another site cannot send JSON by name.
    let form = [server.host(), "content-type: text/plain".into()];
    let path = "/api/datasets/x/delete";
    assert_eq!(
        server.ask("POST", path, &form, r#"{"episodes":[0]}"#).0,
        400
    );
    for name in [
        "..",
        "%2e%2e",
        "..%2f..",
        "%2Fetc",
        "a%00b",
        ".hidden",
        "-o",
        &"x".repeat(300),
    ] {
        let path = format!("/api/datasets/{name}");
        let status = server.get(&path).0;
        assert!([400, 404].contains(&status), "{name}: {status}");
        let status = server
            .post(&format!("{path}/delete"), &json!({ "episodes": [0] }))
            .0;
        assert!([400, 404].contains(&status), "{name}: {status}");
        let status = server.get(&format!("/page/{name}")).0;
        assert!([400, 404].contains(&status), "{name}: {status}");
        let mut page = server.page();
        page.say(json!({ "type": "open", "env": "cart_pole", "dataset": name }));
        page.of_type("refused");
        page.say(json!({ "type": "open", "env": "cart_pole", "dataset": "a", "expert": name }));
        page.of_type("refused");
        page.say(json!({ "type": "open", "env": name, "dataset": "a" }));
        page.of_type("refused");
    }
    assert_eq!(server.post("/api/train", &json!({})).0, 400);
    assert!(server.alive());
    assert_eq!(server.written(), before);
}

#[test]
fn oversized_and_malformed_messages_are_refused() {
    let server = Server::new();
    let long = "x".repeat(100_000);
    let (status, _) = server.post(
        "/api/datasets/a/tag",
        &json!({ "episodes": [0], "add": [long] }),
    );
    assert!([0, 400, 413].contains(&status), "{status}");
    let mut page = server.page();
    page.open("a");
    // The server closes such a socket, perhaps before all was sent.
    let _ = page
        .0
        .send(Message::text(format!("{{\"type\":\"{long}\"}}")));
    assert!(std::iter::from_fn(|| page.hear()).count() < 1_000);
    let words = prop_oneof![
        any::<String>(),
        "\\{\"type\":\"(open|join|begin|pause|go|discard|keep|undo|speed|assist|take|input|leave)\"(,\"[a-z]{1,8}\":(-?[0-9]{1,30}|\\[[0-9,]{0,9}\\]|\"[a-z.]{0,9}\"|null|true|\\{\\})){0,3}\\}",
        "[\\[{\"\\]}:,0-9eE+.-]{0,60}",
    ];
    TestRunner::deterministic()
        .run(&proptest::collection::vec(words, 1..12), |words| {
            let mut page = server.page();
            for word in words {
                if page.0.send(Message::text(word)).is_err() {
                    break;
                }
            }
            Ok(())
        })
        .unwrap();
    let mut binary = server.page();
    binary.open("b");
    binary.0.send(Message::binary(vec![0_u8; 9])).unwrap();
    assert!(std::iter::from_fn(|| binary.hear()).count() < 1_000);
    // Sessions of pages that went are still open; nothing was written by any of it.
    assert!(server.alive());
    assert_eq!(server.written(), 0);
    assert_eq!(server.page().open("c")["episodes"], 0);
}

#[test]
fn beyond_loopback_a_token_is_needed() {
    let server = Server::at(Ipv4Addr::UNSPECIFIED);
    let token = server
        .url
        .split_once("?token=")
        .expect("a token in the address")
        .1;
    assert_eq!(token.len(), 32);
    assert_eq!(server.get("/").0, 401);
    assert_eq!(server.get("/api/hello").0, 401);
    assert_eq!(server.get("/?token=0").0, 401);
    assert!(Page::connect(&server, &[]).is_err());
    assert_eq!(server.get(&format!("/?token={token}")).0, 303);
    let cookie = format!("costate_{}={token}", server.port);
    let with = [server.host(), format!("cookie: {cookie}")];
    assert_eq!(server.ask("GET", "/api/hello", &with, "").0, 200);
    let mut page = Page::connect(&server, &[("cookie", cookie)]).unwrap();
    page.open("hand");
}

#[test]
fn a_stopped_server_tells_its_pages() {
    let server = Server::new();
    let mut page = server.page();
    page.open("hand");
    page.say(json!({ "type": "begin" }));
    page.phase("running");
    server.stop.store(true, Ordering::Relaxed);
    assert!(
        page.of_type("ended")["message"]
            .as_str()
            .unwrap()
            .contains("stopped")
    );
    drop(server);
}
