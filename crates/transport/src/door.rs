//! Who gets in, decided once a handshake, and what becomes of those who do not: they are counted by address, made to
//! wait, and reported. Nothing here grows with their number.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use omq::{AuthenticationResult, AuthenticationStatus, MechanismPeerInfo, MonitorEvent, PeerIdent, Socket};
use rustix::process::{Resource, getrlimit, setrlimit};
use tokio::sync::mpsc;
use wire::PublicKey;

use crate::limits::{
    FAILURE_MEMORY, FIRST_DELAY, FREE_FAILURES, MAX_CONNECTIONS, MAX_DELAY, MAX_FAILING_ADDRESSES,
    MAX_REASON_BYTES, MAX_SLOWED, RESERVED_DESCRIPTORS,
};

/// Says whether a key is one that may connect. Asked on another thread than the one that receives.
pub type Admission = Arc<dyn Fn(&PublicKey) -> bool + Send + Sync>;

/// A handshake that failed. Not every one is reported: the first of an address, the second, the fourth, and so on.
#[derive(Clone, Debug)]
pub struct FailedHandshake {
    /// Where it came from.
    pub address: IpAddr,
    /// What was wrong.
    pub reason: String,
    /// The key that the peer proved to have, where it came that far.
    pub key: Option<PublicKey>,
    /// Handshakes that failed from there of late, this one included: from its IPv4 address or IPv6 /64 network.
    pub failures: u64,
}

/// What all listeners of a server share.
pub(crate) struct Door {
    admits: Admission,
    connections: AtomicUsize,
    most_connections: usize,
    slowed: AtomicUsize,
    failures: Mutex<Failures>,
    reports: mpsc::Sender<FailedHandshake>,
}

/// Why a peer whose handshake is correct does not get in.
#[derive(Clone, Copy)]
enum Denial {
    UnknownKey,
    DeclaredIdentity,
}

#[derive(Default)]
struct Failures {
    by_network: HashMap<IpAddr, Failing>,
    /// How many were turned away here by address, so that the library's word of them is not counted again.
    refused: HashMap<IpAddr, u32>,
}

struct Failing {
    count: u64,
    last: Instant,
}

impl Door {
    pub(crate) fn new(admits: Admission, reports: mpsc::Sender<FailedHandshake>) -> Self {
        Self {
            admits,
            connections: AtomicUsize::new(0),
            most_connections: most_connections(),
            slowed: AtomicUsize::new(0),
            failures: Mutex::default(),
            reports,
        }
    }

    /// The decision on a plain-text connection, which has proved nothing: only whether there is room.
    pub(crate) fn let_in(&self) -> AuthenticationResult {
        let mut result = AuthenticationResult::allow();
        if self.connections.load(Ordering::Relaxed) >= self.most_connections {
            result.status = AuthenticationStatus::TemporaryFailure;
        }
        result
    }

    /// The decision on a peer that has proved to have a key. Runs on a thread that may wait.
    pub(crate) fn let_in_with_key(&self, peer: &MechanismPeerInfo) -> AuthenticationResult {
        let key = PublicKey(peer.public_key);
        // Replies go by routing id: who chooses one could wait for what belongs to another.
        let declares_identity = peer.identity.as_ref().is_some_and(|identity| !identity.is_empty());
        let denial = match (declares_identity, (self.admits)(&key)) {
            (false, true) => return self.let_in(),
            (_, false) => Denial::UnknownKey,
            (true, true) => Denial::DeclaredIdentity,
        };
        let address = peer.peer_address.as_deref().and_then(|address| address.parse().ok());
        if let Some(address) = address {
            let failures = self.count(address, denial.reason(), Some(key));
            self.slow_down(failures);
        }
        AuthenticationResult::deny()
    }

    /// Counts one more failure of this address and says so, if this one is to be told.
    fn count(&self, address: IpAddr, reason: &str, key: Option<PublicKey>) -> u64 {
        let count = {
            let mut failures = self.failures();
            if key.is_some() {
                failures.note_refused(address);
            }
            failures.count(network(address), Instant::now())
        };
        if count.is_power_of_two() {
            let mut reason = reason.to_owned();
            reason.truncate(reason.floor_char_boundary(MAX_REASON_BYTES));
            // Where nobody keeps up with reading, the next one that is told has the whole count.
            let _ = self.reports.try_send(FailedHandshake { address, reason, key, failures: count });
        }
        count
    }

    /// Keeps an address waiting that has failed too often. Only so many threads wait; where there are more to slow
    /// down, the others are turned away at once.
    fn slow_down(&self, failures: u64) {
        let delay = delay(failures);
        if delay.is_zero() {
            return;
        }
        if self.slowed.fetch_add(1, Ordering::Relaxed) < MAX_SLOWED {
            std::thread::sleep(delay);
        }
        self.slowed.fetch_sub(1, Ordering::Relaxed);
    }

    /// Counts the handshakes of a socket that the library ended, until the socket is closed.
    pub(crate) async fn watch_failures(self: Arc<Self>, socket: Socket) {
        let mut events = socket.monitor();
        drop(socket);
        loop {
            match events.recv().await {
                Ok(MonitorEvent::HandshakeFailed {
                    peer_ident: PeerIdent::Socket(address), reason, ..
                }) => {
                    let counted = self.failures().forget_refused(address.ip());
                    if !counted {
                        self.count(address.ip(), &reason, None);
                    }
                }
                Ok(_) | Err(omq::MonitorRecvError::Lagged(_)) => {}
                Err(_) => return,
            }
        }
    }

    /// Keeps the count of connections that [`Self::let_in`] reads. It may lag by as many as are in the middle of a
    /// handshake.
    pub(crate) async fn count_connections(self: Arc<Self>, socket: Socket) {
        let mut counted = 0;
        let mut seen = socket.connections_generation();
        while let Ok(generation) = socket.connections_changed(seen).await {
            seen = generation;
            let ready = socket.ready_peer_count();
            self.connections.fetch_add(ready, Ordering::Relaxed);
            self.connections.fetch_sub(counted, Ordering::Relaxed);
            counted = ready;
        }
        self.connections.fetch_sub(counted, Ordering::Relaxed);
    }

    fn failures(&self) -> MutexGuard<'_, Failures> {
        // What a panic could leave half done here is a count.
        self.failures.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Denial {
    fn reason(self) -> &'static str {
        match self {
            Self::UnknownKey => "no user has this key",
            Self::DeclaredIdentity => {
                "the client declares a routing id, which is refused where keys are used"
            }
        }
    }
}

impl Failures {
    fn count(&mut self, network: IpAddr, now: Instant) -> u64 {
        if !self.by_network.contains_key(&network) && self.by_network.len() >= MAX_FAILING_ADDRESSES {
            self.by_network.retain(|_, failing| failing.is_remembered(now));
            let oldest = self.by_network.iter().min_by_key(|(_, failing)| failing.last).map(|(ip, _)| *ip);
            if let Some(oldest) = oldest.filter(|_| self.by_network.len() >= MAX_FAILING_ADDRESSES) {
                self.by_network.remove(&oldest);
            }
        }
        let failing = self.by_network.entry(network).or_insert(Failing { count: 0, last: now });
        if !failing.is_remembered(now) {
            failing.count = 0;
        }
        failing.count = failing.count.saturating_add(1);
        failing.last = now;
        failing.count
    }

    fn note_refused(&mut self, address: IpAddr) {
        if self.refused.len() >= MAX_FAILING_ADDRESSES {
            self.refused.clear();
        }
        let refused = self.refused.entry(address).or_default();
        *refused = refused.saturating_add(1);
    }

    /// Whether one from this address was turned away here, which is then settled.
    fn forget_refused(&mut self, address: IpAddr) -> bool {
        let Some(refused) = self.refused.get_mut(&address) else { return false };
        *refused = refused.saturating_sub(1);
        if *refused == 0 {
            self.refused.remove(&address);
        }
        true
    }
}

impl Failing {
    fn is_remembered(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.last) < FAILURE_MEMORY
    }
}

/// Twice as long for each failure past the free ones.
fn delay(failures: u64) -> Duration {
    match failures.checked_sub(FREE_FAILURES) {
        None | Some(0) => Duration::ZERO,
        Some(past) => {
            let doublings = u32::try_from(past.saturating_sub(1)).unwrap_or(u32::MAX);
            2_u32
                .checked_pow(doublings)
                .and_then(|factor| FIRST_DELAY.checked_mul(factor))
                .map_or(MAX_DELAY, |delay| delay.min(MAX_DELAY))
        }
    }
}

/// What one attacker can be expected to have: an IPv4 address, or a /64 of IPv6 (RFC 6177).
fn network(ip: IpAddr) -> IpAddr {
    match ip.to_canonical() {
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0).into()
        }
        v4 @ IpAddr::V4(_) => v4,
    }
}

/// As many as there are descriptors for, with some left for commands. The limit of this process is raised as far as it
/// may be; commands get the usual one back.
fn most_connections() -> usize {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    // Where it cannot be raised the old one holds.
    let _ = setrlimit(Resource::Nofile, limit);
    let descriptors = getrlimit(Resource::Nofile).current.and_then(|limit| usize::try_from(limit).ok());
    let room =
        descriptors.map_or(MAX_CONNECTIONS, |descriptors| descriptors.saturating_sub(RESERVED_DESCRIPTORS));
    room.clamp(1, MAX_CONNECTIONS)
}

#[cfg(test)]
mod tests {
    use super::{Failures, delay, network};
    use crate::limits::{FAILURE_MEMORY, FREE_FAILURES, HANDSHAKE_TIMEOUT, MAX_DELAY, MAX_FAILING_ADDRESSES};
    use std::net::{IpAddr, Ipv4Addr};
    use std::time::{Duration, Instant};

    fn ip(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    #[test]
    fn an_attacker_is_an_address_or_a_network_of_ipv6() {
        assert_eq!(network(ip("192.0.2.1")), ip("192.0.2.1"));
        assert_eq!(network(ip("::ffff:192.0.2.1")), ip("192.0.2.1"));
        assert_eq!(network(ip("2001:db8:1:2:3:4:5:6")), ip("2001:db8:1:2::"));
        assert_ne!(network(ip("2001:db8:1:3::1")), network(ip("2001:db8:1:2::1")));
    }

    #[test]
    fn waiting_doubles_and_ends_before_the_handshake_does() {
        assert_eq!(delay(FREE_FAILURES), Duration::ZERO);
        assert!(delay(FREE_FAILURES + 1) > Duration::ZERO);
        assert_eq!(delay(FREE_FAILURES + 2), delay(FREE_FAILURES + 1) * 2);
        assert_eq!(delay(u64::MAX), MAX_DELAY);
        assert!(MAX_DELAY < HANDSHAKE_TIMEOUT);
    }

    #[test]
    fn failures_are_counted_by_address_and_forgotten() {
        let mut failures = Failures::default();
        let start = Instant::now();
        assert_eq!(failures.count(ip("192.0.2.1"), start), 1);
        assert_eq!(failures.count(ip("192.0.2.1"), start), 2);
        assert_eq!(failures.count(ip("192.0.2.2"), start), 1);
        assert_eq!(failures.count(ip("192.0.2.1"), start + FAILURE_MEMORY), 1);
    }

    #[test]
    fn many_addresses_take_no_more_memory_than_the_limit() {
        let mut failures = Failures::default();
        let mut now = Instant::now();
        for bits in 0..5_000 {
            now += Duration::from_micros(1);
            failures.count(Ipv4Addr::from_bits(bits).into(), now);
        }
        assert_eq!(failures.by_network.len(), MAX_FAILING_ADDRESSES);
        for bits in 0..5_000 {
            failures.note_refused(Ipv4Addr::from_bits(bits).into());
        }
        assert!(failures.refused.len() <= MAX_FAILING_ADDRESSES);
    }

    #[test]
    fn a_refusal_is_counted_once() {
        let mut failures = Failures::default();
        failures.note_refused(ip("192.0.2.1"));
        failures.note_refused(ip("192.0.2.1"));
        let settled = [(); 3].map(|()| failures.forget_refused(ip("192.0.2.1")));
        assert_eq!(settled, [true, true, false]);
        assert!(failures.refused.is_empty());
    }
}
