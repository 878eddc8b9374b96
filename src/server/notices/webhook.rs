//! Tells a receiver over HTTP: one request on a connection of its own, and what it answered.
//!
//! Redirects are not followed: where something about a customer goes stands in the configuration and nowhere else.
//!
//! Knows: HTTP and TLS as a client, and which answer means what. Must not know: when it is tried again.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use axum::http::response::Parts;
use axum::http::{HeaderMap, Request, StatusCode, header};
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

use super::{Answer, Sent};
use crate::notice::address::Address;
use crate::notice::schedule::Said;
use crate::notice::signature;
use crate::session::Timestamp;

/// So much of an answer is looked at.
const ANSWER_OCTETS: usize = 4096;
/// A head that is longer is no answer.
const HEAD_OCTETS: usize = 16 * 1024;
/// How long is waited for what follows the head.
const BODY_WITHIN: Duration = Duration::from_secs(1);

/// Where something goes, and what it is signed with.
pub(super) struct Webhook<'a> {
    pub(super) address: &'a Address,
    pub(super) secret: Option<&'a [u8]>,
    pub(super) authorities: &'a [Vec<u8>],
}

impl Webhook<'_> {
    /// Sends it once. `within` is for its answer's head.
    pub(super) async fn send(&self, sent: &Sent<'_>, now: Timestamp, within: Duration) -> Answer {
        match tokio::time::timeout(within, self.exchange(sent, now)).await {
            Ok(Ok(heard)) => heard.answer(now).await,
            Ok(Err(error)) => Answer::new(Said::Later(None), &error.to_string()),
            Err(_) => Answer::new(Said::Later(None), &format!("no answer within {} s", within.as_secs())),
        }
    }

    async fn exchange(&self, sent: &Sent<'_>, now: Timestamp) -> io::Result<Heard> {
        let stream = TcpStream::connect((self.address.host.as_str(), self.address.port)).await?;
        if !self.address.tls {
            return self.post(stream, sent, now).await;
        }
        let authorities = self.authorities.to_vec();
        // Those of this host are files, and many.
        let trust = tokio::task::spawn_blocking(move || trust(&authorities)).await;
        let tls = TlsConnector::from(Arc::new(trust.map_err(io::Error::other)??));
        let name = ServerName::try_from(self.address.host.clone()).map_err(io::Error::other)?;
        self.post(tls.connect(name, stream).await?, sent, now).await
    }

    async fn post<S>(&self, stream: S, sent: &Sent<'_>, now: Timestamp) -> io::Result<Heard>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let mut client = http1::Builder::new();
        client.max_buf_size(HEAD_OCTETS);
        let (mut requests, connection) =
            client.handshake(TokioIo::new(stream)).await.map_err(io::Error::other)?;
        let request = self.request(sent, now)?;
        // Both ends of the connection are held here and by what is returned: when that is dropped, nothing is left of either.
        let mut connection: Pin<Box<dyn Future<Output = hyper::Result<()>> + Send>> = Box::pin(connection);
        let response = {
            let answer = requests.send_request(request);
            tokio::pin!(answer);
            tokio::select! {
                answer = &mut answer => answer,
                ended = &mut connection => {
                    connection = Box::pin(std::future::pending());
                    match ended {
                        Ok(()) => answer.await,
                        Err(error) => Err(error),
                    }
                }
            }
        };
        let (head, body) = response.map_err(io::Error::other)?.into_parts();
        Ok(Heard { head, body, connection, _requests: requests })
    }

    fn request(&self, sent: &Sent<'_>, now: Timestamp) -> io::Result<Request<Full<Bytes>>> {
        let mut request = Request::post(&self.address.target)
            .header(header::HOST, self.address.authority())
            .header(header::CONTENT_TYPE, "application/json")
            .header(header::USER_AGENT, concat!("relaywarden/", env!("CARGO_PKG_VERSION")))
            .header(header::CONNECTION, "close")
            .header("webhook-id", sent.id);
        if let Some(secret) = self.secret {
            let (moment, signature) = signature::sign(secret, sent.id, now, sent.body.as_bytes());
            request = request.header("webhook-timestamp", moment).header("webhook-signature", signature);
        }
        request.body(Full::new(Bytes::copy_from_slice(sent.body.as_bytes()))).map_err(io::Error::other)
    }
}

/// An answer whose head is there.
struct Heard {
    head: Parts,
    body: Incoming,
    connection: Pin<Box<dyn Future<Output = hyper::Result<()>> + Send>>,
    /// Without it the connection would be closed.
    _requests: http1::SendRequest<Full<Bytes>>,
}

impl Heard {
    /// It means what its head says. What follows is shown, and may have no end, or never come.
    async fn answer(self, now: Timestamp) -> Answer {
        let mut shown = Vec::new();
        let mut body = Limited::new(self.body, ANSWER_OCTETS);
        let read = async {
            while shown.len() < ANSWER_OCTETS
                && let Some(Ok(frame)) = body.frame().await
            {
                shown.extend_from_slice(frame.data_ref().map_or(&[], |data| data));
            }
        };
        let both = async {
            tokio::pin!(read);
            tokio::select! {
                () = &mut read => {}
                // What it has brought by then is there to be read.
                _ = self.connection => read.await,
            }
        };
        let _ = tokio::time::timeout(BODY_WITHIN, both).await;
        meaning(self.head.status, &self.head.headers, &shown, now)
    }
}

/// Read anew each time: certificates are renewed, and this is done seldom.
fn trust(authorities: &[Vec<u8>]) -> io::Result<ClientConfig> {
    let mut roots = RootCertStore::empty();
    if authorities.is_empty() {
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    } else {
        let own = authorities.iter().map(|der| CertificateDer::from(der.as_slice()));
        roots.add_parsable_certificates(own.map(CertificateDer::into_owned));
    }
    if roots.is_empty() {
        return Err(io::Error::other(
            "there is no certificate that could be believed: install ca-certificates",
        ));
    }
    let provider = Arc::new(tokio_rustls::rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    Ok(config.map_err(io::Error::other)?.with_root_certificates(roots).with_no_client_auth())
}

fn meaning(status: StatusCode, headers: &HeaderMap, body: &[u8], now: Timestamp) -> Answer {
    let said = match status.as_u16() {
        200..=299 => Said::Taken,
        408 | 429 | 500..=599 => Said::Later(retry_after(headers, now)),
        _ => Said::Refused,
    };
    Answer::with_line(said, &status.to_string(), body)
}

/// Seconds, or a date (RFC 9110, 10.2.3).
fn retry_after(headers: &HeaderMap, now: Timestamp) -> Option<Duration> {
    let value = headers.get(header::RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = value.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let date = jiff::fmt::rfc2822::parse(value).ok()?.timestamp();
    Some(Timestamp::from_millis(date.as_millisecond()).since(now))
}

#[cfg(test)]
mod tests {
    use tokio_rustls::rustls::pki_types::pem::PemObject as _;

    use super::*;

    const NOW: Timestamp = Timestamp::from_seconds(1_795_442_400);

    fn said(status: u16, retry: Option<&'static str>) -> Said {
        let mut headers = HeaderMap::new();
        if let Some(retry) = retry {
            headers.insert(header::RETRY_AFTER, retry.parse().unwrap());
        }
        meaning(StatusCode::from_u16(status).unwrap(), &headers, b"", NOW).said
    }

    /// A server for one connection, with the key of `tests/data/notices`.
    async fn server() -> u16 {
        use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
        use tokio_rustls::TlsAcceptor;
        use tokio_rustls::rustls::ServerConfig;
        use tokio_rustls::rustls::pki_types::PrivateKeyDer;
        let chain =
            CertificateDer::from_pem_slice(include_bytes!("../../../tests/data/notices/server.pem")).unwrap();
        let key =
            PrivateKeyDer::from_pem_slice(include_bytes!("../../../tests/data/notices/server.key")).unwrap();
        let provider = Arc::new(tokio_rustls::rustls::crypto::ring::default_provider());
        let config =
            ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
        let config = config.with_no_client_auth().with_single_cert(vec![chain], key).unwrap();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        tokio::spawn(async move {
            let (stream, _) = listener.accept().await.unwrap();
            let Ok(mut stream) = TlsAcceptor::from(Arc::new(config)).accept(stream).await else { return };
            let mut request = vec![0; 4096];
            let _ = stream.read(&mut request).await;
            let _ = stream.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").await;
            let _ = stream.shutdown().await;
        });
        port
    }

    #[tokio::test]
    async fn over_tls_only_whoever_has_a_certificate_that_is_believed_is_told() {
        let authority =
            CertificateDer::from_pem_slice(include_bytes!("../../../tests/data/notices/ca.pem")).unwrap();
        let believed = vec![authority.to_vec()];
        let sent = Sent { id: "7-suspended", event: "suspended", body: "{}" };
        for (host, authorities, taken) in [
            ("localhost", believed.as_slice(), true),
            ("127.0.0.1", &believed, true),
            ("localhost", &[], false),
        ] {
            let address = Address::read(&format!("https://{host}:{}/", server().await)).unwrap();
            let webhook = Webhook { address: &address, secret: None, authorities };
            let answer = webhook.send(&sent, NOW, Duration::from_secs(20)).await;
            assert_eq!(answer.said == Said::Taken, taken, "{host}: {answer:?}");
        }
    }

    /// A server for one connection that answers with this, and then neither goes on nor hangs up.
    async fn stalled(answer: &'static [u8]) -> u16 {
        use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = vec![0; 4096];
            let _ = stream.read(&mut request).await;
            let _ = stream.write_all(answer).await;
            // Until whoever asked hangs up.
            while stream.read(&mut request).await.is_ok_and(|count| count > 0) {}
        });
        port
    }

    #[tokio::test]
    async fn a_head_is_an_answer_though_nothing_follows_it_and_no_head_is_none() {
        let sent = Sent { id: "7-suspended", event: "suspended", body: "{}" };
        for (answer, said, words) in [
            (b"HTTP/1.1 200 OK\r\n\r\n".as_slice(), Said::Taken, "200 OK"),
            (b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nthanks\n", Said::Taken, "200 OK: thanks"),
            (b"HTTP/1.1 400 Bad Request\r\n\r\n", Said::Refused, "400 Bad Request"),
            (b"HTTP/1.1 200 OK\r\n", Said::Later(None), "no answer within 2 s"),
        ] {
            let address = Address::read(&format!("http://127.0.0.1:{}/", stalled(answer).await)).unwrap();
            let webhook = Webhook { address: &address, secret: None, authorities: &[] };
            let answer = webhook.send(&sent, NOW, Duration::from_secs(2)).await;
            assert_eq!((answer.said, answer.words.as_str()), (said, words));
        }
    }

    #[test]
    fn what_an_answer_means() {
        for status in [200, 201, 202, 204] {
            assert_eq!(said(status, None), Said::Taken);
        }
        for status in [408, 429, 500, 502, 503, 599] {
            assert_eq!(said(status, None), Said::Later(None), "{status}");
        }
        for status in [100, 301, 302, 307, 308, 400, 401, 403, 404, 410, 413, 422, 600, 999] {
            assert_eq!(said(status, None), Said::Refused, "{status}");
        }
    }

    #[test]
    fn how_long_it_wants_to_be_left_alone_is_seconds_or_a_date() {
        let later = |seconds| Said::Later(Some(Duration::from_secs(seconds)));
        assert_eq!(said(429, Some("20")), later(20));
        assert_eq!(said(503, Some("Mon, 23 Nov 2026 14:01:00 GMT")), later(60));
        assert_eq!(said(503, Some("Mon, 23 Nov 2026 13:00:00 GMT")), later(0));
        for wrong in ["", "-1", "soon", "1.5"] {
            assert_eq!(said(429, Some(wrong)), Said::Later(None), "{wrong}");
        }
    }

    #[test]
    fn what_it_says_is_shown_in_one_line_that_does_nothing() {
        let shown = |body: &[u8]| meaning(StatusCode::OK, &HeaderMap::new(), body, NOW).words;
        assert_eq!(shown(b""), "200 OK");
        assert_eq!(shown(b"thanks\nmore"), "200 OK: thanks");
        assert_eq!(shown(b"\x1b[2J"), "200 OK: 0x1b5b324a");
        assert!(shown(&[b'x'; 4096]).len() < 300);
    }
}
