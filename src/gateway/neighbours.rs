//! How many connections one address has. Owns the count and who is exempt from it; what is said to one too many is
//! left to [`crate::gateway::connection`].

use std::collections::HashMap;
use std::net::IpAddr;
use std::net::Ipv6Addr;
use std::sync::Arc;

use ipnet::IpNet;
use tokio::sync::OwnedSemaphorePermit;
use tokio::sync::Semaphore;

/// Everybody who has connections. Only the task that accepts them touches it.
#[derive(Debug)]
pub struct Neighbours {
    most: usize,
    houses: HashMap<IpAddr, House>,
    /// From so many on, those that have left are forgotten.
    full: usize,
}

/// One address.
#[derive(Debug)]
struct House {
    places: Arc<Semaphore>,
    /// Whether the log has it already that there are too many.
    told: bool,
}

/// Fewer are not worth tidying.
const FEW: usize = 64;

impl Neighbours {
    /// Nobody yet, and for each so many connections.
    #[must_use]
    pub fn new(most: usize) -> Self {
        Self {
            most,
            houses: HashMap::new(),
            full: FEW,
        }
    }

    /// A place for a connection from `address`, held among `places`; `false` if it has too many. Proxies that are
    /// believed speak for many and have any number.
    pub fn admit(
        &mut self,
        address: IpAddr,
        trusted: &[IpNet],
        places: &mut Vec<OwnedSemaphorePermit>,
    ) -> bool {
        let address = address.to_canonical();
        if trusted.iter().any(|net| net.contains(&address)) {
            return true;
        }
        self.tidy();
        let most = self.most;
        let house = self.houses.entry(house(address)).or_insert_with(|| House {
            places: Arc::new(Semaphore::new(most)),
            told: false,
        });
        if let Ok(place) = Arc::clone(&house.places).try_acquire_owned() {
            // It may be told again once there was much room.
            house.told &= house.places.available_permits() <= most / 2;
            places.push(place);
            return true;
        }
        if !house.told {
            house.told = true;
            // The address is a person's own affair, unless it is a proxy's, which whoever runs this knows.
            tracing::warn!(target: "formgate::gateway", limit = "limits.connections_per_address",
                "connections are turned away: their address has {most} already (if it is a proxy, list it in `trusted_proxies`)");
        }
        false
    }

    /// Forgets those who have left, now and then, so that the rest are as many at least.
    fn tidy(&mut self) {
        if self.houses.len() < self.full {
            return;
        }
        let most = self.most;
        self.houses
            .retain(|_, house| house.places.available_permits() < most);
        self.full = (2 * self.houses.len()).max(FEW);
    }
}

/// What counts as one address: over IPv6 a network of 64 bits, which is the least that anybody is given.
fn house(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(address) => {
            Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX)).into()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn admit(neighbours: &mut Neighbours, address: &str) -> Option<Vec<OwnedSemaphorePermit>> {
        let trusted = ["10.0.0.0/8".parse().expect("a network")];
        let mut places = Vec::new();
        let address = address.parse().expect("an address");
        let admitted = neighbours.admit(address, &trusted, &mut places);
        admitted.then_some(places)
    }

    #[test]
    fn each_address_has_its_places() {
        let mut all = Neighbours::new(2);
        let first = admit(&mut all, "203.0.113.9").expect("room");
        let _second = admit(&mut all, "::ffff:203.0.113.9").expect("room");
        assert!(admit(&mut all, "203.0.113.9").is_none(), "the same address");
        assert!(admit(&mut all, "203.0.113.8").is_some());
        drop(first);
        assert!(admit(&mut all, "203.0.113.9").is_some(), "room again");
        let _third = admit(&mut all, "2001:db8::1").expect("room");
        let _fourth = admit(&mut all, "2001:db8::2").expect("room");
        assert!(
            admit(&mut all, "2001:db8::ffff:1").is_none(),
            "the same network"
        );
        assert!(admit(&mut all, "2001:db8:0:1::1").is_some());
        for _ in 0..9 {
            let places = admit(&mut all, "10.1.2.3").expect("a proxy's own");
            assert!(places.is_empty(), "and none is counted");
        }
    }

    #[test]
    fn who_has_left_is_forgotten() {
        let mut all = Neighbours::new(1);
        let held = admit(&mut all, "198.51.100.1").expect("room");
        for number in 0..10_000_u32 {
            let address = std::net::Ipv4Addr::from_bits((203 << 24) + number);
            drop(admit(&mut all, &address.to_string()).expect("room"));
        }
        assert!(all.houses.len() <= FEW, "{}", all.houses.len());
        assert!(
            admit(&mut all, "198.51.100.1").is_none(),
            "who stays is not"
        );
        drop(held);
    }
}
