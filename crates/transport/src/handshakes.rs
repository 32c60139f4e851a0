//! The connections of one listener that have not shaken hands. Where there are too many, a newcomer takes the place of
//! the oldest one from the network that has most of them; so no network keeps another out.

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::rc::Rc;

use tokio_util::sync::CancellationToken;

use crate::door::Origin;

/// How many sizes of networks there are.
const LEVELS: usize = 3;

/// Those of one listener. Lives on one thread.
#[derive(Clone, Default)]
pub(crate) struct Handshakes(Rc<RefCell<Pending>>);

#[derive(Default)]
struct Pending {
    /// By number, so that the oldest comes first.
    begun: BTreeMap<u64, Begun>,
    /// How many each network has, by size.
    counts: [HashMap<Network, usize>; LEVELS],
    next: u64,
}

struct Begun {
    origin: Origin,
    cut: CancellationToken,
}

/// One of them; its place is free when it is dropped.
pub(crate) struct Handshake {
    all: Handshakes,
    number: u64,
}

/// Where connections come from that one attacker can be expected to have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Network {
    V4(u32),
    V6(u128),
    Account(u32),
}

impl Handshakes {
    /// A place for one more, of so many. Says who has lost it, if somebody had to.
    pub(crate) fn begin(
        &self,
        origin: Origin,
        most: usize,
        cut: CancellationToken,
    ) -> (Handshake, Option<Origin>) {
        let mut pending = self.0.borrow_mut();
        let crowded = (pending.begun.len() >= most).then(|| pending.most_crowding()).flatten();
        let lost = crowded.and_then(|number| pending.remove(number)).map(|begun| {
            begun.cut.cancel();
            begun.origin
        });
        let number = pending.next;
        pending.next = number.wrapping_add(1);
        for (counts, network) in pending.counts.iter_mut().zip(networks(origin)) {
            let count = counts.entry(network).or_default();
            *count = count.saturating_add(1);
        }
        pending.begun.insert(number, Begun { origin, cut });
        (Handshake { all: self.clone(), number }, lost)
    }
}

impl Pending {
    /// The oldest one from the greatest of the smallest networks, in the greatest of the larger ones.
    fn most_crowding(&self) -> Option<u64> {
        let mut within: Option<Network> = None;
        for (level, counts) in self.counts.iter().enumerate() {
            let parent = level.checked_sub(1);
            let inside = counts.iter().filter(|(network, _)| {
                parent.is_none_or(|parent| within == networks_of(**network).get(parent).copied())
            });
            within = inside.max_by_key(|(_, count)| **count).map(|(network, _)| *network);
        }
        let crowding = |begun: &Begun| networks(begun.origin).last().copied() == within;
        self.begun.iter().find(|(_, begun)| crowding(begun)).map(|(number, _)| *number)
    }

    fn remove(&mut self, number: u64) -> Option<Begun> {
        let begun = self.begun.remove(&number)?;
        for (counts, network) in self.counts.iter_mut().zip(networks(begun.origin)) {
            match counts.get_mut(&network) {
                Some(count) if *count > 1 => *count = count.saturating_sub(1),
                _ => drop(counts.remove(&network)),
            }
        }
        Some(begun)
    }
}

impl Drop for Handshake {
    fn drop(&mut self) {
        self.all.0.borrow_mut().remove(self.number);
    }
}

/// The networks that an origin is in, the largest first: /16, /24 and the address of IPv4; /32, /48 and /64 of IPv6,
/// which are what a provider, a customer and a link get (RFC 6177). An account is a network of its own.
fn networks(origin: Origin) -> [Network; LEVELS] {
    networks_of(match origin {
        Origin::Account(uid) => Network::Account(uid),
        Origin::Address(ip) => match ip.to_canonical() {
            IpAddr::V4(address) => Network::V4(address.to_bits()),
            IpAddr::V6(address) => Network::V6(address.to_bits()),
        },
    })
}

fn networks_of(network: Network) -> [Network; LEVELS] {
    match network {
        Network::V4(bits) => [u32::MAX << 16, u32::MAX << 8, u32::MAX].map(|mask| Network::V4(bits & mask)),
        Network::V6(bits) => [96, 80, 64].map(|host| Network::V6(bits & (u128::MAX << host))),
        Network::Account(uid) => [Network::Account(uid); LEVELS],
    }
}

#[cfg(test)]
mod tests {
    use super::{Handshake, Handshakes, networks};
    use crate::door::Origin;
    use proptest::collection::vec;
    use proptest::prelude::{any, prop_assert, prop_assert_eq, proptest};
    use std::collections::HashMap;
    use std::net::{Ipv4Addr, Ipv6Addr};
    use tokio_util::sync::CancellationToken;

    const MOST: usize = 64;

    fn ip(text: &str) -> Origin {
        Origin::Address(text.parse().expect("an address"))
    }

    fn begin(handshakes: &Handshakes, origin: Origin) -> (Handshake, Option<Origin>, CancellationToken) {
        let cut = CancellationToken::new();
        let (handshake, lost) = handshakes.begin(origin, MOST, cut.clone());
        (handshake, lost, cut)
    }

    #[test]
    fn a_newcomer_takes_the_oldest_place_of_the_greatest_network() {
        // Each row: the crowd's origins in turn, and a newcomer from elsewhere.
        let v6 = |text: &dyn Fn(u32) -> String| (0..8).map(text).map(|text| ip(&text)).collect::<Vec<_>>();
        let crowds = [
            (vec![ip("192.0.2.1")], ip("198.51.100.1")),
            (vec![ip("127.0.0.1")], ip("127.1.0.1")),
            (v6(&|n| format!("192.0.2.{n}")), ip("192.0.3.1")),
            (v6(&|n| format!("10.1.{n}.1")), ip("10.2.0.1")),
            (v6(&|n| format!("2001:db8:1:{n}::1")), ip("2001:db8:2::1")),
            (v6(&|n| format!("2001:db8:{n}::1")), ip("2001:db9::1")),
            (vec![Origin::Account(1000)], Origin::Account(1001)),
        ];
        for (crowd, newcomer) in crowds {
            let handshakes = Handshakes::default();
            let polite: Vec<_> = (0..3).map(|_| begin(&handshakes, newcomer)).collect();
            let mut places: Vec<_> =
                (0..MOST * 4).map(|index| begin(&handshakes, crowd[index % crowd.len()])).collect();
            let (_place, lost, _) = begin(&handshakes, newcomer);
            assert!(lost.is_some_and(|lost| crowd.contains(&lost)), "{lost:?} had to go for {newcomer:?}");
            assert!(polite.iter().all(|(_, _, cut)| !cut.is_cancelled()), "{newcomer:?} had to go");
            assert!(places[0].2.is_cancelled() && !places[MOST * 4 - 1].2.is_cancelled());
            assert_eq!(handshakes.0.borrow().begun.len(), MOST);
            places.clear();
            assert_eq!(handshakes.0.borrow().begun.len(), 4, "places come back once");
        }
    }

    #[test]
    fn addresses_of_ipv4_are_the_same_on_a_socket_of_ipv6() {
        assert_eq!(networks(ip("::ffff:192.0.2.1")), networks(ip("192.0.2.1")));
        assert_eq!(networks(ip("2001:db8:1:2:3:4:5:6"))[2], networks(ip("2001:db8:1:2::"))[2]);
        assert_ne!(networks(ip("2001:db8:1:3::"))[2], networks(ip("2001:db8:1:2::"))[2]);
    }

    proptest! {
        /// Whatever a crowd does, there are never more than may be, and no network loses a place while another of the
        /// same size has more.
        #[test]
        fn only_the_greatest_networks_lose_places(
            from in vec((0..4_u8, 0..3_u8, 0..3_u8, any::<bool>()), 1..400),
        ) {
            let handshakes = Handshakes::default();
            let mut kept = Vec::new();
            for (a, b, c, is_v6) in from {
                let origin = Origin::Address(if is_v6 {
                    Ipv6Addr::new(0x2001, a.into(), b.into(), c.into(), 0, 0, 0, 1).into()
                } else {
                    Ipv4Addr::new(10, a, b, c).into()
                });
                let largest = |origin| networks(origin)[0];
                let mut counts = HashMap::new();
                for begun in handshakes.0.borrow().begun.values() {
                    *counts.entry(largest(begun.origin)).or_insert(0_usize) += 1;
                }
                let (place, lost, _) = begin(&handshakes, origin);
                kept.push(place);
                if let Some(lost) = lost {
                    prop_assert_eq!(counts[&largest(lost)], *counts.values().max().expect("some"));
                }
                prop_assert!(handshakes.0.borrow().begun.len() <= MOST);
            }
            drop(kept);
            prop_assert!(handshakes.0.borrow().counts.iter().all(HashMap::is_empty));
        }
    }
}
