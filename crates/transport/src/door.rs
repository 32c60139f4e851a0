//! Who gets in, decided once a handshake, and what becomes of those who do not: they are counted by address, made to
//! wait, and reported. Nothing here grows with their number.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use omq::{AuthenticationResult, AuthenticationStatus, MechanismPeerInfo, MonitorEvent, PeerIdent, Socket};
use rustix::process::{Resource, getrlimit, setrlimit};
use tokio::sync::mpsc;
use wire::PublicKey;

use crate::account::Account;
use crate::limits::{
    FAILURE_MEMORY, FIRST_DELAY, FREE_FAILURES, MAX_CONNECTIONS, MAX_DELAY, MAX_FAILING_ADDRESSES,
    MAX_PENDING_HANDSHAKES, MAX_REASON_BYTES, MAX_REPORTS_AN_INTERVAL, MAX_SLOWED, REPORT_INTERVAL,
    RESERVED_DESCRIPTORS,
};
use crate::peer::Sender;

/// Says whether somebody who is known by a key or an account may connect. Asked on another thread than the one that
/// receives.
pub type Admission = Arc<dyn Fn(&Sender) -> bool + Send + Sync>;

/// Where a handshake came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Origin {
    /// An address of a network.
    Address(IpAddr),
    /// An account of this machine, by its uid.
    Account(u32),
}

/// A handshake that failed. Not every one is reported: the first of an address, the second, the fourth, and so on.
#[derive(Clone, Debug)]
pub struct FailedHandshake {
    /// Where it came from.
    pub origin: Origin,
    /// What was wrong.
    pub reason: String,
    /// The key that the peer proved to have, where it came that far.
    pub key: Option<PublicKey>,
    /// Recent handshakes that failed from there, this one included: from its account, IPv4 address or IPv6 /64
    /// network. Of those that found no room: how many in a row, from anywhere.
    pub failures: u64,
    /// Failures that were not reported because there were too many at a time, since the last one that was.
    pub unreported: u64,
}

/// What all listeners of a server share.
pub(crate) struct Door {
    admits: Admission,
    connections: AtomicUsize,
    room: Room,
    /// Handshakes in a row that found no room.
    turned_away: AtomicU64,
    slowed: AtomicUsize,
    failures: Mutex<Failures>,
    reports: mpsc::Sender<FailedHandshake>,
}

/// How many connections a server has descriptors for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Room {
    /// Connections that have shaken hands, of all listeners.
    connections: usize,
    /// Connections of one listener that have not yet.
    pub(crate) pending: usize,
}

/// Why a peer whose handshake is correct does not get in.
#[derive(Clone, Copy)]
enum Denial {
    UnknownKey,
    UnknownAccount,
    DeclaredIdentity,
    NoRoom,
}

/// One of the connections that are counted; given back when it is dropped.
pub(crate) struct Entered(Arc<Door>);

struct Failures {
    by_origin: HashMap<Origin, Failing>,
    /// How many were turned away here, so that the library's word of them is not counted again.
    refused: HashMap<Origin, u32>,
    reports: Reports,
}

/// How many failures have been reported in this minute.
struct Reports {
    since: Instant,
    count: u32,
    unreported: u64,
}

struct Failing {
    count: u64,
    last: Instant,
}

impl Door {
    /// For so many listeners.
    pub(crate) fn new(admits: Admission, reports: mpsc::Sender<FailedHandshake>, listeners: usize) -> Self {
        Self {
            admits,
            connections: AtomicUsize::new(0),
            room: Room::for_descriptors(raise_descriptors(), listeners),
            turned_away: AtomicU64::new(0),
            slowed: AtomicUsize::new(0),
            failures: Mutex::new(Failures::new(Instant::now())),
            reports,
        }
    }

    pub(crate) fn room(&self) -> Room {
        self.room
    }

    /// The decision on a plain-text connection, which has proved nothing: only whether there is room.
    pub(crate) fn let_in(&self, peer: &MechanismPeerInfo) -> AuthenticationResult {
        self.decide(Sender::Local, Origin::of(peer), false)
    }

    /// The decision on a peer that has proved to have a key. Runs on a thread that may wait.
    pub(crate) fn let_in_with_key(&self, peer: &MechanismPeerInfo) -> AuthenticationResult {
        // Replies go by routing id: who chooses one could wait for what belongs to another.
        let declares_identity = peer.identity.as_ref().is_some_and(|identity| !identity.is_empty());
        self.decide(Sender::Key(PublicKey(peer.public_key)), Origin::of(peer), declares_identity)
    }

    /// The decision on an account that the kernel has named. Its routing id means nothing: replies go by connection.
    pub(crate) fn let_in_account(&self, account: Account) -> AuthenticationResult {
        self.decide(Sender::Account(account), Some(Origin::Account(account.uid)), false)
    }

    fn decide(
        &self,
        sender: Sender,
        origin: Option<Origin>,
        declares_identity: bool,
    ) -> AuthenticationResult {
        let denial = match sender {
            Sender::Key(_) if !(self.admits)(&sender) => Denial::UnknownKey,
            Sender::Account(_) if !(self.admits)(&sender) => Denial::UnknownAccount,
            _ if declares_identity => Denial::DeclaredIdentity,
            _ if self.connections.load(Ordering::Relaxed) >= self.room.connections => Denial::NoRoom,
            _ => {
                self.turned_away.store(0, Ordering::Relaxed);
                return AuthenticationResult::allow();
            }
        };
        if let Some(origin) = origin {
            self.failures().note_refused(origin);
            let key = if let Sender::Key(key) = sender { Some(key) } else { None };
            self.deny(denial, origin, key);
        }
        let mut result = AuthenticationResult::deny();
        if matches!(denial, Denial::NoRoom) {
            result.status = AuthenticationStatus::TemporaryFailure;
        }
        result
    }

    /// Counts and reports a denial, and lets whoever is at fault wait for it.
    fn deny(&self, denial: Denial, origin: Origin, key: Option<PublicKey>) {
        match denial {
            Denial::NoRoom => {
                let turned_away = self.turned_away.fetch_add(1, Ordering::Relaxed).saturating_add(1);
                self.report(origin, denial.reason(), key, turned_away);
            }
            Denial::UnknownKey | Denial::UnknownAccount | Denial::DeclaredIdentity => {
                let failures = self.failures().count(network(origin), Instant::now());
                self.report(origin, denial.reason(), key, failures);
                self.slow_down(failures);
            }
        }
    }

    /// Says that a handshake failed, if this one is to be told: of each origin the first, the second, the fourth and
    /// so on, and of all together no more than the log can take.
    fn report(&self, origin: Origin, reason: &str, key: Option<PublicKey>, failures: u64) {
        if !failures.is_power_of_two() {
            return;
        }
        let Some(unreported) = self.failures().reports.take(Instant::now()) else { return };
        let mut reason = reason.to_owned();
        reason.truncate(reason.floor_char_boundary(MAX_REASON_BYTES));
        // Where nobody keeps up with reading, the next one that is told has the whole count.
        let _ = self.reports.try_send(FailedHandshake { origin, reason, key, failures, unreported });
    }

    /// Keeps an origin waiting that has failed too often. Only so many threads wait; where there are more to slow
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

    /// Counts a handshake that the library ended, unless it was turned away here.
    pub(crate) fn note_failure(&self, origin: Origin, reason: &str) {
        let is_counted = self.failures().forget_refused(origin);
        if !is_counted {
            let failures = self.failures().count(network(origin), Instant::now());
            self.report(origin, reason, None, failures);
        }
    }

    /// Counts the handshakes of a socket that the library ended, until the socket is closed.
    pub(crate) async fn watch_failures(self: Arc<Self>, socket: Socket) {
        let mut events = socket.monitor();
        drop(socket);
        loop {
            match events.recv().await {
                Ok(MonitorEvent::HandshakeFailed {
                    peer_ident: PeerIdent::Socket(address), reason, ..
                }) => self.note_failure(Origin::Address(address.ip()), &reason),
                Ok(_) | Err(omq::MonitorRecvError::Lagged(_)) => {}
                Err(_) => return,
            }
        }
    }

    /// Counts a connection of an account among those of all listeners.
    pub(crate) fn enter(self: &Arc<Self>) -> Entered {
        self.connections.fetch_add(1, Ordering::Relaxed);
        Entered(Arc::clone(self))
    }

    /// Keeps the count of connections that [`Self::let_in`] reads. It may lag by as many as are in the middle of a
    /// handshake.
    pub(crate) async fn count_connections(self: Arc<Self>, socket: Socket) {
        let mut counted = 0;
        let mut seen = socket.connections_generation();
        while let Ok(generation) = socket.connections_changed(seen).await {
            seen = generation;
            let ready = socket.ready_peer_count();
            // In one step, so that nobody reads a sum that never was.
            self.connections.fetch_add(ready.wrapping_sub(counted), Ordering::Relaxed);
            counted = ready;
        }
        self.connections.fetch_sub(counted, Ordering::Relaxed);
    }

    fn failures(&self) -> MutexGuard<'_, Failures> {
        // What a panic could leave half done here is a count.
        self.failures.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Entered {
    fn drop(&mut self) {
        self.0.connections.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Origin {
    fn of(peer: &MechanismPeerInfo) -> Option<Self> {
        peer.peer_address.as_deref()?.parse().ok().map(Self::Address)
    }
}

impl Denial {
    fn reason(self) -> &'static str {
        match self {
            Self::UnknownKey => "no user has this key",
            Self::UnknownAccount => "no user has this account's uid or group",
            Self::DeclaredIdentity => {
                "the client declares a routing id, which is refused where keys are used"
            }
            Self::NoRoom => "all connections are taken that the server has descriptors for",
        }
    }
}

impl Room {
    /// What is left of these descriptors for connections. Where there are few, a quarter of it is for those that have
    /// not shaken hands.
    fn for_descriptors(descriptors: usize, listeners: usize) -> Self {
        let left = descriptors.saturating_sub(RESERVED_DESCRIPTORS);
        let listeners = listeners.max(1);
        let pending = left.div_euclid(4).div_euclid(listeners).clamp(1, MAX_PENDING_HANDSHAKES);
        let connections = left.saturating_sub(pending.saturating_mul(listeners)).clamp(1, MAX_CONNECTIONS);
        Self { connections, pending }
    }
}

impl Reports {
    /// How many have not been reported, if the next one may be.
    fn take(&mut self, now: Instant) -> Option<u64> {
        if now.saturating_duration_since(self.since) >= REPORT_INTERVAL {
            self.since = now;
            self.count = 0;
        }
        if self.count >= MAX_REPORTS_AN_INTERVAL {
            self.unreported = self.unreported.saturating_add(1);
            return None;
        }
        self.count = self.count.saturating_add(1);
        Some(std::mem::take(&mut self.unreported))
    }
}

impl Failures {
    fn new(now: Instant) -> Self {
        let reports = Reports { since: now, count: 0, unreported: 0 };
        Self { by_origin: HashMap::new(), refused: HashMap::new(), reports }
    }

    fn count(&mut self, origin: Origin, now: Instant) -> u64 {
        if !self.by_origin.contains_key(&origin) && self.by_origin.len() >= MAX_FAILING_ADDRESSES {
            self.by_origin.retain(|_, failing| failing.is_remembered(now));
            let oldest =
                self.by_origin.iter().min_by_key(|(_, failing)| failing.last).map(|(origin, _)| *origin);
            if let Some(oldest) = oldest.filter(|_| self.by_origin.len() >= MAX_FAILING_ADDRESSES) {
                self.by_origin.remove(&oldest);
            }
        }
        let failing = self.by_origin.entry(origin).or_insert(Failing { count: 0, last: now });
        if !failing.is_remembered(now) {
            failing.count = 0;
        }
        failing.count = failing.count.saturating_add(1);
        failing.last = now;
        failing.count
    }

    fn note_refused(&mut self, origin: Origin) {
        if self.refused.len() >= MAX_FAILING_ADDRESSES {
            self.refused.clear();
        }
        let refused = self.refused.entry(origin).or_default();
        *refused = refused.saturating_add(1);
    }

    /// Whether one from there was turned away here, which is then settled.
    fn forget_refused(&mut self, origin: Origin) -> bool {
        let Some(refused) = self.refused.get_mut(&origin) else { return false };
        *refused = refused.saturating_sub(1);
        if *refused == 0 {
            self.refused.remove(&origin);
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

/// What one attacker can be expected to have: an account, an IPv4 address, or a /64 of IPv6 (RFC 6177).
fn network(origin: Origin) -> Origin {
    let Origin::Address(ip) = origin else { return origin };
    Origin::Address(match ip.to_canonical() {
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0).into()
        }
        v4 @ IpAddr::V4(_) => v4,
    })
}

/// Raises the limit of this process as far as it may be, and returns it; commands get the usual one back.
fn raise_descriptors() -> usize {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    // Where it cannot be raised the old one holds.
    let _ = setrlimit(Resource::Nofile, limit);
    let descriptors = getrlimit(Resource::Nofile).current;
    descriptors.map_or(usize::MAX, |limit| usize::try_from(limit).unwrap_or(usize::MAX))
}

#[cfg(test)]
mod tests {
    use super::{Failures, Origin, Room, delay, network};
    use crate::limits::{
        FAILURE_MEMORY, FREE_FAILURES, HANDSHAKE_TIMEOUT, MAX_CONNECTIONS, MAX_DELAY, MAX_FAILING_ADDRESSES,
        MAX_PENDING_HANDSHAKES, MAX_REPORTS_AN_INTERVAL, REPORT_INTERVAL,
    };
    use std::net::Ipv4Addr;
    use std::time::{Duration, Instant};

    fn ip(text: &str) -> Origin {
        Origin::Address(text.parse().expect("an address"))
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
        let start = Instant::now();
        let mut failures = Failures::new(start);
        assert_eq!(failures.count(ip("192.0.2.1"), start), 1);
        assert_eq!(failures.count(ip("192.0.2.1"), start), 2);
        assert_eq!(failures.count(ip("192.0.2.2"), start), 1);
        assert_eq!(failures.count(ip("192.0.2.1"), start + FAILURE_MEMORY), 1);
    }

    #[test]
    fn many_addresses_take_no_more_memory_than_the_limit() {
        let mut now = Instant::now();
        let mut failures = Failures::new(now);
        for bits in 0..5_000 {
            now += Duration::from_micros(1);
            failures.count(Origin::Address(Ipv4Addr::from_bits(bits).into()), now);
        }
        assert_eq!(failures.by_origin.len(), MAX_FAILING_ADDRESSES);
        for bits in 0..5_000 {
            failures.note_refused(Origin::Address(Ipv4Addr::from_bits(bits).into()));
        }
        assert!(failures.refused.len() <= MAX_FAILING_ADDRESSES);
    }

    #[test]
    fn connections_leave_descriptors_for_commands_and_for_handshakes() {
        let room = |descriptors, listeners| {
            let room = Room::for_descriptors(descriptors, listeners);
            (room.connections, room.pending)
        };
        assert_eq!(room(1 << 20, 1), (MAX_CONNECTIONS, MAX_PENDING_HANDSHAKES));
        assert_eq!(room(1024, 1), (384, 128));
        assert_eq!(room(1024, 8), (384, 16));
        assert_eq!(room(16_000, 2), (16_000 - 512 - 2 * 1024, 1024));
        assert_eq!(room(100, 1), (1, 1));
    }

    #[test]
    fn the_log_gets_no_more_of_them_than_it_can_take() {
        let mut now = Instant::now();
        let mut reports = Failures::new(now).reports;
        let told = (0..10_000).filter_map(|_| reports.take(now)).count();
        assert_eq!(told, MAX_REPORTS_AN_INTERVAL as usize);
        now += REPORT_INTERVAL;
        assert_eq!(reports.take(now), Some(10_000 - u64::from(MAX_REPORTS_AN_INTERVAL)));
        assert_eq!(reports.take(now), Some(0));
    }

    #[test]
    fn a_refusal_is_counted_once() {
        let mut failures = Failures::new(Instant::now());
        failures.note_refused(ip("192.0.2.1"));
        failures.note_refused(ip("192.0.2.1"));
        let settled = [(); 3].map(|()| failures.forget_refused(ip("192.0.2.1")));
        assert_eq!(settled, [true, true, false]);
        assert!(failures.refused.is_empty());
    }
}
