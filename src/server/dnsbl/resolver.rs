//! Questions to the DNS, with an end: hickory-resolver behind two functions.
//!
//! Knows: resolvers, times, and how the library says what came of a question. Must not know: why it is asked.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use hickory_resolver::TokioResolver;
use hickory_resolver::config::{NameServerConfig, ResolveHosts, ResolverConfig};
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::net::{DnsError, NetError};
use hickory_resolver::proto::op::ResponseCode;
use hickory_resolver::proto::rr::{Name, RData, RecordType};
use tokio::sync::Semaphore;

use crate::config::Dnsbl;
use crate::watch::dnsbl::{Answer, Failure};

/// A question that came to nothing is asked once more.
const RETRIES: usize = 1;

/// Whom to ask, and how many questions may be open.
pub(super) struct Resolver {
    resolver: TokioResolver,
    open: Arc<Semaphore>,
    within: Duration,
}

impl Resolver {
    /// As configured; where nobody is, as this host is configured now.
    ///
    /// # Errors
    /// This host has no usable configuration.
    pub(super) fn of(dnsbl: &Dnsbl, open: Arc<Semaphore>) -> Result<Resolver, NetError> {
        let mut builder = if dnsbl.resolvers.is_empty() {
            TokioResolver::builder_tokio()?
        } else {
            let servers = dnsbl.resolvers.iter().map(|server| {
                let mut configured = NameServerConfig::udp_and_tcp(server.ip());
                for connection in &mut configured.connections {
                    connection.port = server.port();
                }
                configured
            });
            let config = ResolverConfig::from_name_servers(servers.collect());
            TokioResolver::builder_with_config(config, TokioRuntimeProvider::default())
        };
        let options = builder.options_mut();
        options.timeout = dnsbl.timeout;
        options.attempts = RETRIES;
        // The resolver that is asked remembers; a second memory would only make a second answer worth less.
        options.cache_size = 0;
        // This is about the DNS.
        options.use_hosts_file = ResolveHosts::Never;
        let within = dnsbl.timeout.saturating_mul(2).saturating_add(Duration::from_secs(1));
        Ok(Resolver { resolver: builder.build()?, open, within })
    }

    /// What lies under this name.
    pub(super) async fn addresses(&self, name: String) -> Answer {
        match self.ask(name, RecordType::A).await {
            Ok(data) => {
                let addresses: Vec<Ipv4Addr> = data
                    .iter()
                    .filter_map(|data| match data {
                        RData::A(address) => Some(address.0),
                        _ => None,
                    })
                    .collect();
                Answer::of(&addresses)
            }
            Err(failure) => Answer::Unanswered(failure),
        }
    }

    /// The text under this name, if there is one.
    pub(super) async fn text(&self, name: String) -> Option<Vec<u8>> {
        let data = self.ask(name, RecordType::TXT).await.ok()?;
        data.iter().find_map(|data| match data {
            RData::TXT(text) => Some(text.txt_data.concat()),
            _ => None,
        })
    }

    /// What lies under this name; nothing does where there is no such name.
    async fn ask(&self, name: String, kind: RecordType) -> Result<Vec<RData>, Failure> {
        let name = Name::from_ascii(name).map_err(|_| Failure::Unreachable)?;
        // It is never closed.
        let _permit = self.open.acquire().await.map_err(|_| Failure::Unreachable)?;
        let looked = tokio::time::timeout(self.within, self.resolver.lookup(name, kind)).await;
        match looked {
            Err(_) => Err(Failure::Timeout),
            Ok(Ok(lookup)) => Ok(lookup.answers().iter().map(|record| record.data.clone()).collect()),
            Ok(Err(NetError::Dns(DnsError::NoRecordsFound(none)))) => match none.response_code {
                ResponseCode::NXDomain | ResponseCode::NoError => Ok(Vec::new()),
                ResponseCode::ServFail => Err(Failure::ServerFailure),
                _ => Err(Failure::Unreachable),
            },
            Ok(Err(NetError::Dns(DnsError::ResponseCode(ResponseCode::ServFail)))) => {
                Err(Failure::ServerFailure)
            }
            Ok(Err(NetError::Dns(DnsError::ResponseCode(ResponseCode::Refused)))) => Err(Failure::Refused),
            Ok(Err(NetError::Timeout)) => Err(Failure::Timeout),
            Ok(Err(_)) => Err(Failure::Unreachable),
        }
    }
}
