//! What keeps a start from happening: each endpoint that somebody else has is named with its key, and a data directory
//! serves one daemon.

use std::fs;
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::os::unix::net::UnixListener;

use crate::common::daemon::Daemon;
use crate::common::free_port;
use crate::common::nas::Status;
use crate::house::{edit, refused, serve, serve_from};

/// A configuration that is good, and nobody running.
fn idle() -> Daemon {
    let mut daemon = Daemon::start();
    daemon.terminate();
    daemon
}

fn assert_named(daemon: &Daemon, endpoint: &str, key: &str) {
    let (code, said) = refused(&mut serve(daemon));
    assert_eq!(code, 69, "{said}");
    for word in [endpoint, key] {
        assert!(said.contains(word), "{word:?} is not in {said}");
    }
    assert!(!daemon.socket().exists() || key == "http.socket", "nothing of ours is left behind");
}

#[test]
fn a_taken_radius_port_is_named_with_its_key() {
    let daemon = idle();
    let taken = UdpSocket::bind(daemon.radius).expect("a free port");
    assert_named(&daemon, &daemon.radius.to_string(), "radius.listen");
    drop(taken);
    let _taken = UdpSocket::bind(daemon.radius_v6).expect("a free port");
    assert_named(&daemon, &daemon.radius_v6.to_string(), "radius.listen");
}

#[test]
fn a_taken_socketmap_port_is_named_with_its_key() {
    let daemon = idle();
    let _taken = TcpListener::bind(daemon.socketmap).expect("a free port");
    assert_named(&daemon, &daemon.socketmap.to_string(), "socketmap.listen");
}

#[test]
fn a_taken_policy_port_is_named_with_its_key() {
    let daemon = idle();
    let _taken = TcpListener::bind(daemon.policy).expect("a free port");
    assert_named(&daemon, &daemon.policy.to_string(), "policy.listen");
}

#[test]
fn a_taken_http_port_is_named_with_its_key() {
    let daemon = idle();
    let http = SocketAddr::from(([127, 0, 0, 1], free_port()));
    edit(&daemon, "listen = []", &format!("listen = [\"{http}\"]"));
    let _taken = TcpListener::bind(http).expect("a free port");
    assert_named(&daemon, &http.to_string(), "http.listen");
}

#[test]
fn a_unix_socket_in_use_is_named_with_its_key_and_stays() {
    let daemon = idle();
    let listener = UnixListener::bind(daemon.socket()).expect("a free name");
    assert_named(&daemon, &daemon.socket().display().to_string(), "http.socket");
    assert!(daemon.socket().exists(), "it belongs to somebody else");
    drop(listener);

    let path = daemon.socket().with_file_name("map.sock");
    edit(
        &daemon,
        &format!("listen = [\"{}\"]", daemon.socketmap),
        &format!("listen = [\"unix:{}\"]", path.display()),
    );
    let _listener = UnixListener::bind(&path).expect("a free name");
    // The file that nobody listens on any more is in nobody's way.
    let (code, said) = refused(&mut serve(&daemon));
    assert_eq!(code, 69, "{said}");
    assert!(said.contains("socketmap.listen") && said.contains(&path.display().to_string()), "{said}");
    assert!(path.exists());
}

#[test]
fn a_second_daemon_on_one_data_directory_ends_with_75_and_disturbs_nobody() {
    let daemon = Daemon::start();
    daemon.nas().report(Status::Start, "alice", "s1", "100.64.0.7");
    let mut text = fs::read_to_string(daemon.configuration()).expect("our own file");
    for address in [daemon.radius, daemon.radius_v6, daemon.socketmap, daemon.policy] {
        let another = SocketAddr::new(address.ip(), free_port());
        text = text.replace(&address.to_string(), &another.to_string());
    }
    text = text.replace("api.sock", "second.sock");
    let second = daemon.configuration().with_file_name("second.toml");
    fs::copy(daemon.configuration(), &second).expect("with its mode");
    fs::write(&second, text).expect("our own file");
    let (code, said) = refused(&mut serve_from(&second));
    assert_eq!(code, 75, "{said}");
    assert!(said.contains(&daemon.data_dir().display().to_string()), "{said}");
    assert!(said.contains("another relaywarden"), "{said}");
    assert_eq!(daemon.map("relay", "100.64.0.7"), "OK alice");
    daemon.nas().report(Status::Start, "bob", "s2", "100.64.0.8");
    assert_eq!(daemon.sessions(&["--subscriber", "bob"], 1).len(), 1, "the index is still written");
}

#[test]
fn a_configuration_that_is_bad_ends_with_78_and_names_file_line_and_key() {
    let daemon = idle();
    edit(&daemon, "[relay]\n", "[relay]\nmode = \"perhaps\"\n");
    let (code, said) = refused(&mut serve(&daemon));
    assert_eq!(code, 78, "{said}");
    assert!(said.contains("relaywarden.toml:") && said.contains("mode"), "{said}");
}
