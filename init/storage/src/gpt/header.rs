// SPDX-License-Identifier: Apache-2.0
//! The header of one copy of the table: 92 bytes in a sector of its own (UEFI 5.3.2).

use super::guid::Guid;

/// What a header says, its checksum already checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    /// The sector that it is in.
    pub(super) at: u64,
    /// The sector of the other copy's header.
    pub(super) other: u64,
    pub(super) first_usable: u64,
    pub(super) last_usable: u64,
    pub(super) disk: Guid,
    /// The first sector of its entries.
    pub(super) entries_at: u64,
    pub(super) entries: u32,
    pub(super) entries_crc: u32,
}

impl Header {
    /// Reads the sector `at`; none where this is no whole header that belongs there.
    pub(super) fn decode(sector: &[u8], at: u64) -> Option<Self> {
        let length = usize::try_from(number(sector, 12)?).ok()?;
        let body = sector.get(..length).filter(|_| length >= LENGTH)?;
        let crc = number(body, 16)?;
        let mut hasher = crc32fast::Hasher::new();
        hasher.update(body.get(..16)?);
        hasher.update(&[0; 4]);
        hasher.update(body.get(20..)?);
        let is_whole = body.starts_with(SIGNATURE) && hasher.finalize() == crc;
        let is_known = number(body, 8)? == REVISION && number(body, 84)? == ENTRY_LENGTH;
        let header = Self {
            at: long(body, 24)?,
            other: long(body, 32)?,
            first_usable: long(body, 40)?,
            last_usable: long(body, 48)?,
            disk: Guid::from_disk(*body.get(56..)?.first_chunk()?),
            entries_at: long(body, 72)?,
            entries: number(body, 80)?,
            entries_crc: number(body, 88)?,
        };
        let is_sane = header.at == at && (4..=MOST_ENTRIES).contains(&header.entries);
        (is_whole && is_known && is_sane).then_some(header)
    }

    /// The whole sector.
    pub(super) fn encode(&self, sector_bytes: usize) -> Vec<u8> {
        let mut head = Vec::with_capacity(sector_bytes);
        head.extend(SIGNATURE);
        head.extend(REVISION.to_le_bytes());
        head.extend(HEADER_LENGTH.to_le_bytes());
        let mut tail = vec![0; 4];
        for place in [self.at, self.other, self.first_usable, self.last_usable] {
            tail.extend(place.to_le_bytes());
        }
        tail.extend(self.disk.to_disk());
        tail.extend(self.entries_at.to_le_bytes());
        for value in [self.entries, ENTRY_LENGTH, self.entries_crc] {
            tail.extend(value.to_le_bytes());
        }
        let mut hasher = crc32fast::Hasher::new();
        hasher.update(&head);
        hasher.update(&[0; 4]);
        hasher.update(&tail);
        head.extend(hasher.finalize().to_le_bytes());
        head.extend(tail);
        head.resize(sector_bytes, 0);
        head
    }
}

fn number(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}

fn long(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}

const SIGNATURE: &[u8] = b"EFI PART";
const REVISION: u32 = 0x0001_0000;
const LENGTH: usize = 92;
/// The header's length as it stands in the header.
const HEADER_LENGTH: u32 = 92;
const ENTRY_LENGTH: u32 = 128;
/// The usual number is 128; a table of foreign bytes must not make us read megabytes.
const MOST_ENTRIES: u32 = 1024;

#[cfg(test)]
mod tests {
    use super::*;

    fn header() -> Header {
        Header {
            at: 1,
            other: 99,
            first_usable: 34,
            last_usable: 66,
            disk: Guid::from_digits(7),
            entries_at: 2,
            entries: 128,
            entries_crc: 0x1234_5678,
        }
    }

    #[test]
    fn a_header_is_read_as_it_was_written() {
        let sector = header().encode(512);
        assert_eq!(sector.len(), 512);
        assert_eq!(&sector[..16], b"EFI PART\0\0\x01\0\x5c\0\0\0");
        assert_eq!(Header::decode(&sector, 1), Some(header()));
    }

    #[test]
    fn a_flipped_bit_or_a_wrong_place_is_no_header() {
        let sector = header().encode(512);
        assert_eq!(Header::decode(&sector, 2), None);
        for bit in 0..92 * 8 {
            let mut torn = sector.clone();
            torn[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(Header::decode(&torn, 1), None, "bit {bit}");
        }
        assert_eq!(Header::decode(&[], 1), None);
        assert_eq!(Header::decode(&sector[..91], 1), None);
    }
}
