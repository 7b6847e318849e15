//! TXT records from real name servers, asked anew each time.

use std::{net::SocketAddr, time::Duration};

use async_trait::async_trait;
use hickory_resolver::{
    TokioResolver,
    config::{ConnectionConfig, NameServerConfig, ResolverConfig},
    net::{NetError, runtime::TokioRuntimeProvider},
    proto::rr::{Name, RData},
};
use minispod_domain::ports::{PortError, dns::TxtRecords};

/// Longest wait for one server's answer, and how often each is asked again.
const ANSWER_LIMIT: Duration = Duration::from_secs(3);
const TRIES: usize = 1;
/// Most records of one name, and most bytes of one of them, that are read.
const RECORDS_MAX: usize = 50;
const RECORD_MAX: usize = 1_024;

/// Name servers that answer for the whole DNS.
pub struct NameServers {
    resolver: TokioResolver,
}

impl NameServers {
    /// These servers; none: those of this machine (`/etc/resolv.conf`).
    pub fn new(servers: &[SocketAddr]) -> Result<Self, NetError> {
        let mut builder = if servers.is_empty() {
            TokioResolver::builder_tokio()?
        } else {
            let servers = servers.iter().map(server).collect();
            let config = ResolverConfig::from_parts(None, Vec::new(), servers);
            TokioResolver::builder_with_config(config, TokioRuntimeProvider::default())
        };
        let options = builder.options_mut();
        options.timeout = ANSWER_LIMIT;
        options.attempts = TRIES;
        // What was not there a moment ago may be there now.
        options.cache_size = 0;
        options.positive_max_ttl = Some(Duration::ZERO);
        options.negative_max_ttl = Some(Duration::ZERO);
        Ok(Self { resolver: builder.build()? })
    }
}

fn server(address: &SocketAddr) -> NameServerConfig {
    let mut connections = [ConnectionConfig::udp(), ConnectionConfig::tcp()];
    for connection in &mut connections {
        connection.port = address.port();
    }
    NameServerConfig::new(address.ip(), true, connections.into())
}

#[async_trait]
impl TxtRecords for NameServers {
    async fn find(&self, name: &str) -> Result<Vec<String>, PortError> {
        let failed = |source: NetError| PortError { what: "the name server".to_owned(), source: Box::new(source) };
        // Whole: nothing of this machine's own domain is tried behind it.
        let name = Name::from_ascii(format!("{name}.")).map_err(|source| failed(source.into()))?;
        let found = match self.resolver.txt_lookup(name).await {
            Ok(found) => found,
            Err(error) if error.is_no_records_found() => return Ok(Vec::new()),
            Err(error) => return Err(failed(error)),
        };
        let texts = found.answers().iter().filter_map(|record| match &record.data {
            RData::TXT(txt) => Some(txt.txt_data.concat()),
            _ => None,
        });
        let short = texts.filter(|text| text.len() <= RECORD_MAX).take(RECORDS_MAX);
        Ok(short.map(|text| String::from_utf8_lossy(&text).into_owned()).collect())
    }
}
