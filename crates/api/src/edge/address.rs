//! Whose request it is: the caller's address behind trusted proxies, and the key it is counted under.

use std::{
    fmt,
    net::{IpAddr, Ipv6Addr, SocketAddr},
    str::FromStr,
};

use actix_web::http::header::{HeaderMap, HeaderName};
use serde::{Deserialize, Serialize};

const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// The first bits of an IPv6 address that name one customer of a provider.
const IPV6_CUSTOMER: u8 = 64;

/// An address, or all addresses that begin alike: `10.0.0.1`, `10.0.0.0/8`, `fd00::/8`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Network {
    first: IpAddr,
    prefix: u8,
}

/// A text that names no network.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text} is no address and no network such as 10.0.0.0/8")]
pub struct NotANetwork {
    text: String,
}

impl Network {
    /// Whether `address` is one of it. IPv4 written as IPv6 counts as IPv4.
    pub fn contains(&self, address: IpAddr) -> bool {
        match (self.first, address.to_canonical()) {
            (IpAddr::V4(first), IpAddr::V4(other)) => {
                let differ = first.to_bits() ^ other.to_bits();
                differ.leading_zeros() >= u32::from(self.prefix)
            }
            (IpAddr::V6(first), IpAddr::V6(other)) => {
                let differ = first.to_bits() ^ other.to_bits();
                differ.leading_zeros() >= u32::from(self.prefix)
            }
            _ => false,
        }
    }
}

impl FromStr for Network {
    type Err = NotANetwork;

    fn from_str(text: &str) -> Result<Self, NotANetwork> {
        let wrong = || NotANetwork { text: text.to_owned() };
        let (address, prefix) = text.split_once('/').map_or((text, None), |(address, bits)| (address, Some(bits)));
        let first = address.parse::<IpAddr>().map_err(|_| wrong())?.to_canonical();
        let longest = if first.is_ipv4() { 32 } else { 128 };
        let prefix = prefix.map_or(Ok(longest), |bits| bits.parse::<u8>().map_err(|_| wrong()))?;
        if prefix > longest { Err(wrong()) } else { Ok(Self { first, prefix }) }
    }
}

impl TryFrom<String> for Network {
    type Error = NotANetwork;

    fn try_from(text: String) -> Result<Self, NotANetwork> {
        text.parse()
    }
}

impl From<Network> for String {
    fn from(network: Network) -> Self {
        network.to_string()
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.first, self.prefix)
    }
}

/// The caller's address: the peer's, or what trusted proxies say of it.
///
/// `forwarded` are the lines of `X-Forwarded-For` in their order: each proxy writes the address it saw behind those it
/// was told. They are read from the right, and the first address that is no trusted proxy counts; what stands left of
/// it the caller may have made up. An entry that is no address ends the walk.
pub fn client_address<'a>(
    peer: IpAddr,
    forwarded: impl DoubleEndedIterator<Item = &'a str>,
    trusted: &[Network],
) -> IpAddr {
    let mut address = peer.to_canonical();
    for hop in forwarded.rev().flat_map(|line| line.rsplit(',')) {
        if !trusted.iter().any(|network| network.contains(address)) {
            break;
        }
        let Some(hop) = hop_address(hop.trim()) else { break };
        address = hop.to_canonical();
    }
    address
}

/// What the calls of a request's sender are counted under; `None`: it has no address.
pub fn sender(headers: &HeaderMap, peer: Option<SocketAddr>, trusted: &[Network]) -> Option<String> {
    let lines: Vec<_> = headers.get_all(FORWARDED_FOR).map(|line| line.to_str().unwrap_or_default()).collect();
    peer.map(|peer| counted_as(client_address(peer.ip(), lines.into_iter(), trusted)))
}

/// Some proxies write the port too.
fn hop_address(text: &str) -> Option<IpAddr> {
    let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
    bare.parse().ok().or_else(|| text.parse::<SocketAddr>().ok().map(|socket| socket.ip()))
}

/// What calls of `address` are counted under: an IPv6 customer has a whole /64 to call from, so it is counted as one.
pub fn counted_as(address: IpAddr) -> String {
    match address.to_canonical() {
        IpAddr::V4(address) => address.to_string(),
        IpAddr::V6(address) => {
            let kept = u128::MAX << (128 - u32::from(IPV6_CUSTOMER));
            format!("{}/{IPV6_CUSTOMER}", Ipv6Addr::from_bits(address.to_bits() & kept))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    fn network(text: &str) -> Network {
        text.parse().expect("a network")
    }

    #[test]
    fn a_network_holds_the_addresses_that_begin_like_it() {
        for (whole, inside, outside) in [
            ("10.0.0.0/8", "10.255.1.2", "11.0.0.0"),
            ("172.16.0.0/12", "172.31.255.255", "172.32.0.0"),
            ("10.0.0.1", "10.0.0.1", "10.0.0.2"),
            ("10.0.0.1/32", "::ffff:10.0.0.1", "fd00::1"),
            ("fd00::/8", "fdff::1", "fe00::"),
            ("::1", "::1", "::2"),
        ] {
            assert!(network(whole).contains(ip(inside)), "{inside} is in {whole}");
            assert!(!network(whole).contains(ip(outside)), "{outside} is not in {whole}");
            assert_eq!(network(&network(whole).to_string()), network(whole));
        }
        assert!(network("0.0.0.0/0").contains(ip("203.0.113.9")) && !network("0.0.0.0/0").contains(ip("::1")));
        for bad in ["", "10.0.0.0/33", "10.0.0/8", "fd00::/129", "10.0.0.0/-1", "10.0.0.0/", "/8", "proxy.example"] {
            assert!(bad.parse::<Network>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn only_trusted_proxies_may_name_the_client() {
        let trusted = [network("10.0.0.0/24"), network("fd00::/8")];
        let client = |peer: &str, lines: &[&str]| client_address(ip(peer), lines.iter().copied(), &trusted);
        assert_eq!(client("203.0.113.9", &["198.51.100.1"]), ip("203.0.113.9"));
        assert_eq!(client("10.0.0.1", &["198.51.100.1, 10.0.0.2"]), ip("198.51.100.1"));
        assert_eq!(client("10.0.0.1", &["1.1.1.1, 198.51.100.1"]), ip("198.51.100.1"));
        assert_eq!(client("10.0.0.1", &["1.1.1.1", "198.51.100.1", "10.0.0.2,fd00::7"]), ip("198.51.100.1"));
        assert_eq!(client("::ffff:10.0.0.1", &["198.51.100.1:4711"]), ip("198.51.100.1"));
        assert_eq!(client("10.0.0.1", &["[2001:db8::1]:4711"]), ip("2001:db8::1"));
        assert_eq!(client("10.0.0.1", &["nonsense"]), ip("10.0.0.1"));
        assert_eq!(client("10.0.0.1", &[]), ip("10.0.0.1"));
    }

    #[test]
    fn one_ipv6_customer_is_counted_once() {
        assert_eq!(counted_as(ip("2001:db8:1:2:3:4:5:6")), counted_as(ip("2001:db8:1:2:ffff::1")));
        assert_ne!(counted_as(ip("2001:db8:1:2::1")), counted_as(ip("2001:db8:1:3::1")));
        assert_eq!(counted_as(ip("::ffff:198.51.100.1")), counted_as(ip("198.51.100.1")));
        assert_ne!(counted_as(ip("198.51.100.1")), counted_as(ip("198.51.100.2")));
    }
}
