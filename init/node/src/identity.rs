// SPDX-License-Identifier: Apache-2.0
//! Who this node is, and everything that follows from it alone.
//!
//! 128 random bits on STATE, bound to the hardware that they were made on, so that a copied stick
//! in another machine makes its own. Without STATE the hardware's hash is the identity.

use std::fmt;
use std::hash::Hasher;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use ipnet::Ipv6Net;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use siphasher::sip128::{Hasher128, SipHasher24};

/// 128 bits that are this node, written as 32 hex digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Identity(u128);

/// Why a text is no identity.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("\"{given}\" is no identity: 32 hex digits")]
pub struct IdentityError {
    given: String,
}

impl Identity {
    /// From 128 bits.
    #[must_use]
    pub const fn from_bits(bits: u128) -> Self {
        Self(bits)
    }

    /// From what the hardware says of itself: serial numbers, permanent MAC addresses, in any order.
    #[must_use]
    pub fn of_hardware(names: &[String]) -> Self {
        let mut sorted: Vec<&String> = names.iter().collect();
        sorted.sort();
        sorted.dedup();
        let mut hasher = SipHasher24::new();
        for name in sorted {
            hasher.write(name.as_bytes());
            hasher.write_u8(0);
        }
        Self(hasher.finish128().as_u128())
    }

    /// The node's address: the mesh's /64 and 64 bits of the identity's hash. Those bits are never
    /// 0, which is the subnet router's anycast address (RFC 4291 2.6.1).
    #[must_use]
    pub fn address(self, mesh: Ipv6Net) -> Ipv6Addr {
        let mask = u128::from(u64::MAX);
        let host = (self.hash("address") & mask).max(1);
        Ipv6Addr::from_bits((mesh.network().to_bits() & !mask) | host)
    }

    /// The OSPF router id: 32 bits, never 0 (RFC 5340 C.1).
    #[must_use]
    pub fn router_id(self) -> Ipv4Addr {
        let [a, b, c, d, ..] = self.hash("router id").to_be_bytes();
        Ipv4Addr::from_bits(u32::from_be_bytes([a, b, c, d]).max(1))
    }

    /// The ULA /64 of its pods until a cluster gives it one: `fd`, then 56 bits hashed from mesh
    /// and identity (RFC 4193 3.2 asks for a random global id).
    #[must_use]
    pub fn pod_prefix(self, mesh: Ipv6Net) -> Ipv6Net {
        let hashed = self.hash(&format!("pods of {}", mesh.network()));
        let bits = (0xfd_u128 << 120) | ((hashed >> 72) << 64);
        Ipv6Net::new_assert(Ipv6Addr::from_bits(bits), 64)
    }

    /// A host name of its own: `node-` and 8 hex digits.
    #[must_use]
    pub fn hostname(self) -> String {
        let [a, b, c, d, ..] = self.hash("host name").to_be_bytes();
        format!("node-{a:02x}{b:02x}{c:02x}{d:02x}")
    }

    /// machine-id(5) asks for an id of its own, so the identity itself is not told to applications.
    #[must_use]
    pub fn machine_id(self) -> String {
        format!("{:032x}", self.hash("machine id"))
    }

    fn hash(self, purpose: &str) -> u128 {
        let mut hasher = SipHasher24::new();
        hasher.write(purpose.as_bytes());
        hasher.write_u8(0);
        hasher.write(&self.0.to_be_bytes());
        hasher.finish128().as_u128()
    }
}

impl fmt::Display for Identity {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{:032x}", self.0)
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, out)
    }
}

impl FromStr for Identity {
    type Err = IdentityError;

    fn from_str(text: &str) -> Result<Self, IdentityError> {
        let refused = || IdentityError { given: text.to_owned() };
        let digits = text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        let bits = if digits { u128::from_str_radix(text, 16).ok() } else { None };
        bits.map(Self).ok_or_else(refused)
    }
}

impl<'de> Deserialize<'de> for Identity {
    fn deserialize<D: Deserializer<'de>>(source: D) -> Result<Self, D::Error> {
        String::deserialize(source)?.parse().map_err(serde::de::Error::custom)
    }
}

impl Serialize for Identity {
    fn serialize<S: Serializer>(&self, target: S) -> Result<S::Ok, S::Error> {
        target.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_hardware_in_another_order_is_the_same_machine() {
        let one = Identity::of_hardware(&["a".into(), "b".into()]);
        let two = Identity::of_hardware(&["b".into(), "a".into(), "b".into()]);
        let other = Identity::of_hardware(&["ab".into()]);
        assert_eq!(one, two);
        assert_ne!(one, other);
    }

    #[test]
    fn addresses_lie_in_their_prefixes_and_differ_between_nodes() {
        let mesh: Ipv6Net = "fd12:3456:789a:1::/64".parse().unwrap();
        let (one, two) = (Identity::from_bits(1), Identity::from_bits(2));
        assert!(mesh.contains(&one.address(mesh)));
        assert_ne!(one.address(mesh), two.address(mesh));
        assert_ne!(one.router_id(), two.router_id());
        assert_eq!(one.pod_prefix(mesh).network().octets()[0], 0xfd);
        assert_eq!(one.pod_prefix(mesh).prefix_len(), 64);
        assert_ne!(one.pod_prefix(mesh), two.pod_prefix(mesh));
        assert_eq!(one.hostname().len(), 13);
    }

    #[test]
    fn an_identity_survives_being_written_down() {
        let identity = Identity::from_bits(0x1234);
        assert_eq!(identity.to_string().parse::<Identity>(), Ok(identity));
        assert!("xyz".parse::<Identity>().is_err());
        assert!("+0000000000000000000000000000001".parse::<Identity>().is_err());
    }
}
