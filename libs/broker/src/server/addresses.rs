//! How many connections each address has: nobody takes every place there is.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex};

use crate::sync::lock;

/// The bits of an IPv6 address that are its network: the others are for whoever is there to choose.
const NETWORK_BITS: u128 = !0 << 64;

/// The connections of all addresses.
#[derive(Debug)]
pub(crate) struct Addresses {
    of_each_max: usize,
    open: Mutex<HashMap<IpAddr, usize>>,
}

/// A connection's place, which is free again when this is dropped.
#[derive(Debug)]
pub(crate) struct Place {
    of: Arc<Addresses>,
    address: IpAddr,
}

impl Addresses {
    pub(crate) fn new(of_each_max: usize) -> Arc<Self> {
        Arc::new(Self { of_each_max, open: Mutex::default() })
    }

    /// A place for a connection from this address; `None` if it has as many as it may have.
    pub(crate) fn enter(self: &Arc<Self>, address: IpAddr) -> Option<Place> {
        let address = owner_of(address);
        let mut open = lock(&self.open);
        let count = open.get(&address).copied().unwrap_or_default();
        if count >= self.of_each_max {
            return None;
        }
        open.insert(address, count + 1);
        Some(Place { of: Arc::clone(self), address })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut open = lock(&self.of.open);
        if let Some(count) = open.get_mut(&self.address) {
            *count -= 1;
            if *count == 0 {
                open.remove(&self.address);
            }
        }
    }
}

/// The address that stands for all that are in one hand.
fn owner_of(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() & NETWORK_BITS).into(),
        address => address,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
    use super::*;

    #[test]
    fn each_address_has_its_own_places_and_gets_them_back() {
        let addresses = Addresses::new(2);
        let enter = |address: &str| addresses.enter(address.parse().unwrap());
        let (one, other) = (enter("10.0.0.1").unwrap(), enter("::ffff:10.0.0.1").unwrap());
        assert!(enter("10.0.0.1").is_none(), "it is the same, however it is written");
        let another = enter("10.0.0.2").unwrap();
        drop(one);
        let again = enter("10.0.0.1").unwrap();
        assert!(enter("10.0.0.1").is_none());
        drop((other, another, again));
        assert!(lock(&addresses.open).is_empty(), "nothing is kept of who is gone");
    }

    #[test]
    fn addresses_of_one_ipv6_network_are_one() {
        let addresses = Addresses::new(1);
        let _place = addresses.enter("2001:db8::1".parse().unwrap()).unwrap();
        assert!(addresses.enter("2001:db8::ffff:2".parse().unwrap()).is_none());
        assert!(addresses.enter("2001:db8:0:1::1".parse().unwrap()).is_some());
    }
}
