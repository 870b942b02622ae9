//! How often one user or one address may ask. Bounded in memory: whoever has not asked for a while is forgotten, and has by then as much credit as a
//! newcomer.

use std::hash::{BuildHasher, Hash, RandomState};
use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;
use std::time::Duration;

use base::SharedClock;
use base::config::{LimitsConfig, Rate};
use governor::clock::Clock;
use governor::middleware::NoOpMiddleware;
use governor::state::{InMemoryState, NotKeyed};
use governor::{Quota, RateLimiter};
use http::request;
use ipnet::IpNet;
use quick_cache::sync::Cache;
use ruma::{ServerName, UserId};

use crate::errors::Error;

/// How many users and addresses are remembered, in each class.
const REMEMBERED: usize = 100_000;

/// What kind of request it is, as far as rates are concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Class {
    /// Anything; every request counts as this.
    Any,
    /// Messages and other events.
    Message,
    /// Attempts to sign in.
    SignIn,
    /// Attempts to register.
    Registration,
    /// Requests of another server.
    Server,
}

type Limiter = RateLimiter<NotKeyed, InMemoryState, Ticks, NoOpMiddleware<Duration>>;

/// Our clock, in the limiter's words.
#[derive(Clone)]
struct Ticks(SharedClock);

impl Clock for Ticks {
    type Instant = Duration;

    fn now(&self) -> Duration {
        self.0.monotonic()
    }
}

/// The other end of a connection, as the listener saw it. Put into each request by the listener.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Peer {
    /// A network address.
    Address(IpAddr),
    /// Somebody on this machine whom the file system let through.
    Unix,
}

/// Who asked how often.
pub(crate) struct Limits {
    rates: Option<Rates>,
    trusted: Vec<IpNet>,
}

struct Rates {
    config: LimitsConfig,
    clock: Ticks,
    hasher: RandomState,
    seen: Cache<(Class, u64), Arc<Limiter>>,
}

impl Limits {
    pub(crate) fn new(config: &LimitsConfig, trusted: Vec<IpNet>, clock: SharedClock) -> Self {
        let rates = || Rates {
            config: config.clone(),
            clock: Ticks(clock),
            hasher: RandomState::new(),
            seen: Cache::new(REMEMBERED),
        };
        Self {
            rates: config.rates.then(rates),
            trusted,
        }
    }

    /// The client's address: the connection's, or what a proxy that we trust says of it.
    pub(crate) fn address(&self, parts: &request::Parts) -> Option<IpAddr> {
        let peer = match parts.extensions.get::<Peer>()? {
            Peer::Address(address) if !self.trusts(*address) => return Some(*address),
            Peer::Address(address) => Some(*address),
            Peer::Unix => None,
        };
        let hops = parts.headers.get_all("x-forwarded-for").iter().rev();
        let hops = hops
            .filter_map(|header| header.to_str().ok())
            .flat_map(|header| header.rsplit(','));
        // From the nearest hop on: the first one that is no proxy of ours is the client. What stands before it, the client may have made up.
        let mut client = peer;
        for hop in hops {
            let Some(address) = hop_address(hop) else {
                break;
            };
            client = Some(address);
            if !self.trusts(address) {
                break;
            }
        }
        client
    }

    fn trusts(&self, address: IpAddr) -> bool {
        self.trusted
            .iter()
            .any(|network| network.contains(&address))
    }

    /// Counts a request of this class.
    pub(crate) fn check(
        &self,
        class: Class,
        user: Option<&UserId>,
        address: Option<IpAddr>,
    ) -> Result<(), Error> {
        let Some(rates) = &self.rates else {
            return Ok(());
        };
        let who = match (user, address) {
            (Some(user), _) => rates.hasher.hash_one(user),
            (None, Some(address)) => rates.hasher.hash_one(network(address)),
            // Whoever may use the socket without saying for whom, is trusted.
            (None, None) => return Ok(()),
        };
        rates.count(Class::Any, who)?;
        if class == Class::Any {
            Ok(())
        } else {
            rates.count(class, who)
        }
    }

    /// Counts a request of another server.
    pub(crate) fn check_server(&self, server: &ServerName) -> Result<(), Error> {
        self.rates.as_ref().map_or(Ok(()), |rates| {
            rates.count(Class::Server, rates.hasher.hash_one(server))
        })
    }
}

impl Rates {
    fn count(&self, class: Class, who: u64) -> Result<(), Error> {
        let key = (class, who);
        let limiter = match self.seen.get(&key) {
            Some(limiter) => limiter,
            None => self
                .seen
                .get_or_insert_with(&key, || Ok::<_, Error>(Arc::new(self.limiter(class)?)))?,
        };
        limiter
            .check()
            .map_err(|refused| Error::limit_exceeded(refused.wait_time_from(self.clock.now())))
    }

    fn limiter(&self, class: Class) -> Result<Limiter, Error> {
        let rate: Rate = match class {
            Class::Any => self.config.requests,
            Class::Message => self.config.messages,
            Class::SignIn => self.config.sign_in,
            Class::Registration => self.config.registration,
            Class::Server => self.config.servers,
        };
        let burst = std::num::NonZeroU32::new(rate.burst()).unwrap_or(std::num::NonZeroU32::MIN);
        let quota = Quota::with_period(rate.interval())
            .ok_or_else(|| Error::internal("a rate limit of nothing"))?;
        Ok(RateLimiter::direct_with_clock(
            quota.allow_burst(burst),
            self.clock.clone(),
        ))
    }
}

/// A household has 2^64 addresses of IPv6, so they count as one.
pub(crate) fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => IpAddr::V4(address),
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() >> 64 << 64)),
    }
}

/// An entry of `X-Forwarded-For`: an address, perhaps with a port.
fn hop_address(hop: &str) -> Option<IpAddr> {
    let hop = hop.trim();
    let bare = hop
        .strip_prefix('[')
        .and_then(|hop| hop.split_once(']'))
        .map_or(hop, |(address, _)| address);
    bare.parse()
        .ok()
        .or_else(|| {
            hop.parse::<std::net::SocketAddr>()
                .ok()
                .map(|address| address.ip())
        })
        .map(|address: IpAddr| address.to_canonical())
}

#[cfg(test)]
mod tests {
    use base::ManualClock;
    use ruma::user_id;

    use super::*;

    fn limits(config: &LimitsConfig, clock: &ManualClock) -> Limits {
        Limits::new(config, vec!["10.0.0.0/8".parse().unwrap()], clock.shared())
    }

    fn seen(limits: &Limits, peer: Peer, forwarded: &[&str]) -> Option<String> {
        let mut request = http::Request::builder().extension(peer);
        for value in forwarded {
            request = request.header("x-forwarded-for", *value);
        }
        let (parts, ()) = request.body(()).unwrap().into_parts();
        limits.address(&parts).map(|address| address.to_string())
    }

    #[test]
    fn forwarded_headers_are_believed_only_from_proxies() {
        let limits = limits(&LimitsConfig::default(), &ManualClock::plausible());
        let peer = |address: &str| Peer::Address(address.parse().unwrap());
        for (from, headers, client) in [
            (peer("192.0.2.1"), &["198.51.100.7"][..], Some("192.0.2.1")),
            (peer("127.0.0.1"), &["198.51.100.7"], Some("127.0.0.1")),
            (peer("10.0.0.1"), &["198.51.100.7"], Some("198.51.100.7")),
            (
                peer("10.0.0.1"),
                &["203.0.113.9, 198.51.100.7"],
                Some("198.51.100.7"),
            ),
            (
                peer("10.0.0.1"),
                &["198.51.100.7, 10.0.0.2"],
                Some("198.51.100.7"),
            ),
            (
                peer("10.0.0.1"),
                &["203.0.113.9", "198.51.100.7"],
                Some("198.51.100.7"),
            ),
            (
                peer("10.0.0.1"),
                &["198.51.100.7:4711"],
                Some("198.51.100.7"),
            ),
            (peer("10.0.0.1"), &["[2001:db8::1]:80"], Some("2001:db8::1")),
            (peer("10.0.0.1"), &["nonsense"], Some("10.0.0.1")),
            (peer("10.0.0.1"), &[], Some("10.0.0.1")),
            (Peer::Unix, &["198.51.100.7"], Some("198.51.100.7")),
            (Peer::Unix, &[], None),
        ] {
            assert_eq!(
                seen(&limits, from, headers).as_deref(),
                client,
                "{from:?} {headers:?}"
            );
        }
    }

    #[test]
    fn a_user_is_limited_wherever_they_ask_from_and_recovers() {
        let clock = ManualClock::plausible();
        let config = LimitsConfig {
            sign_in: "1/m burst 2".parse().unwrap(),
            ..LimitsConfig::default()
        };
        let limits = limits(&config, &clock);
        let alice = Some(user_id!("@alice:example.org"));
        let from = |last: u8| Some(IpAddr::from([192, 0, 2, last]));
        assert!(limits.check(Class::SignIn, alice, from(1)).is_ok());
        assert!(limits.check(Class::SignIn, alice, from(2)).is_ok());
        let refused = limits
            .check(Class::SignIn, alice, from(3))
            .unwrap_err()
            .into_response();
        assert_eq!(refused.status().as_u16(), 429);
        assert_eq!(refused.headers()["retry-after"], "60");
        assert!(
            limits.check(Class::Any, alice, from(1)).is_ok(),
            "other requests are not concerned"
        );
        assert!(
            limits
                .check(Class::SignIn, Some(user_id!("@bob:example.org")), from(1))
                .is_ok()
        );
        clock.advance(Duration::from_secs(60));
        assert!(limits.check(Class::SignIn, alice, from(1)).is_ok());
    }

    #[test]
    fn one_ipv6_network_counts_as_one_address() {
        let config = LimitsConfig {
            sign_in: "1/m burst 1".parse().unwrap(),
            ..LimitsConfig::default()
        };
        let limits = limits(&config, &ManualClock::plausible());
        let check =
            |address: &str| limits.check(Class::SignIn, None, Some(address.parse().unwrap()));
        assert!(check("2001:db8::1").is_ok());
        assert!(check("2001:db8::ffff:2").is_err());
        assert!(check("2001:db8:0:1::1").is_ok());
        assert!(check("192.0.2.1").is_ok());
        assert!(
            check("::ffff:192.0.2.1").is_err(),
            "the same address in other clothes"
        );
    }

    #[test]
    fn switched_off_is_off() {
        let config = LimitsConfig {
            rates: false,
            sign_in: "1/d burst 1".parse().unwrap(),
            ..LimitsConfig::default()
        };
        let limits = limits(&config, &ManualClock::plausible());
        for _ in 0..100 {
            assert!(
                limits
                    .check(Class::SignIn, None, Some(IpAddr::from([192, 0, 2, 1])))
                    .is_ok()
            );
        }
    }
}
