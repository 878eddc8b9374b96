//! The demo: two made-up NASes whose subscribers come and go, reported with real packets; and what is printed about it.
//!
//! Knows: documentation addresses, made-up names, the ports of the demo. Must not know: how the daemon takes the
//! packets; it is one more NAS to it.

pub mod past;

use std::collections::VecDeque;
use std::fmt::Write as _;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use ipnet::Ipv6Net;
use tokio::sync::watch;
use tokio::time::MissedTickBehavior;
use tracing::warn;

use self::past::Begun;
use super::nas::{Nas, Outcome, Patience, Report, SendError, Status};
use crate::clock;
use crate::session::Timestamp;

/// Where the demo takes accounting.
pub const RADIUS: &str = "127.0.0.1:1813";
/// Where the demo answers socketmap.
pub const SOCKETMAP: &str = "127.0.0.1:10023";
/// Where the demo answers policy delegation.
pub const POLICY: &str = "127.0.0.1:10024";
/// Where the demo answers health and metrics.
pub const HTTP: &str = "127.0.0.1:8025";

/// Subscribers of each NAS.
const HOMES: usize = 120;
/// Of them online from the beginning.
const ONLINE_AT_FIRST: usize = 80;
/// They stay online, so that the lines to paste stay true.
const SETTLED: usize = 4;
/// First and last host of each pool that is handed out; above it lie addresses that are nobody's.
const POOL_HOSTS: std::ops::RangeInclusive<u8> = 7..=199;
/// Each session reports so often.
const INTERIM_SECONDS: u64 = 60;
/// One subscriber per NAS comes or goes so often.
const CHANGE_SECONDS: u64 = 2;

/// The Unix socket of a demo in this directory.
#[must_use]
pub fn socket(dir: &Path) -> PathBuf {
    dir.join("api.sock")
}

/// The demo's configuration file.
#[must_use]
pub fn configuration(dir: &Path, secret: &str) -> String {
    let data = spelled(&dir.join("data").to_string_lossy());
    let socket = spelled(&socket(dir).to_string_lossy());
    let secret = spelled(secret);
    format!(
        r#"data-dir = {data}

[retention]
sessions = "180d"
messages = "90d"
questions = "365d"

[radius]
listen = ["{RADIUS}"]

[[radius.client]]
name = "demo"
address = "127.0.0.0/8"
secret = {secret}
may-assign = ["198.51.100.0/24", "203.0.113.0/24", "2001:db8::/32"]

[session]
warm-up = "0s"

[relay]
static = [{{ prefix = "192.0.2.0/28", subscriber = "office" }}]

[trend]
learn = "1d"

[[limit]]
name = "default"
mode = "observe"
messages = ["20/1m", "200/1h", "500/24h"]
recipients = ["300/1h", "1000/24h"]

[[rule]]
name = "two-complaints"
when = "complaints >= 2/24h"
then = "limit 24h"

[socketmap]
listen = ["{SOCKETMAP}"]

[policy]
listen = ["{POLICY}"]

[http]
socket = {socket}
listen = ["{HTTP}"]
"#
    )
}

/// A TOML string.
fn spelled(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
}

/// What is printed once everything listens: where, and lines that work when pasted into a shell.
#[must_use]
pub fn banner(executable: &Path, dir: &Path, secret: &str, token: &str) -> String {
    let program = shell_word(&executable.to_string_lossy());
    let socket = shell_word(&socket(dir).to_string_lossy());
    let secret = shell_word(secret);
    let mut text = format!(
        "This is a demo: the subscribers are made up, the packets are real, and nothing leaves this host.\n\n  \
         RADIUS accounting   {RADIUS}\n  \
         socketmap           {SOCKETMAP}\n  \
         policy delegation   {POLICY}\n  \
         health and metrics  http://{HTTP}/readyz http://{HTTP}/metrics\n  \
         API                 {socket}\n\n\
         The page, and the token to log in with; it ends with the demo:\n  \
         http://{HTTP}/\n  \
         {token}\n"
    );
    let ask = |line: &str| format!("{program} {line} --socket {socket}");
    let lines = [
        ("Who has an address, and one that is nobody's:", ask("who 198.51.100.7")),
        ("", ask("who 198.51.100.250")),
        ("What a mail server asks:", format!("postmap -q 198.51.100.7 socketmap:inet:{SOCKETMAP}:relay")),
        ("A subscriber's sessions, the feeds:", ask("sessions --subscriber alice@isp.example")),
        ("", ask("nas")),
        ("What somebody should look at, and who sent most:", ask("cases")),
        ("", ask("top")),
        ("How much a limit would let one of them:", ask("usage home1003@isp.example")),
        (
            "Suspend somebody, and look at the reason:",
            ask("suspend bob@isp.example --reason 'trying it out'"),
        ),
        ("", ask("who 198.51.100.8")),
        (
            "Bring a subscriber of your own online:",
            format!(
                "{program} send start --server {RADIUS} --secret {secret} --user zoe@isp.example \
                 --session-id z1 --address 198.51.100.201"
            ),
        ),
    ];
    for (title, line) in lines {
        // Writing to a String can't fail.
        let _ =
            if title.is_empty() { writeln!(text, "  {line}") } else { writeln!(text, "\n{title}\n  {line}") };
    }
    text.push_str("\nCtrl-C ends it; everything is kept in a temporary directory that goes with it.\n");
    text
}

/// One word of a POSIX shell's command line.
fn shell_word(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-:@%+=,".contains(c);
    if !text.is_empty() && text.chars().all(plain) {
        return text.to_owned();
    }
    format!("'{}'", text.replace('\'', r"'\''"))
}

/// Feeds the accounting server until `stop` turns true.
pub async fn feed(server: SocketAddr, secret: &[u8], stop: watch::Receiver<bool>) {
    tell([Bras::new(0), Bras::new(1)], server, secret, stop).await;
}

/// The same, going on from what was before.
pub async fn go_on(before: Begun, server: SocketAddr, secret: &[u8], stop: watch::Receiver<bool>) {
    tell(before.brases, server, secret, stop).await;
}

async fn tell([first, second]: [Bras; 2], server: SocketAddr, secret: &[u8], stop: watch::Receiver<bool>) {
    tokio::join!(run(first, server, secret, stop.clone()), run(second, server, secret, stop));
}

async fn run(mut bras: Bras, server: SocketAddr, secret: &[u8], mut stop: watch::Receiver<bool>) {
    // Each NAS has an address of its own, as far as the server is where such addresses exist.
    let source = (server.ip() == IpAddr::V4(Ipv4Addr::LOCALHOST)).then_some(bras.address);
    let work = async {
        let mut nas = match Nas::connect(source, server, secret, Patience::default()).await {
            Ok(nas) => nas,
            Err(error) => {
                warn!(%error, "demo: no socket for the feed");
                return;
            }
        };
        let opening = if bras.sessions == 0 { bras.opening(clock::now()) } else { Vec::new() };
        for report in opening {
            deliver(&mut nas, report).await;
        }
        let mut tick = tokio::time::interval(Duration::from_secs(1));
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tick.tick().await;
            for report in bras.second(clock::now()) {
                deliver(&mut nas, report).await;
            }
        }
    };
    tokio::select! {
        () = work => {}
        // An error means that whoever could say stop is gone.
        _ = stop.wait_for(|stop| *stop) => {}
    }
}

/// Reports until it is acknowledged, as a NAS does that must not lose its customers' bills.
async fn deliver(nas: &mut Nas, mut report: Report) {
    let began = tokio::time::Instant::now();
    loop {
        match nas.report(&report).await {
            Ok(Outcome::Answered { .. }) => return,
            Ok(Outcome::Silence { .. }) => warn!("demo: the accounting server does not answer"),
            Ok(Outcome::WrongAuthenticator) => {
                warn!("demo: the accounting server answers with another secret");
            }
            Err(SendError::Socket(error)) => {
                warn!(%error, "demo: the feed can't send");
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
            // Nothing made up here is too long, so there is nothing to wait for.
            Err(_) => return,
        }
        report.delay = u32::try_from(began.elapsed().as_secs()).ok();
    }
}

/// One made-up NAS: who lives behind it, and what it would report. Pure: time is an argument, chance is a sequence.
struct Bras {
    number: u8,
    address: IpAddr,
    homes: Vec<Home>,
    /// Addresses not in use, the longest unused first.
    free: VecDeque<Ipv4Addr>,
    sessions: u64,
    seconds: u64,
    chance: u64,
}

struct Home {
    user: String,
    port_id: String,
    ipv6: Option<(Ipv6Net, Ipv6Net)>,
    online: Option<Online>,
}

struct Online {
    session_id: String,
    address: Ipv4Addr,
    since: Timestamp,
}

impl Bras {
    fn new(number: u8) -> Self {
        let pool = if number == 0 { [198, 51, 100] } else { [203, 0, 113] };
        let [a, b, c] = pool;
        Bras {
            number,
            address: IpAddr::V4(Ipv4Addr::new(127, 0, 0, 11_u8.saturating_add(number))),
            homes: (0..HOMES).map(|home| Home::new(number, home)).collect(),
            free: POOL_HOSTS.map(|host| Ipv4Addr::new(a, b, c, host)).collect(),
            sessions: 0,
            seconds: 0,
            chance: 0x9e37_79b9_7f4a_7c15_u64.wrapping_add(u64::from(number)),
        }
    }

    /// The NAS has started, and the first subscribers dial in.
    fn opening(&mut self, now: Timestamp) -> Vec<Report> {
        let mut reports = vec![self.report(Status::On, now)];
        reports.extend((0..ONLINE_AT_FIRST).filter_map(|home| self.come(home, now)));
        reports
    }

    /// What one more second brings.
    fn second(&mut self, now: Timestamp) -> Vec<Report> {
        self.seconds = self.seconds.wrapping_add(1);
        let due = (0u64..)
            .zip(&self.homes)
            // Spread over the interval, as sessions that began at different times are.
            .filter(|(home, _)| (home.wrapping_add(self.seconds)) % INTERIM_SECONDS == 0)
            .filter_map(|(_, home)| self.about(home, Status::Interim, now));
        let mut reports: Vec<Report> = due.collect();
        if self.seconds.is_multiple_of(CHANGE_SECONDS) {
            let home = self.pick();
            reports.extend(self.come(home, now).or_else(|| self.go(home, now)));
        }
        reports
    }

    /// Somebody who is not settled.
    fn pick(&mut self) -> usize {
        // xorshift64: the same sequence each time, so that a demo can be shown twice.
        self.chance ^= self.chance << 13;
        self.chance ^= self.chance >> 7;
        self.chance ^= self.chance << 17;
        let others = HOMES.saturating_sub(SETTLED);
        usize::try_from(self.chance >> 33).unwrap_or_default() % others + SETTLED
    }

    /// Dials in; `None` when already online.
    fn come(&mut self, home: usize, now: Timestamp) -> Option<Report> {
        if self.homes.get(home)?.online.is_some() {
            return None;
        }
        let address = self.free.pop_front()?;
        self.sessions = self.sessions.wrapping_add(1);
        let session_id = format!("{:02x}{:06x}", self.number, self.sessions);
        self.homes.get_mut(home)?.online = Some(Online { session_id, address, since: now });
        self.about(self.homes.get(home)?, Status::Start, now)
    }

    /// Hangs up; `None` when not online.
    fn go(&mut self, home: usize, now: Timestamp) -> Option<Report> {
        let report = self.about(self.homes.get(home)?, Status::Stop, now)?;
        let online = self.homes.get_mut(home)?.online.take()?;
        self.free.push_back(online.address);
        // RFC 2866, 5.10: 1 is User Request.
        Some(Report { terminate_cause: Some(1), ..report })
    }

    /// What is said of a home that is online.
    fn about(&self, home: &Home, status: Status, now: Timestamp) -> Option<Report> {
        let online = home.online.as_ref()?;
        let age = now.since(online.since).as_secs();
        let (framed, delegated) = home.ipv6.unzip();
        Some(Report {
            user: Some(home.user.as_bytes().to_vec()),
            session_id: Some(online.session_id.as_bytes().to_vec()),
            addresses: vec![IpAddr::V4(online.address)],
            ipv6_prefixes: framed.into_iter().collect(),
            delegated_prefixes: delegated.into_iter().collect(),
            port_id: Some(home.port_id.as_bytes().to_vec()),
            session_time: (status != Status::Start).then_some(u32::try_from(age).unwrap_or(u32::MAX)),
            interval: u32::try_from(INTERIM_SECONDS).ok(),
            ..self.report(status, now)
        })
    }

    fn report(&self, status: Status, now: Timestamp) -> Report {
        Report {
            nas_identifier: Some(format!("bras{}", self.number.saturating_add(1)).into_bytes()),
            nas_address: Some(self.address),
            event: u32::try_from(now.millis().div_euclid(1000)).ok(),
            ..Report::new(status)
        }
    }
}

impl Home {
    fn new(bras: u8, number: usize) -> Self {
        let user = match (bras, number) {
            (0, 0) => "alice@isp.example".to_owned(),
            (0, 1) => "bob@isp.example".to_owned(),
            (1, 0) => "carol@isp.example".to_owned(),
            (1, 1) => "dave@isp.example".to_owned(),
            _ => format!("home{}{number:03}@isp.example", bras.saturating_add(1)),
        };
        let port_id = format!("eth 0/{}:{}", number / 24, number % 24);
        let index = u16::try_from(number).unwrap_or_default();
        let dual_stack = number.is_multiple_of(2);
        Home { user, port_id, ipv6: dual_stack.then(|| ipv6_of(bras, index)).flatten(), online: None }
    }
}

/// A /64 for the link and a /56 for the house; the house keeps both.
fn ipv6_of(bras: u8, home: u16) -> Option<(Ipv6Net, Ipv6Net)> {
    let site = u16::from(bras).checked_add(1)?;
    let link = Ipv6Addr::new(0x2001, 0xdb8, site, home, 0, 0, 0, 0);
    let house = Ipv6Addr::new(0x2001, 0xdb8, site | 0x100, home.checked_mul(0x100)?, 0, 0, 0, 0);
    Some((Ipv6Net::new(link, 64).ok()?, Ipv6Net::new(house, 56).ok()?))
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    const NOON: Timestamp = Timestamp::from_seconds(1_795_435_200);

    fn user(report: &Report) -> &str {
        std::str::from_utf8(report.user.as_deref().unwrap_or_default()).expect("made up by us")
    }

    #[test]
    fn the_addresses_of_the_printed_lines_are_what_they_say() {
        let reports = Bras::new(0).opening(NOON);
        assert_eq!(reports[0].status, Status::On);
        assert_eq!(user(&reports[1]), "alice@isp.example");
        assert_eq!(reports[1].addresses, ["198.51.100.7".parse::<IpAddr>().expect("an address")]);
        assert_eq!(user(&reports[2]), "bob@isp.example");
        assert_eq!(reports[2].addresses, ["198.51.100.8".parse::<IpAddr>().expect("an address")]);
    }

    #[test]
    fn a_day_of_it_never_gives_an_address_twice_at_once_and_leaves_the_settled_alone() {
        for number in [0, 1] {
            let mut bras = Bras::new(number);
            let mut online: HashSet<IpAddr> = HashSet::new();
            let mut stops = 0;
            let mut reports = bras.opening(NOON);
            for second in 1..86_400_u64 {
                for report in reports {
                    match report.status {
                        Status::Start => assert!(online.insert(report.addresses[0]), "{report:?}"),
                        Status::Stop => {
                            stops += 1;
                            assert!(online.remove(&report.addresses[0]));
                            assert!(user(&report).starts_with("home"));
                        }
                        Status::Interim => assert!(online.contains(&report.addresses[0])),
                        Status::On | Status::Off => {}
                    }
                }
                reports = bras.second(NOON.plus(Duration::from_secs(second)));
            }
            assert!(stops > 1000, "{stops} of them went");
        }
    }

    #[test]
    fn every_session_is_heard_of_within_its_interval() {
        let mut bras = Bras::new(0);
        bras.opening(NOON);
        let mut heard = HashSet::new();
        for second in 1..=INTERIM_SECONDS {
            heard.extend(
                bras.second(NOON.plus(Duration::from_secs(second))).iter().map(|r| user(r).to_owned()),
            );
        }
        assert!(
            bras.homes.iter().filter(|home| home.online.is_some()).all(|home| heard.contains(&home.user))
        );
    }

    #[test]
    fn no_two_homes_share_an_ipv6_prefix_and_all_lie_in_the_pool() {
        let pool: Ipv6Net = "2001:db8::/32".parse().expect("a prefix");
        let mut seen: Vec<Ipv6Net> = Vec::new();
        for home in [0, 1].iter().flat_map(|bras| Bras::new(*bras).homes) {
            for prefix in home.ipv6.map(|(link, house)| [link, house]).into_iter().flatten() {
                assert!(pool.contains(&prefix));
                assert!(
                    !seen.iter().any(|other| other.contains(&prefix) || prefix.contains(other)),
                    "{prefix}"
                );
                seen.push(prefix);
            }
        }
        assert_eq!(seen.len(), 2 * HOMES);
    }

    #[test]
    fn the_configuration_is_toml_whatever_the_directory_is_called() {
        let text = configuration(Path::new("/tmp/a \"b\" \\c"), "it's \"secret\"");
        let table: toml::Table = text.parse().expect("it is TOML");
        assert_eq!(table["http"]["socket"].as_str(), Some("/tmp/a \"b\" \\c/api.sock"));
        assert_eq!(table["radius"]["client"][0]["secret"].as_str(), Some("it's \"secret\""));
    }

    #[test]
    fn pasted_words_stay_one_word() {
        assert_eq!(shell_word("/usr/bin/relaywarden"), "/usr/bin/relaywarden");
        assert_eq!(shell_word("/tmp/my demo's"), r"'/tmp/my demo'\''s'");
        assert_eq!(shell_word(""), "''");
    }
}
