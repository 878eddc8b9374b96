//! The sockets on which MTAs ask: listening, admitting, one small task per connection, stopping in two phases.
//!
//! Knows: who may ask, how many, and how long anybody is waited for. Must not know: what the answers are; a `Desk`
//! gives them. Nor how questions are spelled; the codecs of `crate::mta` do.

mod busy;
mod connection;
mod socket;

use std::future::Future;
use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use nix::errno::Errno;
use tokio::sync::{Semaphore, watch};
use tokio::task::{JoinHandle, JoinSet};
use tracing::{debug, warn};

use socket::adopt_tcp;
pub use socket::{BindError, BindFault, SocketFile, bind_tcp, bind_unix};

use super::inherited::Inherited;
use super::seats::Seat;
use crate::config::{Config, Endpoint, Listeners};
use crate::mta::{milter, policy, socketmap};
use crate::relay::Query;
use crate::session::Name;
use busy::Detach;
use connection::{Closed, Milter, Policy, Socketmap, Speech, Terms};
use socket::{Listener, Stream};

/// Who asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Peer {
    /// Its name by `[[mta]]`, else its address, or `unix`.
    pub mta: Name,
    /// The VRF of the private addresses that it tells of; `None`: the public space. By name, because what is a number in
    /// the map may be heard of only after somebody has begun to ask.
    pub realm: Option<Name>,
}

/// Gives the answers.
pub trait Desk: Send + Sync + 'static {
    /// Answers a lookup from memory. Quick: it never blocks.
    fn socketmap(&self, peer: &Peer, request: &socketmap::Request) -> socketmap::Reply;

    /// Answers a policy question. It may wait for a commit, within a deadline of its own.
    fn policy(&self, peer: &Peer, query: policy::Request) -> impl Future<Output = policy::Action> + Send;

    /// What is wanted of a milter client that connects now.
    fn milter_terms(&self) -> milter::Terms {
        milter::Terms::default()
    }

    /// Takes what a milter client tells and asks nothing about; its SMTP session's seat is kept in `seat`.
    fn milter_heard(&self, _: &Peer, _seat: &mut Option<Seat>, _: milter::Heard) {}

    /// Answers for a recipient of which a milter client tells.
    fn milter_recipient(&self, _: &Peer, _: Query) -> impl Future<Output = policy::Action> + Send {
        std::future::ready(policy::Action::Dunno)
    }

    /// Answers for a whole message of which a milter client tells. It may wait for commits, within a deadline of its own.
    fn milter_end(&self, _: &Peer, _: milter::Ended) -> impl Future<Output = policy::Action> + Send {
        std::future::ready(policy::Action::Dunno)
    }
}

/// What a listener speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Service {
    /// `[socketmap]`.
    Socketmap,
    /// `[policy]`.
    Policy,
    /// `[milter]`.
    Milter,
}

impl Service {
    /// The key by which its listeners are configured.
    #[must_use]
    pub fn key(self) -> &'static str {
        match self {
            Service::Socketmap => "socketmap.listen",
            Service::Policy => "policy.listen",
            Service::Milter => "milter.listen",
        }
    }
}

/// How much is borne from peers. The defaults are for production; tests take shorter ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Connections at a time, over all listeners. Postfix keeps one per smtpd process and service.
    pub connections: u32,
    /// Connections that ask without a pause and may have a thread each.
    pub threads: usize,
    /// A request must be whole so long after its first octets.
    pub request: Duration,
    /// A connection may be silent so long between requests; Postfix itself closes after 300 s at most.
    pub idle: Duration,
    /// A peer may leave its answers unread so long.
    pub write: Duration,
    /// After a broken request the peer may take so long to see our answer and go.
    pub linger: Duration,
    /// Pause after an accept that failed for want of descriptors or memory.
    pub accept_pause: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            connections: 20_000,
            threads: busy::threads(),
            request: Duration::from_secs(10),
            idle: Duration::from_secs(3600),
            write: Duration::from_secs(10),
            linger: Duration::from_secs(1),
            accept_pause: Duration::from_millis(100),
        }
    }
}

/// What happened, for the metrics. All of them only grow, except `open` and `busy`.
#[derive(Debug, Default)]
pub struct Counters {
    /// Connections admitted.
    pub accepted: AtomicU64,
    /// Connections that are open.
    pub open: AtomicU64,
    /// Those of them that ask without a pause and have a thread.
    pub busy: AtomicU64,
    /// Connections from hosts that may not ask.
    pub foreign: AtomicU64,
    /// Connections above the limit.
    pub over_limit: AtomicU64,
    /// Accepts that failed.
    pub accept_failures: AtomicU64,
    /// Socketmap requests.
    pub socketmap: AtomicU64,
    /// Policy requests.
    pub policy: AtomicU64,
    /// Milter commands.
    pub milter: AtomicU64,
    /// Connections closed because of octets that are no request.
    pub broken: AtomicU64,
    /// Connections closed because a request didn't become whole in time.
    pub dribbled: AtomicU64,
    /// Connections closed because the peer didn't read its answers.
    pub unread: AtomicU64,
    /// Connections closed because nothing was asked for long.
    pub idle: AtomicU64,
}

fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

/// Listeners that are bound; connections wait in the kernel until they are served.
#[derive(Debug)]
pub struct Bound {
    listeners: Vec<(Service, Listener)>,
    limits: Limits,
}

/// Binds every listener of `[socketmap]`, `[policy]` and `[milter]`.
///
/// # Errors
/// The first one that can't be bound; those before it are given up again.
///
/// # Panics
/// Outside of a tokio runtime.
pub fn bind(config: &Config, limits: Limits) -> Result<Bound, BindError> {
    inherit(config, limits, &mut Inherited::default())
}

/// The same, but of what was inherited nothing need be bound.
///
/// # Errors
/// The first one that can't be bound; those before it are given up again.
///
/// # Panics
/// Outside of a tokio runtime.
pub fn inherit(config: &Config, limits: Limits, inherited: &mut Inherited) -> Result<Bound, BindError> {
    let mut listeners = Vec::new();
    for (service, configured) in [
        (Service::Socketmap, &config.socketmap),
        (Service::Policy, &config.policy.listeners),
        (Service::Milter, &config.milter.listeners),
    ] {
        for endpoint in &configured.listen {
            listeners.push((service, listen(service, endpoint, configured, inherited)?));
        }
    }
    Ok(Bound { listeners, limits })
}

fn listen(
    service: Service,
    endpoint: &Endpoint,
    configured: &Listeners,
    inherited: &mut Inherited,
) -> Result<Listener, BindError> {
    let bound = match endpoint {
        Endpoint::Tcp(address) => match inherited.tcp(*address) {
            Some(listener) => adopt_tcp(listener).and_then(Listener::tcp),
            None => bind_tcp(*address).and_then(Listener::tcp),
        },
        Endpoint::Unix(path) => bind_unix(path, configured.mode, configured.group.as_deref())
            .and_then(|(listener, file)| Listener::unix(listener, file)),
    };
    bound.map_err(|fault| BindError { key: service.key(), endpoint: endpoint.clone(), fault })
}

impl Bound {
    /// Where it listens; a port that was configured as 0 has its number here.
    #[must_use]
    pub fn endpoints(&self) -> Vec<(Service, Endpoint)> {
        self.listeners
            .iter()
            .filter_map(|(service, listener)| Some((*service, listener.endpoint()?)))
            .collect()
    }

    /// Serves until `shutdown` turns true (or its sender is gone). The task ends when the listeners are closed and
    /// every connection has been given what it had asked for, at the latest after the limits for requests and writes.
    pub fn serve<D: Desk>(
        self,
        desk: Arc<D>,
        config: Arc<ArcSwap<Config>>,
        shutdown: watch::Receiver<bool>,
        counters: Arc<Counters>,
    ) -> JoinHandle<()> {
        let limits = self.limits;
        let room =
            Arc::new(Semaphore::new(usize::try_from(limits.connections).unwrap_or(Semaphore::MAX_PERMITS)));
        let house = Arc::new(House {
            desk,
            config,
            limits,
            counters,
            room: Arc::clone(&room),
            threads: Semaphore::new(limits.threads),
            log: Seldom::default(),
        });
        tokio::spawn(async move {
            let mut accepting = JoinSet::new();
            for (service, listener) in self.listeners {
                accepting.spawn(accept(Arc::clone(&house), service, listener, shutdown.clone()));
            }
            while accepting.join_next().await.is_some() {}
            // Each connection holds a place until it is closed; when all places are free, nobody is left.
            let _ = room.acquire_many(limits.connections).await;
        })
    }
}

/// What all connections share.
struct House<D> {
    desk: Arc<D>,
    config: Arc<ArcSwap<Config>>,
    limits: Limits,
    counters: Arc<Counters>,
    room: Arc<Semaphore>,
    /// A connection that finds none free is the runtime's, as all are that ask now and then.
    threads: Semaphore,
    log: Seldom,
}

/// Admits connections until told to stop. No error ends it: a daemon that no longer listens is worse than one that
/// is short of something.
async fn accept<D: Desk>(
    house: Arc<House<D>>,
    service: Service,
    listener: Listener,
    mut shutdown: watch::Receiver<bool>,
) {
    let stop = shutdown.clone();
    let mut stopping = std::pin::pin!(stopped(&mut shutdown));
    loop {
        let accepted = tokio::select! {
            biased;
            () = &mut stopping => return,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, source)) => house.admit(service, stream, source, stop.clone()),
            Err(error) => {
                count(&house.counters.accept_failures);
                if let Some(suppressed) = house.log.turn() {
                    warn!(key = service.key(), %error, suppressed, "cannot accept connections");
                }
                if is_the_peers(&error) {
                    continue;
                }
                tokio::select! {
                    biased;
                    () = &mut stopping => return,
                    () = tokio::time::sleep(house.limits.accept_pause) => {}
                }
            }
        }
    }
}

/// Resolves when the daemon stops, or when nobody is left who could say so.
async fn stopped(shutdown: &mut watch::Receiver<bool>) {
    let _ = shutdown.wait_for(|stop| *stop).await;
}

/// Whether an accept failed because of the connection it was about. Then the next one may be fine at once; with
/// anything else (EMFILE, ENFILE, ENOMEM, ENOBUFS) trying again at once would only turn in circles.
fn is_the_peers(error: &io::Error) -> bool {
    let errno = error.raw_os_error().map(Errno::from_raw);
    matches!(errno, Some(Errno::ECONNABORTED | Errno::EINTR | Errno::EPROTO | Errno::EPERM))
}

impl<D: Desk> House<D> {
    /// Lets a connection in, or drops it.
    fn admit(
        self: &Arc<Self>,
        service: Service,
        stream: Stream,
        source: Option<IpAddr>,
        shutdown: watch::Receiver<bool>,
    ) {
        let Some(peer) = peer(&self.config.load(), service, source) else {
            count(&self.counters.foreign);
            if let Some(suppressed) = self.log.turn() {
                warn!(key = service.key(), ?source, suppressed, "a host that is in no [[mta]] asked");
            }
            return;
        };
        let Ok(place) = Arc::clone(&self.room).try_acquire_owned() else {
            count(&self.counters.over_limit);
            if let Some(suppressed) = self.log.turn() {
                warn!(key = service.key(), mta = %peer.mta, suppressed, "too many connections");
            }
            return;
        };
        let house = Arc::clone(self);
        tokio::spawn(async move {
            count(&house.counters.accepted);
            count(&house.counters.open);
            match stream {
                Stream::Tcp(stream) => house.serve(service, stream, peer, shutdown).await,
                Stream::Unix(stream) => house.serve(service, stream, peer, shutdown).await,
            }
            house.counters.open.fetch_sub(1, Ordering::Relaxed);
            drop(place);
        });
    }

    async fn serve<S: Detach>(
        &self,
        service: Service,
        stream: S,
        peer: Peer,
        shutdown: watch::Receiver<bool>,
    ) {
        let closed = match service {
            Service::Socketmap => self.converse::<Socketmap, S>(stream, &peer, shutdown).await,
            Service::Policy => self.converse::<Policy, S>(stream, &peer, shutdown).await,
            Service::Milter => self.converse::<Milter, S>(stream, &peer, shutdown).await,
        };
        let counter = match &closed {
            Closed::Broken(_) => &self.counters.broken,
            Closed::Dribbled => &self.counters.dribbled,
            Closed::Unread => &self.counters.unread,
            Closed::Idle => &self.counters.idle,
            // The end of every connection that went well, and of those whose MTA went away.
            Closed::Ended | Closed::Stopped | Closed::Lost(_) => {
                debug!(key = service.key(), mta = %peer.mta, %closed, "connection closed");
                return;
            }
        };
        count(counter);
        if let Some(suppressed) = self.log.turn() {
            warn!(key = service.key(), mta = %peer.mta, %closed, suppressed, "connection closed");
        }
    }

    async fn converse<P: Speech, S: Detach>(
        &self,
        stream: S,
        peer: &Peer,
        shutdown: watch::Receiver<bool>,
    ) -> Closed {
        let House { desk, limits, counters, threads, .. } = self;
        let terms = Terms { desk: &**desk, limits, counters, threads };
        connection::converse::<P, D, S>(stream, peer, terms, shutdown).await
    }
}

/// Who asks from `source` (`None`: over a Unix socket, whose mode says who may); `None`: nobody who may.
///
/// Answers tell who is a subscriber, so a host that nobody named gets none. Loopback is this machine.
fn peer(config: &Config, service: Service, source: Option<IpAddr>) -> Option<Peer> {
    let source = source.map(|source| source.to_canonical());
    let known = source.and_then(|source| config.mtas.iter().find(|mta| mta.address.contains(&source)));
    let mta = match (source, known) {
        (None, _) => Name::from("unix"),
        (Some(_), Some(mta)) => mta.name.clone(),
        (Some(source), None) if source.is_loopback() => Name::from(source.to_string().as_str()),
        (Some(_), None) => return None,
    };
    let listeners = match service {
        Service::Socketmap => &config.socketmap,
        Service::Policy => &config.policy.listeners,
        Service::Milter => &config.milter.listeners,
    };
    // Who asks is known better than where.
    let realm = known.and_then(|mta| mta.realm.as_ref()).or(listeners.realm.as_ref());
    Some(Peer { mta, realm: realm.and_then(|realm| realm.vrf().cloned()) })
}

/// Keeps one line of log from becoming a million: whoever can make us write could fill the disk.
#[derive(Debug)]
struct Seldom {
    began: std::time::Instant,
    /// Seconds after `began` at which the next line may be written.
    next: AtomicU64,
    suppressed: AtomicU64,
}

impl Default for Seldom {
    fn default() -> Self {
        Seldom { began: std::time::Instant::now(), next: AtomicU64::new(0), suppressed: AtomicU64::new(0) }
    }
}

impl Seldom {
    const SECONDS: u64 = 1;

    /// Whether a line may be written now; then, how many were not since the last one.
    fn turn(&self) -> Option<u64> {
        let now = self.began.elapsed().as_secs();
        let next = self.next.load(Ordering::Relaxed);
        let mine = now >= next
            && self
                .next
                .compare_exchange(
                    next,
                    now.saturating_add(Self::SECONDS),
                    Ordering::Relaxed,
                    Ordering::Relaxed,
                )
                .is_ok();
        if mine {
            return Some(self.suppressed.swap(0, Ordering::Relaxed));
        }
        count(&self.suppressed);
        None
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    #[test]
    fn only_a_connection_that_broke_itself_is_passed_over_without_a_pause() {
        assert!(is_the_peers(&io::Error::from_raw_os_error(Errno::ECONNABORTED as i32)));
        for short in [Errno::EMFILE, Errno::ENFILE, Errno::ENOMEM, Errno::ENOBUFS, Errno::EINVAL] {
            assert!(!is_the_peers(&io::Error::from_raw_os_error(short as i32)), "{short}");
        }
        assert!(!is_the_peers(&io::Error::other("?")));
    }

    /// Answers as if every address were a subscriber's.
    struct Everybody;

    impl Desk for Everybody {
        fn socketmap(&self, _: &Peer, _: &socketmap::Request) -> socketmap::Reply {
            socketmap::Reply::Ok("alice".into())
        }

        async fn policy(&self, _: &Peer, _: policy::Request) -> policy::Action {
            policy::Action::Ok
        }
    }

    struct Configuration(&'static str);

    impl crate::config::file::Files for Configuration {
        fn read(&self, _: &Path) -> io::Result<crate::config::file::Contents> {
            let retention = "[retention]\nsessions = '180d'\nmessages = '90d'\nquestions = '365d'\n";
            let octets = format!("{}{retention}", self.0).into_bytes();
            Ok(crate::config::file::Contents { octets, mode: 0o600 })
        }
    }

    const MX1: &str =
        "[[mta]]\nname = 'net'\naddress = '192.0.2.0/24'\n[[mta]]\nname = 'mx1'\naddress = '192.0.2.25'\n";

    fn config(text: &'static str) -> Config {
        let attributes = &mut crate::radius::dictionary::Dictionary::default();
        crate::config::file::read(Path::new("/c"), &Configuration(text), attributes).unwrap().config
    }

    fn named(text: &'static str, source: &str) -> Option<String> {
        let peer = peer(&config(text), Service::Policy, Some(source.parse().unwrap()));
        peer.map(|peer| peer.mta.to_string())
    }

    #[test]
    fn without_an_mta_only_this_host_may_ask() {
        assert_eq!(named("", "127.0.0.1").as_deref(), Some("127.0.0.1"));
        assert_eq!(named("", "::1").as_deref(), Some("::1"));
        assert_eq!(named("", "::ffff:127.0.0.1").as_deref(), Some("127.0.0.1"));
        assert_eq!(named("", "192.0.2.25"), None);
    }

    #[test]
    fn an_mta_is_named_by_its_longest_prefix_and_this_host_may_still_ask() {
        assert_eq!(named(MX1, "192.0.2.25").as_deref(), Some("mx1"));
        assert_eq!(named(MX1, "::ffff:192.0.2.25").as_deref(), Some("mx1"));
        assert_eq!(named(MX1, "192.0.2.26").as_deref(), Some("net"));
        assert_eq!(named(MX1, "192.0.3.1"), None);
        assert_eq!(named(MX1, "127.0.0.1").as_deref(), Some("127.0.0.1"));
    }

    #[test]
    fn an_mta_speaks_of_its_own_realm_and_otherwise_of_its_listeners() {
        const REALMS: &str = "[socketmap]\nrealm = 'gold'\n[[mta]]\nname = 'a'\naddress = '192.0.2.1'\n\
                              [[mta]]\nname = 'b'\naddress = '192.0.2.2'\nrealm = 'silver'\n\
                              [[mta]]\nname = 'c'\naddress = '192.0.2.3'\nrealm = 'public'\n";
        let realm = |service, source: Option<&str>| {
            let source = source.map(|source| source.parse().unwrap());
            peer(&config(REALMS), service, source).unwrap().realm.map(|realm| realm.to_string())
        };
        let gold = Some("gold".to_owned());
        for anybody in [None, Some("127.0.0.1"), Some("192.0.2.1")] {
            assert_eq!(realm(Service::Socketmap, anybody), gold, "{anybody:?}");
            assert_eq!(realm(Service::Policy, anybody), None, "{anybody:?}");
        }
        for service in [Service::Socketmap, Service::Policy] {
            assert_eq!(realm(service, Some("192.0.2.2")).as_deref(), Some("silver"));
            assert_eq!(realm(service, Some("192.0.2.3")), None);
        }
    }

    #[tokio::test]
    async fn a_host_that_is_no_mta_is_closed_unanswered_and_counted() {
        let counters = Arc::new(Counters::default());
        let house = Arc::new(House {
            desk: Arc::new(Everybody),
            config: Arc::new(ArcSwap::from_pointee(config(MX1))),
            limits: Limits::default(),
            counters: Arc::clone(&counters),
            room: Arc::new(Semaphore::new(9)),
            threads: Semaphore::new(0),
            log: Seldom::default(),
        });
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (_stop, shutdown) = watch::channel(false);
        for (source, answer) in [("198.51.100.1", ""), ("192.0.2.25", "8:OK alice,")] {
            let mut client = tokio::net::TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
            let (stream, _) = listener.accept().await.unwrap();
            let source = Some(source.parse().unwrap());
            house.admit(Service::Socketmap, Stream::Tcp(stream), source, shutdown.clone());
            let _ = client.write_all(b"15:relay 192.0.2.7,").await;
            let _ = client.shutdown().await;
            let mut received = String::new();
            let _ = client.read_to_string(&mut received).await;
            assert_eq!(received, answer);
        }
        assert_eq!(counters.foreign.load(Ordering::Relaxed), 1);
    }

    #[test]
    fn the_second_line_within_a_second_is_counted_instead() {
        let seldom = Seldom::default();
        assert_eq!(seldom.turn(), Some(0));
        assert_eq!(seldom.turn(), None);
        assert_eq!(seldom.suppressed.load(Ordering::Relaxed), 1);
    }
}
