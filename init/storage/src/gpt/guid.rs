// SPDX-License-Identifier: Apache-2.0
//! GUIDs as GPT writes them: the first three groups little endian (RFC 9562, appendix A; UEFI A).

use std::fmt;

/// The name of a disk, of a partition, or of a kind of partition.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct Guid(u128);

impl Guid {
    /// No partition.
    pub const NONE: Self = Self(0);

    /// From the number that its digits are.
    #[must_use]
    pub const fn from_digits(digits: u128) -> Self {
        Self(digits)
    }

    /// From random bits, marked as such (RFC 9562 5.4).
    #[must_use]
    pub const fn from_random(bits: u128) -> Self {
        let marks = (0xf << 76) | (0x3 << 62);
        Self((bits & !marks) | (0x4 << 76) | (0x2 << 62))
    }

    /// From a text such as `c12a7328-f81f-11d2-ba4b-00a0c93ec93b`, in capitals or not.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let groups: Vec<&str> = text.split('-').collect();
        let lengths: Vec<usize> = groups.iter().map(|group| group.len()).collect();
        let digits = groups.concat();
        let is_plain = digits.bytes().all(|byte| byte.is_ascii_hexdigit());
        let is_formed = lengths == [8, 4, 4, 4, 12] && is_plain;
        if is_formed { u128::from_str_radix(&digits, 16).ok().map(Self) } else { None }
    }

    /// From the sixteen bytes on the disk.
    #[must_use]
    pub const fn from_disk(bytes: [u8; 16]) -> Self {
        Self(u128::from_be_bytes(swap(bytes)))
    }

    /// The sixteen bytes on the disk.
    #[must_use]
    pub const fn to_disk(self) -> [u8; 16] {
        swap(self.0.to_be_bytes())
    }
}

const fn swap(bytes: [u8; 16]) -> [u8; 16] {
    let [a, b, c, d, e, f, g, h, rest @ ..] = bytes;
    let [i, j, k, l, m, n, o, p] = rest;
    [d, c, b, a, f, e, h, g, i, j, k, l, m, n, o, p]
}

impl fmt::Display for Guid {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = format!("{:032x}", self.0);
        let group = |from: usize, to: usize| digits.get(from..to).unwrap_or_default();
        let (a, b, c) = (group(0, 8), group(8, 12), group(12, 16));
        write!(out, "{a}-{b}-{c}-{}-{}", group(16, 20), group(20, 32))
    }
}

impl fmt::Debug for Guid {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_boot_partitions_kind_is_written_as_the_specification_writes_it() {
        let kind = Guid::parse("C12A7328-F81F-11D2-BA4B-00A0C93EC93B").unwrap();
        let on_disk = *b"\x28\x73\x2a\xc1\x1f\xf8\xd2\x11\xba\x4b\x00\xa0\xc9\x3e\xc9\x3b";
        assert_eq!(kind.to_disk(), on_disk);
        assert_eq!(Guid::from_disk(on_disk), kind);
        assert_eq!(kind.to_string(), "c12a7328-f81f-11d2-ba4b-00a0c93ec93b");
    }

    #[test]
    fn what_is_no_guid_is_refused() {
        for text in ["", "c12a7328f81f11d2ba4b00a0c93ec93b", "g12a7328-f81f-11d2-ba4b-00a0c93ec93b"]
        {
            assert_eq!(Guid::parse(text), None, "{text}");
        }
    }

    #[test]
    fn a_random_one_says_that_it_is_random() {
        assert_eq!(
            Guid::from_random(u128::MAX).to_string(),
            "ffffffff-ffff-4fff-bfff-ffffffffffff"
        );
        assert_eq!(Guid::from_random(0).to_string(), "00000000-0000-4000-8000-000000000000");
    }
}
