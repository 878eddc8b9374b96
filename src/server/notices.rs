//! Tells others what happened: a task for each receiver, which takes one after the other from the outbox, in order.
//!
//! ```text
//! log ─ fold ─► keeper ─► outbox (on the disk) ─► a task for each [[notice]] ─► webhook, command
//! ```
//!
//! Nobody waits for a receiver: the outbox is filled behind the acknowledgement, and emptied at each receiver's own pace. What was
//! told is taken out after its answer, so a crash between the two tells it once more, under the same id.
//!
//! Knows: who is told, and what is said of it to staff. Must not know: what is worth telling (`notice`), how long to wait
//! (`notice::schedule`).

mod command;
mod file;
pub mod outbox;
pub mod reports;
#[cfg(test)]
mod tests;
mod turn;
mod webhook;

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;

use self::outbox::Outbox;
use self::turn::{Turn, Turns};
use self::webhook::Webhook;
use crate::clock;
use crate::config::{Config, Receiver, Way};
use crate::notice::Kind;
use crate::notice::body::Body;
use crate::notice::schedule::{KEPT, Next, Said};
use crate::server::http::api::rfc3339;
use crate::server::http::metrics::Exposition;
use crate::server::http::notices::{NoticeRow, TestRow};
use crate::session::{Name, Timestamp};

/// Programs that run at once, whoever is told by them.
const PROGRAMS_AT_ONCE: usize = 4;
/// What waits for longer is told to the person on call.
const LONG: Duration = Duration::from_secs(15 * 60);
/// So much of what a receiver said is shown.
const WORDS_MOST: usize = 300;
/// And so much of the line in which it said it.
const SHOWN_OCTETS: usize = 200;
/// How long a disk that refuses is left alone.
const TRY_AGAIN: Duration = Duration::from_secs(1);

/// When it was said last that it refuses, in milliseconds.
static SAID: AtomicI64 = AtomicI64::new(i64::MIN);
const SAY_EVERY_MS: i64 = 60_000;

/// What is sent.
#[derive(Debug, Clone, Copy)]
struct Sent<'a> {
    id: &'a str,
    event: &'a str,
    body: &'a str,
}

/// What came of it.
#[derive(Debug, Clone)]
struct Answer {
    said: Said,
    /// In words, harmless on a terminal.
    words: String,
}

impl Answer {
    /// Words may come from the other end, or from its certificate.
    fn new(said: Said, words: &str) -> Answer {
        let words: String = words.chars().take(WORDS_MOST).collect();
        Answer { said, words: Name::from(words.as_str()).to_string() }
    }

    /// A status, and the first line of what stood beside it.
    fn with_line(said: Said, status: &str, beside: &[u8]) -> Answer {
        let line = beside.split(|octet| *octet == b'\n').next().unwrap_or_default().trim_ascii();
        let shown = line.get(..line.len().min(SHOWN_OCTETS)).unwrap_or_default();
        if shown.is_empty() {
            return Answer::new(said, status);
        }
        Answer::new(said, &format!("{status}: {}", Name::new(shown)))
    }
}

/// What is known of a receiver since the daemon's start.
#[derive(Debug, Clone, Default)]
struct Known {
    taken: u64,
    later: u64,
    refused: u64,
    lost: u64,
    taken_at: Option<Timestamp>,
    /// What it said last, and when.
    last: Option<(Timestamp, Said, String)>,
    retry_at: Option<Timestamp>,
}

/// Everybody who is told.
pub struct Notices {
    config: Arc<ArcSwap<Config>>,
    /// What waits.
    pub outbox: Arc<Outbox>,
    known: Mutex<HashMap<String, Known>>,
    reloaded: watch::Sender<u64>,
    programs: Semaphore,
}

impl Notices {
    /// Over what waits; nobody is told before [`Notices::run`].
    #[must_use]
    pub fn new(config: Arc<ArcSwap<Config>>, outbox: Arc<Outbox>) -> Notices {
        let (reloaded, _) = watch::channel(0);
        let programs = Semaphore::new(PROGRAMS_AT_ONCE);
        Notices { config, outbox, known: Mutex::default(), reloaded, programs }
    }

    /// The configuration was read again; `sequence` is that of the last entry.
    pub fn reload(&self, sequence: u64) {
        let config = self.config.load();
        if let Err(error) = self.outbox.know(&config.notices, config.http.url.as_deref(), sequence) {
            tracing::error!(%error, "who is told cannot be written; that takes effect with the next reload");
        }
        let name = |receiver: &Receiver| receiver.name.to_string();
        self.known().retain(|known, _| config.notices.iter().any(|receiver| name(receiver) == *known));
        self.reloaded.send_modify(|turn| *turn = turn.wrapping_add(1));
    }

    /// Tells everybody until it is told to stop.
    pub async fn run(self: Arc<Self>, mut stopping: watch::Receiver<bool>) {
        let mut reloaded = self.reloaded.subscribe();
        let all = async {
            let mut told: BTreeMap<String, tokio::task::AbortHandle> = BTreeMap::new();
            let mut tasks = JoinSet::new();
            loop {
                reloaded.mark_unchanged();
                told.retain(|_, task| !task.is_finished());
                for receiver in &self.config.load().notices {
                    let name = receiver.name.to_string();
                    told.entry(name.clone()).or_insert_with(|| tasks.spawn(Arc::clone(&self).tell(name)));
                }
                tokio::select! {
                    _ = reloaded.changed() => {}
                    // One that has ended may have been configured again meanwhile.
                    Some(_) = tasks.join_next() => {}
                }
            }
        };
        tokio::select! {
            () = all => {}
            // What is under way is cut off, and told again after the next start.
            _ = stopping.wait_for(|stop| *stop) => {}
        }
    }

    /// Tells one receiver, until it is no longer configured.
    async fn tell(self: Arc<Self>, name: String) {
        let (mut news, mut reloaded) = (self.outbox.news(), self.reloaded.subscribe());
        let mut turns = Turns::default();
        loop {
            news.mark_unchanged();
            reloaded.mark_unchanged();
            let Some(receiver) = self.receiver(&name) else { return };
            let outbox = Arc::clone(&self.outbox);
            let of = name.clone();
            let found = stored(move || Ok((outbox.first(&of)?, outbox.lost(&of)?))).await;
            let Some((first, lost)) = found else {
                tokio::time::sleep(TRY_AGAIN).await;
                continue;
            };
            let (waiting, lost) = match turns.whose(first, lost, clock::now()) {
                Turn::Send(waiting, lost) => (waiting, lost),
                Turn::Wait(wait) => {
                    tokio::select! {
                        _ = news.changed() => {}
                        _ = reloaded.changed() => turns.hurry(clock::now()),
                        () = tokio::time::sleep(wait.unwrap_or(Duration::MAX)) => {}
                    }
                    continue;
                }
            };
            let event = event_of(&waiting.id);
            let sent = Sent { id: &waiting.id, event, body: &waiting.body };
            let answer = self.send(&receiver, &sent).await;
            let now = clock::now();
            let next = turns.answered(&waiting, answer.said, now, dice());
            self.say(&name, &waiting.id, &answer, next, now);
            match next {
                // A loss that is refused holds up nothing else.
                Next::Again(_) if lost.is_some() && answer.said == Said::Refused => {}
                Next::Again(wait) => {
                    // Whoever mended something need not wait.
                    if tokio::time::timeout(wait, reloaded.changed()).await.is_ok() {
                        turns.hurry(clock::now());
                    }
                }
                Next::Done | Next::GiveUp => {
                    let given_up = next == Next::GiveUp;
                    self.take_out(&name, waiting.number, lost, given_up).await;
                    if given_up && lost.is_none() {
                        self.expire(&name, now).await;
                    }
                }
            }
        }
    }

    /// One that was too old to be told is seldom alone: all of them go at once, in one line.
    async fn expire(&self, name: &str, now: Timestamp) {
        let (outbox, of) = (Arc::clone(&self.outbox), name.to_owned());
        let gone = stored(move || outbox.expire(&of, now.minus(KEPT))).await.unwrap_or_default();
        if gone > 0 {
            let mut known = self.known();
            let known = known.entry(name.to_owned()).or_default();
            known.lost = known.lost.saturating_add(gone);
            tracing::error!(
                notice = name,
                gone,
                "given up with it, as they are as old: they are not told any more"
            );
        }
    }

    /// What was answered is taken out, however often that takes: told again and again it would be no better.
    async fn take_out(&self, name: &str, number: i64, lost: Option<u64>, given_up: bool) {
        loop {
            let (outbox, name) = (Arc::clone(&self.outbox), name.to_owned());
            let done = stored(move || match lost {
                Some(all) => outbox.lost_told(&name, all),
                None => outbox.done(&name, number, given_up),
            });
            if done.await.is_some() {
                return;
            }
            tokio::time::sleep(TRY_AGAIN).await;
        }
    }

    async fn send(&self, receiver: &Receiver, sent: &Sent<'_>) -> Answer {
        match &receiver.way {
            Way::Webhook { address, secret, authorities } => {
                let secret = secret.as_ref().map(|secret| secret.octets());
                let webhook = Webhook { address, secret, authorities };
                webhook.send(sent, clock::now(), receiver.timeout).await
            }
            Way::Command(words) => {
                let Ok(_room) = self.programs.acquire().await else {
                    return Answer::new(Said::Later(None), "stopping");
                };
                command::run(words, &receiver.name.to_string(), sent, receiver.timeout).await
            }
        }
    }

    /// Sends a test at once, past what waits; `None`: nobody has this name.
    pub async fn test(&self, name: &str, by: &Name) -> Option<TestRow> {
        let receiver = self.receiver(name)?;
        let at = clock::now();
        let body = Body::test(format!("test-{}", at.millis()), at, by);
        let document = body.json();
        let sent = Sent { id: body.id(), event: Kind::Test.word(), body: &document };
        let answer = self.send(&receiver, &sent).await;
        let took = clock::now().since(at);
        Some(TestRow {
            name: name.to_owned(),
            id: body.id().to_owned(),
            outcome: word(answer.said).to_owned(),
            said: answer.words,
            took_ms: u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
        })
    }

    fn receiver(&self, name: &str) -> Option<Receiver> {
        let config = self.config.load();
        config.notices.iter().find(|receiver| receiver.name.octets() == name.as_bytes()).cloned()
    }

    fn say(&self, name: &str, id: &str, answer: &Answer, next: Next, now: Timestamp) {
        let said = &answer.words;
        let mut known = self.known();
        let known = known.entry(name.to_owned()).or_default();
        let before = known.last.as_ref().map(|(_, said, _)| *said);
        let is_news = before.is_none_or(|before| word(before) != word(answer.said));
        match answer.said {
            Said::Taken => known.taken = known.taken.saturating_add(1),
            Said::Later(_) => known.later = known.later.saturating_add(1),
            Said::Refused => known.refused = known.refused.saturating_add(1),
        }
        match (answer.said, next) {
            (_, Next::GiveUp) => {
                known.lost = known.lost.saturating_add(1);
                tracing::error!(notice = name, id, said, "given up: it is not told any more");
            }
            (Said::Taken, _) if is_news && before.is_some() => {
                tracing::info!(notice = name, "it is told again");
            }
            (Said::Taken, _) => {}
            // One line when it begins: a receiver that is away for a day is no reason to fill a journal.
            _ if is_news => tracing::warn!(notice = name, id, said, "not told; it is tried again"),
            _ => tracing::debug!(notice = name, id, said, "not told; it is tried again"),
        }
        if answer.said == Said::Taken {
            known.taken_at = Some(now);
        }
        known.retry_at = match next {
            Next::Again(wait) => Some(now.plus(wait)),
            Next::Done | Next::GiveUp => None,
        };
        known.last = Some((now, answer.said, answer.words.clone()));
    }

    fn known(&self) -> MutexGuard<'_, HashMap<String, Known>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Each receiver as staff sees it, in the order of the configuration.
    #[must_use]
    pub fn rows(&self) -> Vec<NoticeRow> {
        let config = self.config.load();
        let row = |receiver: &Receiver| {
            let name = receiver.name.to_string();
            let behind = self.outbox.behind(&name);
            let known = self.known().get(&name).cloned().unwrap_or_default();
            let (way, to) = match &receiver.way {
                Way::Webhook { address, .. } => ("webhook", address.to_string()),
                Way::Command(words) => ("command", words.first().cloned().unwrap_or_default()),
            };
            NoticeRow {
                name,
                way: way.to_owned(),
                to: Name::from(to.as_str()).to_string(),
                events: receiver.events.iter().map(|event| event.word().to_owned()).collect(),
                waiting: behind.waiting,
                oldest: behind.oldest.and_then(rfc3339),
                retry_at: known.retry_at.and_then(rfc3339),
                taken_at: known.taken_at.and_then(rfc3339),
                said: known.last.map(|(_, _, words)| words),
                lost: behind.lost,
            }
        };
        config.notices.iter().map(row).collect()
    }

    /// What the person on call should know: who hears nothing for long.
    #[must_use]
    pub fn complaints(&self, now: Timestamp) -> Vec<String> {
        let config = self.config.load();
        let complaint = |receiver: &Receiver| {
            let name = receiver.name.to_string();
            let behind = self.outbox.behind(&name);
            let age = now.since(behind.oldest?);
            let said = self.known().get(&name).and_then(|known| known.last.clone());
            let said = said.map(|(_, _, words)| format!("; it said last: {words}")).unwrap_or_default();
            let waiting = behind.waiting;
            (age >= LONG).then(|| {
                format!("notice-behind: {name} was not told for {} s, {waiting} wait{said}", age.as_secs())
            })
        };
        let mut complaints: Vec<String> = config.notices.iter().filter_map(complaint).collect();
        if !self.outbox.is_durable() {
            complaints.push("notices-failing: what others are to be told cannot be written".to_owned());
        }
        complaints
    }

    /// What is counted of each.
    pub fn expose(&self, out: &mut Exposition, now: Timestamp) {
        for receiver in &self.config.load().notices {
            let name = receiver.name.to_string();
            let behind = self.outbox.behind(&name);
            let known = self.known().get(&name).cloned().unwrap_or_default();
            let counts = [
                ("taken", known.taken),
                ("later", known.later),
                ("refused", known.refused),
                ("given-up", known.lost),
            ];
            for (outcome, count) in counts {
                let labels = [("notice", name.as_str()), ("outcome", outcome)];
                out.counter("notices", "What came of telling a receiver", &labels, count);
            }
            let labels = [("notice", name.as_str())];
            let gauge = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
            out.gauge(
                "notices_waiting",
                "Notices that a receiver was not told yet",
                &labels,
                gauge(behind.waiting),
            );
            let age = behind.oldest.map_or(0, |oldest| now.since(oldest).as_secs());
            out.gauge("notice_seconds_behind", "Age of the oldest of them", &labels, gauge(age));
            out.counter("notices_lost", "Notices that a receiver was never told", &labels, behind.lost);
        }
    }
}

/// Without chance they wait as long as they do.
fn dice() -> u32 {
    let mut dice = [0; 4];
    let _ = getrandom::fill(&mut dice);
    u32::from_le_bytes(dice)
}

/// The word in an id: `4711-case-opened`, `report-2026-11-25`.
fn event_of(id: &str) -> &'static str {
    let known = Kind::ALL.iter().copied().map(Kind::word);
    let fits = |word: &&str| {
        let behind = id
            .split_once('-')
            .is_some_and(|(_, rest)| rest == *word || rest.starts_with(&format!("{word}-")));
        behind || id.strip_prefix(*word).is_some_and(|rest| rest.starts_with('-'))
    };
    known.filter(fits).max_by_key(|word| word.len()).unwrap_or_default()
}

fn word(said: Said) -> &'static str {
    match said {
        Said::Taken => "taken",
        Said::Later(_) => "later",
        Said::Refused => "refused",
    }
}

/// The disk is asked off the threads that serve connections; `None`: it refuses.
async fn stored<T: Send + 'static>(ask: impl FnOnce() -> rusqlite::Result<T> + Send + 'static) -> Option<T> {
    match tokio::task::spawn_blocking(ask).await {
        Ok(Ok(answer)) => Some(answer),
        Ok(Err(error)) => {
            // Each receiver asks every second, and it is one disk.
            let (now, said) = (clock::now().millis(), SAID.load(Ordering::Relaxed));
            let is_due = now.saturating_sub(said) >= SAY_EVERY_MS;
            if is_due && SAID.compare_exchange(said, now, Ordering::Relaxed, Ordering::Relaxed).is_ok() {
                tracing::warn!(%error, "the notices that wait cannot be read or written");
            }
            None
        }
        Err(_) => None,
    }
}
