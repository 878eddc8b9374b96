//! Sockets that the service manager holds for us, so that what is sent while no daemon runs waits in them (systemd's
//! sd_listen_fds(3)).
//!
//! Knows: descriptors, and which address each is bound to. Must not know: what is said over one. A socket is for us only when
//! the configuration asks for its very address: the unit of the sockets decides nothing.

use std::io;
use std::net::{SocketAddr, TcpListener, UdpSocket};

use listenfd::ListenFd;

/// What was inherited and nobody asked for yet.
#[derive(Debug, Default)]
pub struct Inherited {
    udp: Vec<UdpSocket>,
    tcp: Vec<TcpListener>,
    /// Of a kind that we have no use for.
    strange: usize,
}

impl Inherited {
    /// Takes everything that is meant for this process. Once, before there are threads: the environment says what is there,
    /// and must not say it to our children.
    #[must_use]
    pub fn take() -> Self {
        let mut given = ListenFd::from_env();
        let mut inherited = Inherited::default();
        for number in 0..given.len() {
            if let Ok(Some(socket)) = given.take_udp_socket(number) {
                inherited.udp.push(socket);
            } else if let Ok(Some(listener)) = given.take_tcp_listener(number) {
                inherited.tcp.push(listener);
            } else {
                inherited.strange = inherited.strange.saturating_add(1);
            }
        }
        inherited
    }

    /// The socket for datagrams that is bound to this address, if there is one.
    pub fn udp(&mut self, address: SocketAddr) -> Option<UdpSocket> {
        let place = self.udp.iter().position(|socket| is_at(socket.local_addr(), address))?;
        Some(self.udp.swap_remove(place))
    }

    /// The listener that is bound to this address, if there is one.
    pub fn tcp(&mut self, address: SocketAddr) -> Option<TcpListener> {
        let place = self.tcp.iter().position(|listener| is_at(listener.local_addr(), address))?;
        Some(self.tcp.swap_remove(place))
    }

    /// Says what is left when every listener has what it needs: it would gather what nobody reads.
    pub fn complain(&self) {
        for address in self.udp.iter().filter_map(|socket| socket.local_addr().ok()) {
            tracing::warn!(%address, "the service manager holds a UDP socket that the configuration does not ask for");
        }
        for address in self.tcp.iter().filter_map(|listener| listener.local_addr().ok()) {
            tracing::warn!(%address, "the service manager holds a TCP socket that the configuration does not ask for");
        }
        if self.strange > 0 {
            let sockets = self.strange;
            tracing::warn!(
                sockets,
                "the service manager holds sockets that are neither UDP nor TCP: they are not used"
            );
        }
    }
}

fn is_at(local: io::Result<SocketAddr>, address: SocketAddr) -> bool {
    local.is_ok_and(|local| local == address)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_socket_is_given_to_whoever_asks_for_its_address_and_once() {
        let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
        let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
        let (at_udp, at_tcp) = (udp.local_addr().unwrap(), tcp.local_addr().unwrap());
        let mut inherited = Inherited { udp: vec![udp], tcp: vec![tcp], strange: 0 };
        let elsewhere = SocketAddr::from(([127, 0, 0, 2], at_udp.port()));
        assert!(inherited.udp(elsewhere).is_none());
        assert!(inherited.udp(at_udp).is_some());
        assert!(inherited.udp(at_udp).is_none());
        assert!(inherited.tcp(at_tcp).is_some());
        assert!(inherited.tcp(at_tcp).is_none());
    }
}
