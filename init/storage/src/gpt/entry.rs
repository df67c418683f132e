// SPDX-License-Identifier: Apache-2.0
//! One partition of the table: 128 bytes (UEFI 5.3.3). All of them are kept, known or not.

use super::guid::Guid;

/// A partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// What it is for.
    pub kind: Guid,
    /// Its own name, which the boot loader and `PARTUUID=` use.
    pub guid: Guid,
    /// Its first sector.
    pub first: u64,
    /// Its last sector, inclusive.
    pub last: u64,
    /// Flags; those from bit 48 belong to the kind.
    pub attributes: u64,
    /// What a person calls it, UTF-16 and zeros.
    pub name: [u16; 36],
}

/// Set once the file system inside is complete. Until then nobody has written anything there that
/// is worth keeping, so a mkfs that was cut short may simply run again.
pub const MADE: u64 = 1 << 48;

impl Entry {
    /// Whether its file system is complete.
    #[must_use]
    pub const fn is_made(&self) -> bool {
        self.attributes & MADE != 0
    }

    /// How many sectors it has.
    #[must_use]
    pub const fn sectors(&self) -> u64 {
        self.last.saturating_sub(self.first).saturating_add(1)
    }

    /// The name on the disk for a text of at most 36 UTF-16 units; the rest is cut.
    #[must_use]
    pub fn name_from(text: &str) -> [u16; 36] {
        let mut name = [0; 36];
        for (place, unit) in name.iter_mut().zip(text.encode_utf16()) {
            *place = unit;
        }
        name
    }

    pub(super) fn decode(bytes: &[u8; LENGTH]) -> Option<Self> {
        let (kind, rest) = bytes.split_first_chunk::<16>()?;
        let (guid, rest) = rest.split_first_chunk::<16>()?;
        let (first, rest) = rest.split_first_chunk::<8>()?;
        let (last, rest) = rest.split_first_chunk::<8>()?;
        let (attributes, units) = rest.split_first_chunk::<8>()?;
        let mut name = [0; 36];
        for (place, unit) in name.iter_mut().zip(units.as_chunks::<2>().0) {
            *place = u16::from_le_bytes(*unit);
        }
        let kind = Guid::from_disk(*kind);
        (kind != Guid::NONE).then(|| Self {
            kind,
            guid: Guid::from_disk(*guid),
            first: u64::from_le_bytes(*first),
            last: u64::from_le_bytes(*last),
            attributes: u64::from_le_bytes(*attributes),
            name,
        })
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(LENGTH);
        bytes.extend(self.kind.to_disk());
        bytes.extend(self.guid.to_disk());
        bytes.extend(self.first.to_le_bytes());
        bytes.extend(self.last.to_le_bytes());
        bytes.extend(self.attributes.to_le_bytes());
        bytes.extend(self.name.iter().flat_map(|unit| unit.to_le_bytes()));
        bytes
    }
}

/// The only length that anyone writes; others are allowed by the specification and refused here.
pub(super) const LENGTH: usize = 128;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_is_read_as_it_was_written_and_an_empty_one_is_none() {
        let entry = Entry {
            kind: Guid::from_digits(1),
            guid: Guid::from_digits(2),
            first: 2048,
            last: 4095,
            attributes: MADE | 1,
            name: Entry::name_from("kubermesh-state"),
        };
        let bytes = entry.encode();
        assert_eq!(bytes.len(), 128);
        assert_eq!(bytes[32..40], [0, 8, 0, 0, 0, 0, 0, 0]);
        assert_eq!(bytes[54], 1, "the mark is bit 48: the seventh byte of the flags");
        assert_eq!(&bytes[56..60], b"k\0u\0");
        assert_eq!(Entry::decode(bytes.as_slice().try_into().unwrap()), Some(entry.clone()));
        assert_eq!((entry.sectors(), entry.is_made()), (2048, true));
        assert_eq!(Entry::decode(&[0; 128]), None);
    }
}
