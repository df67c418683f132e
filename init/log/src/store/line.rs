// SPDX-License-Identifier: Apache-2.0
//! A line of a segment: eight hex digits of CRC-32, a blank, JSON, a newline.
//!
//! Text, so that a stick can be read on any laptop with any pager; a checksum on each line, so
//! that a torn one is known, and a newline, so that the next good one is found again.

/// Adds a line that holds `json`.
pub(crate) fn write(json: &[u8], lines: &mut Vec<u8>) {
    let checksum = crc32fast::hash(json);
    lines.extend_from_slice(format!("{checksum:08x} ").as_bytes());
    lines.extend_from_slice(json);
    lines.push(b'\n');
}

/// The JSON of a line (without its newline); none where it was torn.
pub(crate) fn read(line: &[u8]) -> Option<&[u8]> {
    let (checksum, rest) = line.split_at_checked(8)?;
    let json = rest.strip_prefix(b" ")?;
    let checksum = u32::from_str_radix(std::str::from_utf8(checksum).ok()?, 16).ok()?;
    (crc32fast::hash(json) == checksum).then_some(json)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_as_a_laptop_sees_it_and_a_changed_byte_is_noticed() {
        let mut lines = Vec::new();
        write(b"123456789", &mut lines);
        // The check value of CRC-32/ISO-HDLC.
        assert_eq!(lines, b"cbf43926 123456789\n");
        assert_eq!(read(b"cbf43926 123456789"), Some(&b"123456789"[..]));
        for torn in [&b"cbf43926 12345678"[..], b"cbf43926 123456780", b"cbf4", b"", b"zzzzzzzz 1"]
        {
            assert_eq!(read(torn), None);
        }
    }
}
