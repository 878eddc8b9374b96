//! A daemon's MTA side with a desk that knows four addresses by heart, and clients that are never waited for long.
#![allow(dead_code, reason = "each test program uses its part")]

use std::io::{self, Read};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use bytes::Bytes;
use relaywarden::config::file::{Contents, Files, read};
use relaywarden::config::{Config, Endpoint};
use relaywarden::mta::policy::{self, Action, Context};
use relaywarden::mta::socketmap::{self, Map, Reply};
use relaywarden::radius::dictionary::Dictionary;
use relaywarden::relay::Stage;
use relaywarden::server::mta::{Counters, Desk, Limits, Peer, Service, bind};
use tokio::runtime::Runtime;
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// How long anything may take that does happen.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// Answers as these tests expect: 192.0.2.7 is alice, 2001:db8::7 is bob, 198.51.100.9 is not known now, port 40001 of
/// 100.64.0.1 is carol, 203.0.113.1 has a very long name and 203.0.113.2 is whoever asks.
pub(crate) struct Fixture;

impl Fixture {
    fn owner(peer: &Peer, key: socketmap::Key) -> Reply {
        let Some(address) = key.address else { return Reply::NotFound };
        match (address.to_string().as_str(), key.port) {
            ("192.0.2.7", _) => Reply::Ok("alice".into()),
            ("2001:db8::7", _) => Reply::Ok("bob".into()),
            ("198.51.100.9", _) => Reply::Temp("starting, try again"),
            ("100.64.0.1", Some(40001)) => Reply::Ok("carol".into()),
            ("100.64.0.1", _) => Reply::Temp("the source port is needed"),
            ("203.0.113.1", _) => Reply::Ok(Bytes::from(vec![b'a'; 1000])),
            ("203.0.113.2", _) => Reply::Ok(peer.mta.to_string().into()),
            _ => Reply::NotFound,
        }
    }
}

impl Desk for Fixture {
    fn socketmap(&self, peer: &Peer, request: &socketmap::Request) -> Reply {
        match (request.map, Fixture::owner(peer, request.key)) {
            (Map::Unknown, _) => Reply::Temp("unknown map"),
            (Map::Access, Reply::Ok(_)) => Reply::Ok(Bytes::from_static(b"OK")),
            (_, reply) => reply,
        }
    }

    async fn policy(&self, _: &Peer, request: policy::Request) -> Action {
        // As when a message waits for its commit.
        tokio::task::yield_now().await;
        if let Context::Unknown(word) = &request.context {
            let word = String::from_utf8_lossy(word);
            return Action::Misconfigured451 { text: format!("unknown policy_context {word}").into() };
        }
        let query = request.query;
        if query.login.as_deref() == Some(b"mallory") {
            return Action::Reject550 {
                text: "sending mail is suspended for this connection (reference 17) (ref 1a2b3c4d)".into(),
            };
        }
        match (query.address.map(|address: IpAddr| address.to_string()).as_deref(), query.stage) {
            (Some("192.0.2.7"), Stage::Rcpt) => Action::Ok,
            (Some("192.0.2.7"), Stage::Data) => {
                Action::Prepend { header: "X-Subscriber-Token".into(), value: "k7".into() }
            }
            (Some("198.51.100.9"), _) => {
                Action::Defer451 { text: "starting, try again (ref 0000002b)".into() }
            }
            _ => Action::Dunno,
        }
    }
}

struct Text<'a>(&'a str);

impl Files for Text<'_> {
    fn read(&self, _: &Path) -> io::Result<Contents> {
        Ok(Contents { octets: self.0.as_bytes().to_vec(), mode: 0o600 })
    }
}

/// A configuration that listens nowhere but where `text` says.
pub(crate) fn config(text: &str) -> Config {
    let text = format!("{text}\n[retention]\nsessions = '180d'\nmessages = '90d'\nquestions = '365d'\n");
    read(Path::new("/test.toml"), &Text(&text), &mut Dictionary::default()).unwrap().config
}

/// Socketmap and policy on ports of their own.
pub(crate) const TCP: &str = "[socketmap]\nlisten = ['127.0.0.1:0']\n[policy]\nlisten = ['127.0.0.1:0']\n";

/// A serving daemon, MTA side only.
pub(crate) struct Server {
    pub(crate) runtime: Runtime,
    pub(crate) config: Arc<ArcSwap<Config>>,
    pub(crate) counters: Arc<Counters>,
    pub(crate) stop: watch::Sender<bool>,
    pub(crate) served: JoinHandle<()>,
    endpoints: Vec<(Service, Endpoint)>,
}

impl Server {
    pub(crate) fn start(text: &str, limits: Limits) -> Self {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let config = config(text);
        let within = runtime.enter();
        let bound = bind(&config, limits).unwrap();
        let endpoints = bound.endpoints();
        let (stop, stopping) = watch::channel(false);
        let (config, counters) = (Arc::new(ArcSwap::from_pointee(config)), Arc::new(Counters::default()));
        let served = bound.serve(Arc::new(Fixture), Arc::clone(&config), stopping, Arc::clone(&counters));
        drop(within);
        Server { runtime, config, counters, stop, served, endpoints }
    }

    fn endpoint(&self, service: Service) -> &Endpoint {
        &self.endpoints.iter().find(|(found, _)| *found == service).unwrap().1
    }

    pub(crate) fn address(&self, service: Service) -> SocketAddr {
        match self.endpoint(service) {
            Endpoint::Tcp(address) => *address,
            Endpoint::Unix(path) => panic!("{} is no TCP listener", path.display()),
        }
    }

    pub(crate) fn path(&self, service: Service) -> PathBuf {
        match self.endpoint(service) {
            Endpoint::Unix(path) => path.clone(),
            Endpoint::Tcp(address) => panic!("{address} is no Unix socket"),
        }
    }

    pub(crate) fn connect(&self, service: Service) -> TcpStream {
        let stream = TcpStream::connect(self.address(service)).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        stream
    }

    /// Tells the server to stop and waits until it has.
    pub(crate) fn stop(self) {
        self.stop.send(true).unwrap();
        self.runtime.block_on(async { tokio::time::timeout(PATIENCE, self.served).await }).unwrap().unwrap();
    }
}

/// The next `length` octets.
pub(crate) fn receive(stream: &mut impl Read, length: usize) -> String {
    let mut octets = vec![0; length];
    stream.read_exact(&mut octets).unwrap();
    String::from_utf8_lossy(&octets).into_owned()
}

/// Everything until the end of the stream.
pub(crate) fn receive_all(stream: &mut impl Read) -> String {
    let mut octets = Vec::new();
    stream.read_to_end(&mut octets).unwrap();
    String::from_utf8_lossy(&octets).into_owned()
}

/// Waits until the counter has come to `value`.
pub(crate) fn reaches(counter: &AtomicU64, value: u64) {
    until(
        || counter.load(Ordering::Relaxed) == value,
        &format!("a counter did not come to {value}: {counter:?}"),
    );
}

/// Waits until something holds.
pub(crate) fn until(mut holds: impl FnMut() -> bool, otherwise: &str) {
    let deadline = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < deadline, "{otherwise}");
        std::thread::yield_now();
    }
}
