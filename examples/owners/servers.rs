//! The two that are told: relaywarden, and FreeRADIUS with its own SQLite schema and queries, each a child process under
//! a clock that runs fast.
//!
//! Knows: their configuration, and how each is asked who has an address. Must not know: the truth.

use std::collections::HashMap;
use std::fs::{self, File, Permissions};
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rusqlite::Connection;

use super::Failure;

/// Shared with both.
pub(crate) const SECRET: &str = "a secret of four words";

const STARTS_WITHIN: Duration = Duration::from_secs(30);

/// What a server says about an address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Said {
    Owner(String),
    Nobody,
    Later(String),
}

/// A child process that is ended with its owner.
pub(crate) struct Server {
    child: Child,
    /// RADIUS accounting.
    pub(crate) radius: SocketAddr,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn free_port() -> Result<u16, Failure> {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).map_err(|e| Failure::System("a free port", e))?;
    socket.local_addr().map(|address| address.port()).map_err(|e| Failure::System("a free port", e))
}

/// `LD_PRELOAD` and what tells it how fast to run.
pub(crate) fn hurried(program: &Path, clock: &str) -> Result<Command, Failure> {
    const LIBRARY: &str = "faketime/libfaketimeMT.so.1";
    let libraries = ["/usr/lib/x86_64-linux-gnu", "/usr/lib/aarch64-linux-gnu", "/usr/lib"];
    let library = libraries
        .iter()
        .map(|directory| Path::new(directory).join(LIBRARY))
        .find(|library| library.exists())
        .ok_or(Failure::Missing("libfaketime (Debian package faketime)"))?;
    let mut command = Command::new(program);
    command.env("LD_PRELOAD", library).env("FAKETIME", clock).env("FAKETIME_DONT_FAKE_MONOTONIC", "1");
    command.env("FAKETIME_DONT_RESET", "1").env("TZ", "UTC").stdin(Stdio::null());
    Ok(command)
}

/// relaywarden over a directory of its own.
pub(crate) fn relaywarden(home: &Path, clock: &str) -> Result<(Server, SocketAddr), Failure> {
    let failed = |error| Failure::System("relaywarden", error);
    let program = std::env::current_exe().map_err(failed)?;
    let program = program.parent().and_then(Path::parent).map(|release| release.join("relaywarden"));
    let program =
        program.filter(|program| program.exists()).ok_or(Failure::Missing("cargo build --release"))?;
    let radius = SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()?));
    let map = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|map| map.local_addr()).map_err(failed)?;
    let config = home.join("relaywarden.toml");
    let text = format!(
        "data-dir = {:?}\n[retention]\nsessions = \"180d\"\nmessages = \"90d\"\nquestions = \"365d\"\n[radius]\nlisten = [\"{radius}\"]\n\
         [[radius.client]]\nname = \"bras\"\naddress = \"127.0.0.0/8\"\nsecret = \"{SECRET}\"\n\
         [session]\nwarm-up = \"0s\"\n[socketmap]\nlisten = [\"{map}\"]\n[policy]\nlisten = []\n\
         [http]\nsocket = {:?}\nlisten = []\n",
        home.join("data"),
        home.join("api.sock"),
    );
    fs::write(&config, text).map_err(failed)?;
    fs::set_permissions(&config, Permissions::from_mode(0o600)).map_err(failed)?;
    let log = File::create(home.join("relaywarden.log")).map_err(failed)?;
    let mut command = hurried(&program, clock)?;
    command.args(["serve", "--config"]).arg(&config).stdout(Stdio::null()).stderr(log);
    let child = command.spawn().map_err(failed)?;
    let server = Server { child, radius };
    let began = Instant::now();
    while ask(map, "192.0.2.1").is_none_or(|said| matches!(said, Said::Later(_))) {
        if began.elapsed() > STARTS_WITHIN {
            return Err(Failure::Missing("a relaywarden that starts; see relaywarden.log"));
        }
        thread::sleep(Duration::from_millis(50));
    }
    Ok((server, map))
}

/// FreeRADIUS as its own users run it: `sql` with the schema and queries of its package.
pub(crate) fn freeradius(home: &Path, clock: &str) -> Result<Server, Failure> {
    let failed = |error| Failure::System("freeradius", error);
    let radius = SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()?));
    let database = home.join("radacct.sqlite3");
    let connection = Connection::open(&database).map_err(Failure::Database)?;
    let schema = fs::read_to_string("/etc/freeradius/3.0/mods-config/sql/main/sqlite/schema.sql")
        .map_err(|_| Failure::Missing("FreeRADIUS (Debian package freeradius)"))?;
    connection.execute_batch(&schema).map_err(Failure::Database)?;
    drop(connection);
    let text = include_str!("radiusd.conf")
        .replace("HOME", &home.display().to_string())
        .replace("PORT", &radius.port().to_string())
        .replace("SECRET", SECRET);
    fs::write(home.join("radiusd.conf"), text).map_err(failed)?;
    let out = File::create(home.join("freeradius.out")).map_err(failed)?;
    let mut command = hurried(Path::new("/usr/sbin/freeradius"), clock)?;
    command.args(["-f", "-l"]).arg(home.join("freeradius.log")).arg("-d").arg(home);
    command.args(["-D", "/usr/share/freeradius"]);
    let child = command.stdout(out.try_clone().map_err(failed)?).stderr(out).spawn().map_err(failed)?;
    thread::sleep(Duration::from_secs(2));
    Ok(Server { child, radius })
}

/// Who is online by the table: of several rows without a stop time the newest.
pub(crate) fn online(home: &Path) -> Result<HashMap<Ipv4Addr, String>, Failure> {
    let connection = Connection::open(home.join("radacct.sqlite3")).map_err(Failure::Database)?;
    let mut statement = connection
        .prepare(
            "SELECT framedipaddress, username FROM radacct
             WHERE acctstoptime IS NULL AND framedipaddress <> '' ORDER BY acctstarttime, radacctid",
        )
        .map_err(Failure::Database)?;
    let rows = statement
        .query_map((), |row| Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?)))
        .map_err(Failure::Database)?;
    let mut online = HashMap::new();
    for row in rows {
        let (address, user) = row.map_err(Failure::Database)?;
        if let Ok(address) = address.parse() {
            online.insert(address, user);
        }
    }
    Ok(online)
}

/// What the socketmap says; `None`: it is not there.
pub(crate) fn ask(map: SocketAddr, address: &str) -> Option<Said> {
    let mut stream = TcpStream::connect(map).ok()?;
    said(&mut stream, address)
}

/// The same over a connection that stays.
pub(crate) fn said(stream: &mut TcpStream, address: &str) -> Option<Said> {
    let question = format!("relay {address}");
    // In one piece: a frame in several would wait for acknowledgements in between.
    stream.write_all(format!("{}:{question},", question.len()).as_bytes()).ok()?;
    let mut length = 0_usize;
    loop {
        let mut octet = [0];
        stream.read_exact(&mut octet).ok()?;
        match octet {
            [b':'] => break,
            [digit] => length = length * 10 + usize::from(digit.checked_sub(b'0')?),
        }
    }
    let mut answer = vec![0; length + 1];
    stream.read_exact(&mut answer).ok()?;
    let answer = String::from_utf8(answer).ok()?;
    let answer = answer.trim_end_matches(',');
    Some(match answer.split_once(' ')? {
        ("OK", owner) => Said::Owner(owner.to_owned()),
        ("NOTFOUND", _) => Said::Nobody,
        (_, why) => Said::Later(why.to_owned()),
    })
}
