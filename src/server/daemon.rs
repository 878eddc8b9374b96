//! Start order, signals, reload, and the stop in two phases.
//!
//! Knows: which part needs which, and in what order they come and go. Must not know: what any of them does.
//!
//! ```text
//! configuration ─► sockets bound ─► MTAs answered "starting", datagrams gathered
//!               ─► index, snapshot, log replayed ─► what was applied and the gap made durable ─► ready
//! SIGTERM ─► nothing more received ─► what is in hand answered ─► log, index and snapshot written ─► answers sent
//! ```

use std::collections::HashSet;
use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::thread::JoinHandle;
use std::time::Duration;

use arc_swap::ArcSwap;
use ipnet::IpNet;
use tokio::net::{TcpListener, UnixListener};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use super::attempts::{Gathering, HAND_OVER_EVERY};
use super::desk::MailDesk;
use super::engine::Engine;
use super::failure::Failure;
use super::health::Health;
use super::http::auth::Gate;
use super::http::hosts::Hosts;
use super::http::peers::Peers;
use super::http::{self, web};
use super::inbox::{Inbox, Receipt};
use super::inherited::Inherited;
use super::keeper::{Keep, Keeper};
use super::notices::outbox::Outbox;
use super::notices::{Notices, reports};
use super::reached::Reached;
use super::rules::Judge;
use super::scales::Scales;
use super::scanning::Scanning;
use super::seats::Seats;
use super::second_look::SecondLook;
use super::secret_key::SecretKey;
use super::staff::{Counters, StaffDesk};
use super::{coa, demo, detail, dnsbl, import, mta, radius, recovery};

use crate::audit::past::Past;
use crate::clock;
use crate::config::{Config, Http, When};

use crate::log::entry::Entry;
use crate::log::sqlite::DataLock;
use crate::radius::dictionary::Dictionary;
use crate::relay::attribution::Attributions;
use crate::relay::written::{KEPT, KEPT_FOR};
use crate::session::event::{Applied, Event};
use crate::views::{Outcome, Shared};

/// So many of those who stand out are named in the case of a listing: as many as somebody looks through.
const SUSPECTS_MOST: usize = 20;
/// After reading so many entries a snapshot is taken, so that the next start need not read them again.
const LONG_REPLAY: u64 = 500_000;
/// How often it is looked whether a commit hangs.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How long connections may take to finish what they have in hand when we stop.
const STOP_GRACE: Duration = Duration::from_secs(10);

/// Threads beside the processors' own, at most: what may block, and connections that ask without a pause.
const THREADS_MAX: usize = 384;

/// A configuration, and the names by which it and the feeds speak of attributes.
pub struct Configured {
    /// What is configured.
    pub config: Config,
    /// The dictionaries that are compiled in, and those that it names.
    pub dictionary: Dictionary,
}

/// Reads the configuration again, for a reload.
pub type Reread = Box<dyn Fn() -> Result<Configured, String> + Send>;

/// A made-up feed, if this is a demo.
pub struct Demo {
    /// Printed when everything listens.
    pub banner: String,
    /// The secret of the client on loopback.
    pub secret: String,
    /// What was before.
    pub before: demo::past::Begun,
}

struct Sockets {
    radius: radius::Bound,
    mta: mta::Bound,
    staff: UnixListener,
    staff_file: mta::SocketFile,
    peers: Peers,
    web: Vec<TcpListener>,
}

/// Runs until a signal says stop.
///
/// # Errors
/// Why it could not start. Once it has started it goes on, whatever storage does.
pub fn run(configured: Configured, reread: Reread, demo: Option<Demo>) -> Result<(), Failure> {
    let inherited = Inherited::take();
    // Fewer than a service manager lets us have (packaging/relaywarden.service), so that none ever fails to start.
    let runtime =
        tokio::runtime::Builder::new_multi_thread().enable_all().max_blocking_threads(THREADS_MAX).build()?;
    let outcome = runtime.block_on(serve(configured, reread, demo, inherited));
    // Told to stop while the log is still read: reading has changed nothing and need not be waited for.
    runtime.shutdown_timeout(Duration::from_millis(200));
    outcome
}

async fn serve(
    configured: Configured,
    reread: Reread,
    demo: Option<Demo>,
    inherited: Inherited,
) -> Result<(), Failure> {
    let Configured { config, dictionary } = configured;
    // Signals are caught from the beginning: one that comes while the log is read must not be lost.
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let mut hangup = signal(SignalKind::hangup())?;
    let data_dir = config.data_dir.clone();
    let lock = recovery::prepare(&data_dir)?;
    let sockets = bind(&config, inherited).await?;
    let config = Arc::new(ArcSwap::from_pointee(config));
    let dictionary = Arc::new(ArcSwap::from_pointee(dictionary));
    let house = House::open(&data_dir, config, dictionary, sockets)?;

    let engine = tokio::select! {
        engine = house.clone().recover(lock) => engine?,
        _ = terminate.recv() => return Ok(()),
        _ = interrupt.recv() => return Ok(()),
    };
    let told_to_stop = tokio::select! {
        () = house.health.until_ready() => false,
        _ = terminate.recv() => true,
        _ = interrupt.recv() => true,
    };
    if told_to_stop {
        house.stop(engine, None).await;
        return Ok(());
    }
    notify(&[sd_notify::NotifyState::Ready]);
    tracing::info!("ready");
    house.judge();
    house.watch_lists();
    house.look_again();
    house.ask_access_side();
    house.tell();
    let feed = demo.map(|demo| house.feed(demo));
    let mut look = tokio::time::interval(LOOK_EVERY);
    let mut hand_over = tokio::time::interval(HAND_OVER_EVERY);
    let mut steps = 0;
    loop {
        tokio::select! {
            _ = look.tick() => steps = house.look(steps),
            _ = hand_over.tick() => house.attempts.hand_over(&house.inbox, clock::now()),
            _ = terminate.recv() => break,
            _ = interrupt.recv() => break,
            _ = hangup.recv() => house.reload(&reread).await,
        }
    }
    house.stop(engine, feed).await;
    Ok(())
}

async fn bind(config: &Config, mut inherited: Inherited) -> Result<Sockets, Failure> {
    let refused = |what: &dyn fmt::Display| Failure::Socket(what.to_string());
    let radius = radius::Listeners::inherit(&config.radius.listen, &mut inherited)
        .map_err(|error| refused(&format_args!("radius.listen: {error}")))?;
    let limits = mta::Limits { connections: config.room.connections, ..mta::Limits::default() };
    let mta = mta::inherit(config, limits, &mut inherited).map_err(|error| refused(&error))?;
    let staff = web::bind_unix(&config.http.socket, config.http.mode, config.http.group.as_deref())
        .map_err(|error| refused(&format_args!("http.socket: {error}")))?;
    let peers = Peers::of(&config.http).map_err(|error| refused(&error))?;
    let staff_file = mta::SocketFile::of(&config.http.socket)?;
    let mut web = Vec::new();
    for address in &config.http.listen {
        let listener = match inherited.tcp(*address) {
            Some(listener) => listener.set_nonblocking(true).and_then(|()| TcpListener::from_std(listener)),
            None => TcpListener::bind(address).await,
        };
        web.push(
            listener
                .map_err(|error| refused(&format!("http.listen: cannot listen on tcp {address}: {error}")))?,
        );
    }
    inherited.complain();
    Ok(Sockets { radius, mta, staff, staff_file, peers, web })
}

/// Everything that runs.
#[derive(Clone)]
struct House {
    data_dir: PathBuf,
    config: Arc<ArcSwap<Config>>,
    dictionary: Arc<ArcSwap<Dictionary>>,
    shared: Arc<Shared>,
    inbox: Arc<Inbox>,
    health: Arc<Health>,
    /// Of tokens and of hashes of recipients.
    key: Arc<SecretKey>,
    radius: Arc<radius::Running>,
    details: Arc<detail::Running>,
    reached: Arc<Reached>,
    attempts: Arc<Gathering>,
    scales: Arc<Scales>,
    scanning: Arc<Scanning>,
    seats: Arc<Seats>,
    reputation: Arc<dnsbl::Board>,
    notices: Arc<Notices>,
    counters: Counters,
    stop: Arc<watch::Sender<bool>>,
    connections: Arc<Mutex<Vec<tokio::task::JoinHandle<()>>>>,
    /// Open once the log is read.
    past: Arc<OnceLock<Past>>,
    /// A reload gave up waiting for its entry, which may yet have been written.
    unsure: Arc<AtomicBool>,
    /// Left behind it would refuse nobody, but it would look as if somebody listened.
    _staff_file: Arc<mta::SocketFile>,
}

impl House {
    /// Starts everything that answers; until the log is read, it answers that we are starting.
    fn open(
        data_dir: &Path,
        config: Arc<ArcSwap<Config>>,
        dictionary: Arc<ArcSwap<Dictionary>>,
        sockets: Sockets,
    ) -> Result<House, Failure> {
        let key =
            SecretKey::open(data_dir).map_err(|error| Failure::DataDir(data_dir.to_path_buf(), error))?;
        let (stop, stopping) = watch::channel(false);
        let inbox = Arc::new(Inbox::new(config.load().room.requests as usize));
        let health = Arc::new(Health::default());
        let counters = Counters::default();
        let offer: Arc<dyn radius::Offer> = Arc::<Inbox>::clone(&inbox);
        let running = sockets.radius.start(
            Arc::clone(&config),
            offer,
            health.accepting(),
            Arc::clone(&counters.radius),
        )?;
        let feeds = detail::Shared {
            config: Arc::clone(&config),
            dictionary: Arc::clone(&dictionary),
            inbox: Arc::clone(&inbox),
            health: Arc::clone(&health),
            clocks: running.clocks(),
            radius: Arc::clone(&counters.radius),
            feeds: Arc::clone(running.feeds()),
        };
        let details = detail::Running::start(data_dir, &feeds)
            .map_err(|error| Failure::DataDir(data_dir.to_path_buf(), error))?;
        let outbox =
            Outbox::open(data_dir).map_err(|error| Failure::DataDir(data_dir.to_path_buf(), error))?;
        let notices = Notices::new(Arc::clone(&config), Arc::new(outbox));
        let house = House {
            data_dir: data_dir.to_path_buf(),
            config,
            dictionary,
            shared: Arc::new(Shared::default()),
            inbox,
            health,
            key: Arc::new(key),
            radius: Arc::new(running),
            details: Arc::new(details),
            reached: Arc::new(Reached::new(0)),
            attempts: Arc::default(),
            scales: Arc::default(),
            scanning: Arc::default(),
            seats: Arc::default(),
            reputation: Arc::default(),
            notices: Arc::new(notices),
            counters,
            stop: Arc::new(stop),
            connections: Arc::default(),
            past: Arc::default(),
            unsure: Arc::default(),
            _staff_file: Arc::new(sockets.staff_file),
        };
        let mut connections = house.connections.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        connections.push(house.serve_mtas(sockets.mta, stopping.clone()));
        let staff = Arc::new(house.staff());
        let hosts = {
            let config = house.config.load();
            Hosts::new(&config.http.listen, &config.http.names)
        };
        let gate = Arc::new(Gate::new(hosts, Arc::clone(&house.counters.gate)));
        let router = http::router(staff, gate);
        let peers = Arc::new(sockets.peers);
        connections.push(tokio::spawn(web::serve_unix(
            sockets.staff,
            router.clone(),
            peers,
            stopping.clone(),
        )));
        for listener in sockets.web {
            connections.push(tokio::spawn(web::serve_tcp(listener, router.clone(), stopping.clone())));
        }
        drop(connections);
        Ok(house)
    }

    fn serve_mtas(&self, bound: mta::Bound, stopping: watch::Receiver<bool>) -> tokio::task::JoinHandle<()> {
        let desk = MailDesk {
            config: Arc::clone(&self.config),
            shared: Arc::clone(&self.shared),
            inbox: Arc::clone(&self.inbox),
            health: Arc::clone(&self.health),
            key: Arc::clone(&self.key),
            attributions: Mutex::new(Attributions::default()),
            attempts: Arc::clone(&self.attempts),
            scales: Arc::clone(&self.scales),
            scanning: Arc::clone(&self.scanning),
            seats: Arc::clone(&self.seats),
            counters: Arc::clone(&self.counters.desk),
        };
        for (service, endpoint) in bound.endpoints() {
            tracing::info!(service = service.key(), %endpoint, "listening for mail servers");
        }
        bound.serve(Arc::new(desk), Arc::clone(&self.config), stopping, Arc::clone(&self.counters.mta))
    }

    fn staff(&self) -> StaffDesk {
        StaffDesk {
            config: Arc::clone(&self.config),
            shared: Arc::clone(&self.shared),
            past: Arc::clone(&self.past),
            reached: Arc::clone(&self.reached),
            inbox: Arc::clone(&self.inbox),
            health: Arc::clone(&self.health),
            radius: Arc::clone(&self.radius),
            details: Arc::clone(&self.details),
            counters: self.counters.clone(),
            imported: import::Counters::default(),
            attempts: Arc::clone(&self.attempts),
            scales: Arc::clone(&self.scales),
            scanning: Arc::clone(&self.scanning),
            seats: Arc::clone(&self.seats),
            key: Arc::clone(&self.key),
            reputation: Arc::clone(&self.reputation),
            notices: Arc::clone(&self.notices),
        }
    }

    /// Asks block lists about our own addresses from now on.
    fn watch_lists(&self) {
        let watcher = dnsbl::Watcher {
            config: Arc::clone(&self.config),
            shared: Arc::clone(&self.shared),
            inbox: Arc::clone(&self.inbox),
            board: Arc::clone(&self.reputation),
            suspects: {
                let shared = Arc::clone(&self.shared);
                Box::new(move |at| shared.trends.standing_out(at, SUSPECTS_MOST))
            },
        };
        let watching = tokio::spawn(watcher.run(self.stop.subscribe()));
        self.connections.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push(watching);
    }

    /// Tells others from now on what happens, and what happened before and they were not told yet.
    fn tell(&self) {
        let telling = tokio::spawn(Arc::clone(&self.notices).run(self.stop.subscribe()));
        let desk = Arc::new(self.staff());
        let reporting = tokio::spawn(reports::run(Arc::clone(&self.notices), desk, self.stop.subscribe()));
        let mut connections = self.connections.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        connections.extend([telling, reporting]);
    }

    /// Rebuilds the views and starts the engine.
    async fn recover(self, lock: DataLock) -> Result<JoinHandle<()>, Failure> {
        let work = move || -> Result<JoinHandle<()>, Failure> {
            let outbox = &self.notices.outbox;
            let room = self.config.load().room.past;
            let recovered =
                recovery::recover(&self.data_dir, &lock, Arc::clone(&self.shared), outbox.told(), room)?;
            outbox.begin(recovered.views.sequence());
            self.notices.reload(recovered.views.sequence());
            outbox.accept(&recovered.told, clock::now());
            let past = recovered.index.past()?;
            self.remember(&past, &recovered.left);
            let _ = self.past.set(past);
            // Before anything else lets the time pass in which we did not listen.
            let mut first = vec![Entry::Session(Event::Resumed { since: recovered.last })];
            let applied = applied_by(&self.config.load());
            if *recovered.views.machine().applied() != applied {
                first.push(Entry::Session(Event::Applied(Box::new(applied))));
            }
            self.reached.set(recovered.index.applied());
            let mut keeper = Keeper::start(
                self.data_dir.clone(),
                recovered.index,
                Arc::clone(&self.reached),
                Arc::clone(&self.health),
                Arc::clone(outbox),
                room,
                {
                    let (config, shared) = (Arc::clone(&self.config), Arc::clone(&self.shared));
                    move || (config.load().retention, shared.preserved.load_full())
                },
            )?;
            recovered.left.into_iter().for_each(|left| keeper.keep(left));
            self.radius.begin(recovered.views.machine().clock_offsets());
            let (radius, details) = (Arc::clone(&self.radius), Arc::clone(&self.details));
            let mut engine = Engine::new(
                recovered.log,
                recovered.views,
                recovered.last.unwrap_or_default(),
                Arc::clone(&self.inbox),
                keeper,
                Arc::clone(&self.health),
                Arc::clone(&self.counters.engine),
                Box::new(move |receipts| acknowledge(&radius, &details, receipts)),
            )
            .with_log_since(recovered.since)
            .with_thresholds({
                let config = Arc::clone(&self.config);
                move || config.load().trend.clone()
            });
            let long = recovered.entries > LONG_REPLAY;
            let work = move || {
                if engine.begin(first) {
                    if long {
                        engine.take_snapshot(false);
                    }
                    engine.run();
                }
            };
            Ok(std::thread::Builder::new().name("engine".to_owned()).spawn(work)?)
        };
        tokio::task::spawn_blocking(work)
            .await
            .map_err(|error| Failure::System(std::io::Error::other(error)))?
    }

    /// What was said of a message before a restart is no news after it.
    fn remember(&self, past: &Past, left: &[Keep]) {
        let now = clock::now();
        // Only a milter client speaks of messages.
        let messages = if self.config.load().milter.listeners.listen.is_empty() { 0 } else { KEPT };
        match past.lately(now.minus(KEPT_FOR), messages, KEPT) {
            Ok(lately) => {
                let left = left.iter().flat_map(|keep| &keep.folded).map(|folded| &folded.outcome);
                let left = left.filter(|left| messages > 0 || matches!(left, Outcome::Scanned(_)));
                self.scanning.remember(&lately, left, now);
            }
            // At the worst a verdict is written down twice.
            Err(error) => tracing::warn!(%error, "what was said of messages in the last hour is not known"),
        }
    }

    /// Looks whether a commit hangs, and whether the host's clock was set since it had been so often. How often it has now.
    fn look(&self, steps: u64) -> u64 {
        let look = radius::follow_clock(&self.radius.clocks());
        self.health.look(look.now);
        self.health.set_ahead(look.ahead);
        if look.steps != steps {
            say_step(&look);
        }
        look.steps
    }

    /// A bad file keeps the old configuration. What changes the meaning of records becomes an entry first.
    async fn reload(&self, reread: &Reread) {
        notify(&[sd_notify::NotifyState::Reloading]);
        match reread() {
            Err(error) => tracing::error!("the configuration is kept as it was: {error}"),
            Ok(Configured { config: new, dictionary }) => {
                let old = self.config.load_full();
                for what in needs_a_restart(&old, &new) {
                    tracing::warn!("{what} has changed: that takes effect at the next start");
                }
                let applied = applied_by(&new);
                // What was given up may have been written all the same: then only another entry makes it certain
                // what is in force.
                let known = !self.unsure.load(Ordering::Relaxed);
                let durable = known && applied == applied_by(&old) || self.commit_applied(applied).await;
                self.unsure.store(!durable, Ordering::Relaxed);
                if durable {
                    self.config.store(Arc::new(new));
                    self.dictionary.store(Arc::new(dictionary));
                    self.reputation.look_again();
                    self.notices.reload(self.shared.committed());
                    tracing::info!("the configuration was read again");
                } else {
                    tracing::error!("the configuration is kept as it was: the log cannot be written");
                }
            }
        }
        notify(&[sd_notify::NotifyState::Ready]);
    }

    async fn commit_applied(&self, applied: Applied) -> bool {
        match self.inbox.submit(Entry::Session(Event::Applied(Box::new(applied)))) {
            Some(done) => matches!(tokio::time::timeout(STOP_GRACE, done).await, Ok(Ok(_))),
            None => false,
        }
    }

    /// From now on rules act on what is told of cases.
    fn judge(&self) {
        let judge = Judge {
            config: Arc::clone(&self.config),
            shared: Arc::clone(&self.shared),
            inbox: Arc::clone(&self.inbox),
            health: Arc::clone(&self.health),
            counters: Arc::clone(&self.counters.rules),
            seen: 0,
        };
        let judging = tokio::spawn(judge.run(self.stop.subscribe()));
        self.connections.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push(judging);
    }

    /// Looks now and then at what suspensions rest on.
    fn look_again(&self) {
        let looking = SecondLook {
            staff: Arc::new(self.staff()),
            shared: Arc::clone(&self.shared),
            inbox: Arc::clone(&self.inbox),
        };
        let looking = tokio::spawn(looking.run(self.stop.subscribe()));
        self.connections.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push(looking);
    }

    /// From now on NASes are asked about the lines of those who are held back.
    fn ask_access_side(&self) {
        let asker = coa::Asker {
            config: Arc::clone(&self.config),
            shared: Arc::clone(&self.shared),
            inbox: Arc::clone(&self.inbox),
            health: Arc::clone(&self.health),
            counters: Arc::clone(&self.counters.coa),
        };
        let asking = tokio::spawn(asker.run(self.stop.subscribe()));
        self.connections.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push(asking);
    }

    fn feed(&self, demo: Demo) -> tokio::task::JoinHandle<()> {
        let server = self.radius.local_addrs().first().copied();
        let server = server.unwrap_or(SocketAddr::from(([127, 0, 0, 1], 1813)));
        announce(&demo.banner);
        let stopping = self.stop.subscribe();
        tokio::spawn(async move { demo::go_on(demo.before, server, demo.secret.as_bytes(), stopping).await })
    }

    async fn stop(self, engine: JoinHandle<()>, feed: Option<tokio::task::JoinHandle<()>>) {
        tracing::info!("stopping");
        notify(&[sd_notify::NotifyState::Stopping]);
        // First phase: nothing new comes in, and whoever has asked is answered, which takes a working engine.
        self.stop.send_replace(true);
        self.details.stop_reading();
        let radius = Arc::clone(&self.radius);
        let _ = tokio::task::spawn_blocking(move || radius.stop_receiving()).await;
        let connections =
            std::mem::take(&mut *self.connections.lock().unwrap_or_else(std::sync::PoisonError::into_inner));
        let everybody = async {
            for connection in connections.into_iter().chain(feed) {
                // One that panicked has no more to say.
                let _ = connection.await;
            }
        };
        if tokio::time::timeout(STOP_GRACE, everybody).await.is_err() {
            tracing::warn!("some connections did not finish in time and are closed");
        }
        // Second phase: what was taken is written down and answered.
        self.health.set_stopping();
        self.attempts.hand_over_rest(&self.inbox);
        self.inbox.close();
        let (radius, details) = (Arc::clone(&self.radius), Arc::clone(&self.details));
        let _ = tokio::task::spawn_blocking(move || {
            if engine.join().is_err() {
                tracing::error!("the engine ended by a panic");
            }
            radius.stop();
            details.stop();
        })
        .await;
        tracing::info!("stopped");
    }
}

#[expect(clippy::print_stdout, reason = "the demo talks to the person who started it")]
fn announce(banner: &str) {
    println!("{banner}");
}

/// Without systemd there is nobody to tell; with it, a failure to tell is its own log line.
fn notify(state: &[sd_notify::NotifyState<'_>]) {
    let _ = sd_notify::notify(state);
}

fn say_step(look: &clock::Look) {
    let (by, ahead) = (Duration::from_millis(look.step.unsigned_abs()), look.ahead);
    if look.step > 0 {
        tracing::warn!(?by, ?ahead, "this machine's clock was set forward");
    } else {
        tracing::warn!(
            ?by,
            ?ahead,
            "this machine's clock was set back: our time goes on at three quarters of its speed until the clock has caught up"
        );
    }
}

/// Tells everybody whose record is durable.
fn acknowledge(radius: &radius::Running, details: &detail::Running, receipts: Vec<Receipt>) {
    let mut of_files = Vec::new();
    let of_nases = receipts.into_iter().filter_map(|receipt| match receipt {
        Receipt::Nas(receipt) => Some(receipt),
        Receipt::File(receipt) => {
            of_files.push(receipt);
            None
        }
    });
    radius.answer(of_nases.collect());
    details.committed(&of_files);
}

/// The part of the configuration that decides what an event means.
pub(crate) fn applied_by(config: &Config) -> Applied {
    let listed = |when| config.prefixes.iter().filter(move |listed| listed.when == when);
    let mut statics = config.relay.statics.clone();
    // Written in both places it is the same subscriber's in both.
    let written: HashSet<IpNet> = statics.iter().map(|(prefix, _)| *prefix).collect();
    let always = listed(When::Always).filter(|listed| !written.contains(&listed.prefix));
    statics.extend(always.map(|listed| (listed.prefix, listed.subscriber.clone())));
    Applied {
        rules: config.rules,
        statics,
        never: config.relay.never.clone(),
        pools: config.radius.clients.iter().map(|client| (client.name.clone(), client.pools())).collect(),
        listed: listed(When::Online).map(|listed| (listed.subscriber.clone(), listed.prefix)).collect(),
        translations: config.translations.clone(),
        crowd: config.many_sessions,
    }
}

/// What a reload does not change.
fn needs_a_restart(old: &Config, new: &Config) -> Vec<&'static str> {
    [
        (old.data_dir != new.data_dir, "data-dir"),
        (old.radius.listen != new.radius.listen, "radius.listen"),
        (old.radius.details != new.radius.details, "[[radius.detail]]"),
        (!old.socketmap.same_sockets(&new.socketmap), "[socketmap]"),
        (!old.policy.listeners.same_sockets(&new.policy.listeners), "policy.listen"),
        (!old.milter.listeners.same_sockets(&new.milter.listeners), "milter.listen"),
        (listening(&old.http) != listening(&new.http), "[http]"),
        (old.room != new.room, "[room]"),
    ]
    .into_iter()
    .filter_map(|(changed, what)| changed.then_some(what))
    .collect()
}

/// Without what takes effect at once.
fn listening(http: &Http) -> Http {
    Http { url: None, ..http.clone() }
}
