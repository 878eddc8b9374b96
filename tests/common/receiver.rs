//! A receiver of webhooks that says what it is told to, and keeps what it was sent.
//!
//! Knows: as much HTTP as that takes. Must not know: what is sent.

use std::collections::VecDeque;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use serde_json::Value;

use super::eventually;

/// A request as it came.
#[derive(Debug, Clone)]
pub(crate) struct Got {
    pub(crate) path: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: String,
}

impl Got {
    pub(crate) fn header(&self, name: &str) -> &str {
        let found = self.headers.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_str()).unwrap_or_default()
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).expect("JSON was promised")
    }

    pub(crate) fn id(&self) -> String {
        self.json()["id"].as_str().expect("an id").to_owned()
    }

    /// Whom it is about first.
    pub(crate) fn subject(&self) -> String {
        self.json()["about"][0]["subject"].as_str().unwrap_or_default().to_owned()
    }
}

/// Listens until it is dropped.
pub(crate) struct Receiver {
    got: Arc<Mutex<Vec<Got>>>,
    answers: Arc<Mutex<VecDeque<String>>>,
    stop: Arc<AtomicBool>,
    port: u16,
    thread: Option<JoinHandle<()>>,
}

impl Receiver {
    /// One that says these answers, one after the other, and then 204.
    pub(crate) fn start(port: u16, answers: &[&str]) -> Receiver {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).expect("a free port");
        let got = Arc::<Mutex<Vec<Got>>>::default();
        let answers = answers.iter().map(|answer| (*answer).to_owned()).collect();
        let (answers, stop) = (Arc::new(Mutex::new(answers)), Arc::<AtomicBool>::default());
        let (kept, said, stopping) = (Arc::clone(&got), Arc::clone(&answers), Arc::clone(&stop));
        let thread = std::thread::spawn(move || {
            for stream in listener.incoming() {
                if stopping.load(Ordering::Acquire) {
                    return;
                }
                // A peer that goes away in between has said nothing.
                let _ = stream.and_then(|stream| serve(&stream, &kept, &said));
            }
        });
        Receiver { got, answers, stop, port, thread: Some(thread) }
    }

    /// What came, once it is as much.
    pub(crate) fn got(&self, at_least: usize) -> Vec<Got> {
        eventually(&format!("{at_least} requests"), || {
            let got = self.got.lock().expect("our own lock").clone();
            (got.len() >= at_least).then_some(got)
        })
    }

    /// How many came.
    pub(crate) fn count(&self) -> usize {
        self.got.lock().expect("our own lock").len()
    }

    /// How many answers are left to be given.
    pub(crate) fn left(&self) -> usize {
        self.answers.lock().expect("our own lock").len()
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
        let _ = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port));
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn serve(stream: &TcpStream, kept: &Mutex<Vec<Got>>, said: &Mutex<VecDeque<String>>) -> std::io::Result<()> {
    stream.set_read_timeout(Some(super::PATIENCE))?;
    stream.set_write_timeout(Some(super::PATIENCE))?;
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    reader.read_line(&mut line)?;
    let path = line.split(' ').nth(1).unwrap_or_default().to_owned();
    let mut headers = Vec::new();
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 || line == "\r\n" {
            break;
        }
        if let Some((name, value)) = line.split_once(':') {
            headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
        }
    }
    let mut got = Got { path, headers, body: String::new() };
    let length: usize = got.header("content-length").parse().unwrap_or(0);
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    got.body = String::from_utf8_lossy(&body).into_owned();
    if got.path.is_empty() {
        return Ok(());
    }
    let answer = said.lock().expect("our own lock").pop_front();
    kept.lock().expect("our own lock").push(got);
    let mut stream = stream;
    match answer.as_deref() {
        None => stream.write_all(b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n"),
        Some("endless") => {
            stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n")?;
            let piece = [b'x'; 64 * 1024];
            // Until nobody listens any more.
            for _ in 0..4096 {
                stream.write_all(&piece)?;
            }
            Ok(())
        }
        Some(raw) => stream.write_all(raw.as_bytes()),
    }
}
