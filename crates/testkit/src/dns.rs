//! A name server of a test's own: a zone whose records the test writes.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use hickory_server::{
    Server,
    net::runtime::TokioRuntimeProvider,
    proto::rr::{
        LowerName, Name, RData, Record, RecordType, RrKey,
        rdata::{SOA, TXT},
    },
    store::in_memory::InMemoryZoneHandler,
    zone_handler::{AxfrPolicy, Catalog, ZoneType},
};
use tokio::net::{TcpListener, UdpSocket};

const TTL: u32 = 60;
const TCP_LIMIT: Duration = Duration::from_secs(5);
const TCP_BUFFER: usize = 4_096;

/// Answers for one zone by UDP and TCP, and refuses all others.
pub struct DnsServer {
    pub address: SocketAddr,
    zone: Arc<InMemoryZoneHandler<TokioRuntimeProvider>>,
    _server: Server<Catalog>,
}

impl DnsServer {
    /// Serves `zone` (`example.com`), empty but for its SOA.
    pub async fn start(zone: &str) -> Self {
        let origin = name(zone);
        let mut handler = InMemoryZoneHandler::empty(origin.clone(), ZoneType::Primary, AxfrPolicy::Deny);
        let soa = SOA::new(origin.clone(), origin.clone(), 1, 60, 60, 60, TTL);
        assert!(handler.upsert_mut(Record::from_rdata(origin.clone(), TTL, RData::SOA(soa)), 1), "the zone begins");
        let zone = Arc::new(handler);
        let mut catalog = Catalog::new();
        catalog.upsert(LowerName::new(&origin), vec![zone.clone()]);
        let mut server = Server::new(catalog);
        let udp = UdpSocket::bind("127.0.0.1:0").await.expect("a UDP port");
        let address = udp.local_addr().expect("bound");
        let tcp = TcpListener::bind(address).await.expect("the same TCP port");
        server.register_socket(udp);
        server.register_listener(tcp, TCP_LIMIT, TCP_BUFFER);
        Self { address, zone, _server: server }
    }

    /// Writes the TXT records of a name instead of those that were there; none: the name is gone.
    pub async fn set_txt(&self, at: &str, texts: &[&str]) {
        let at = name(at);
        let serial = self.zone.serial().await + 1;
        self.zone.records_mut().await.remove(&RrKey::new(LowerName::new(&at), RecordType::TXT));
        for text in texts {
            let parts = text.as_bytes().chunks(255).map(|part| String::from_utf8_lossy(part).into_owned());
            let record = Record::from_rdata(at.clone(), TTL, RData::TXT(TXT::new(parts.collect())));
            assert!(self.zone.upsert(record, serial).await, "the record is written");
        }
    }
}

fn name(text: &str) -> Name {
    Name::from_ascii(format!("{}.", text.trim_end_matches('.'))).expect("a name")
}
