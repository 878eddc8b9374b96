//! The API at a socket of its own, and the program that asks it.

use super::*;

/// A daemon of nothing but its API, at a socket of its own; the answers are made up, unless they are somebody's.
pub(crate) struct Daemon<S = Answers> {
    pub(crate) answers: Arc<S>,
    pub(crate) tcp: std::net::SocketAddr,
    dir: TempDir,
    stop: watch::Sender<bool>,
    serving: [tokio::task::JoinHandle<()>; 2],
    runtime: Runtime,
}

impl<S: Staff> Daemon<S> {
    pub(crate) fn start(answers: S) -> Self {
        let answers = Arc::new(answers);
        let dir = tempfile::tempdir().unwrap();
        let runtime = Runtime::new().unwrap();
        let (stop, stopped) = watch::channel(false);
        let guard = runtime.enter();
        let unix = web::bind_unix(&dir.path().join("api.sock"), 0o660, None).unwrap();
        let tcp = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).unwrap();
        let tcp_address = tcp.local_addr().unwrap();
        let hosts = Hosts::new(&[tcp_address], &["warden.isp.example".to_owned()]);
        let router = http::router(Arc::clone(&answers), Arc::new(Gate::new(hosts, Arc::default())));
        let peers = Peers::of(&Http::default()).unwrap();
        let serving = [
            runtime.spawn(web::serve_unix(unix, router.clone(), Arc::new(peers), stopped.clone())),
            runtime.spawn(web::serve_tcp(tcp, router, stopped)),
        ];
        drop(guard);
        Daemon { answers, tcp: tcp_address, dir, stop, serving, runtime }
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.dir.path().join("api.sock")
    }

    /// The program, told where this daemon is.
    pub(crate) fn run(&self, arguments: &[&str]) -> Run {
        let socket = self.socket();
        run_with(arguments, &[("RELAYWARDEN_SOCKET", socket.as_os_str())])
    }

    /// The same, with these octets on its standard input.
    pub(crate) fn run_fed(&self, arguments: &[&str], input: &[u8]) -> Run {
        let mut command = Command::new(env!("CARGO_BIN_EXE_relaywarden"));
        command.env_clear().env("TZ", "UTC").env("RELAYWARDEN_SOCKET", self.socket()).args(arguments);
        fed(command, input)
    }

    /// Says stop, and returns when nothing is served any more.
    pub(crate) fn stop(self) {
        self.stop.send(true).unwrap();
        for serving in self.serving {
            self.runtime.block_on(serving).unwrap();
        }
    }
}

/// What a run of the program said.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) exit: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl From<Output> for Run {
    fn from(output: Output) -> Self {
        Run {
            exit: output.status.code().unwrap_or(-1),
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
        }
    }
}

/// The program, with no more environment than this.
pub(crate) fn run_with(arguments: &[&str], environment: &[(&str, &std::ffi::OsStr)]) -> Run {
    let mut command = Command::new(env!("CARGO_BIN_EXE_relaywarden"));
    command.env_clear().env("TZ", "UTC").envs(environment.iter().copied()).args(arguments);
    Run::from(command.output().unwrap())
}

/// Runs it with these octets on its standard input.
fn fed(mut command: Command, input: &[u8]) -> Run {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    std::thread::scope(|scope| {
        // It may end before it has read everything.
        scope.spawn(move || stdin.write_all(input).map_err(|error| error.kind()));
        Run::from(child.wait_with_output().unwrap())
    })
}

/// Something else that listens on a Unix socket: reads a head, says these octets, and closes.
pub(crate) fn impostor(socket: &Path, says: &'static str) -> std::thread::JoinHandle<()> {
    let listener = UnixListener::bind(socket).unwrap();
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        read_head(&mut stream);
        stream.write_all(says.as_bytes()).unwrap();
    })
}

fn read_head(stream: &mut UnixStream) {
    let mut head = Vec::new();
    let mut octet = [0];
    while !head.ends_with(b"\r\n\r\n") && stream.read(&mut octet).unwrap() == 1 {
        head.extend(octet);
    }
}
