// SPDX-License-Identifier: Apache-2.0
//! Joins kernel, initramfs and command line to systemd's stub: a unified kernel image
//! (UAPI.5, <https://uapi-group.org/specifications/specs/unified_kernel_image/>).
//!
//! The stub is a PE program with room in its header for more sections; each part becomes one.

use anyhow::{Context, Result, ensure};

/// A part, by the section's name.
#[derive(Clone, Copy, Debug)]
pub struct Section<'a> {
    /// With its dot, at most eight characters.
    pub name: &'a str,
    /// As it is.
    pub data: &'a [u8],
}

/// Adds the sections behind the stub's own, in this order.
///
/// # Errors
/// The stub is no PE program for 64 bits, or has no room for more sections in its header.
pub fn join(stub: &[u8], sections: &[Section<'_>]) -> Result<Vec<u8>> {
    let mut image = stub.to_vec();
    let mut header = Header::of(&image)?;
    for section in sections {
        add(&mut image, &mut header, section).with_context(|| format!("add {}", section.name))?;
    }
    set_u16(&mut image, header.coff + 2, header.sections)?;
    set_u32(&mut image, header.optional + SIZE_OF_IMAGE, header.memory_end)?;
    // Only drivers have their checksum looked at; a wrong one is worse than none.
    set_u32(&mut image, header.optional + CHECKSUM, 0)?;
    Ok(image)
}

/// Where in a PE file things are, and how far it reaches.
struct Header {
    coff: usize,
    optional: usize,
    sections: u16,
    table_end: usize,
    table_limit: usize,
    section_alignment: u32,
    file_alignment: u32,
    memory_end: u32,
}

impl Header {
    fn of(image: &[u8]) -> Result<Self> {
        let pe = u32_at(image, 0x3c)? as usize;
        ensure!(image.get(pe..pe + 4) == Some(b"PE\0\0"), "the stub is not a PE program");
        let coff = pe + 4;
        let optional = coff + 20;
        ensure!(u16_at(image, optional)? == PE32_PLUS, "the stub is not for 64 bits");
        let sections = u16_at(image, coff + 2)?;
        let table = optional + usize::from(u16_at(image, coff + 16)?);
        let table_end = table + usize::from(sections) * SECTION_HEADER_BYTES;
        Ok(Self {
            coff,
            optional,
            sections,
            table_end,
            table_limit: u32_at(image, optional + SIZE_OF_HEADERS)? as usize,
            section_alignment: u32_at(image, optional + SECTION_ALIGNMENT)?,
            file_alignment: u32_at(image, optional + FILE_ALIGNMENT)?,
            memory_end: u32_at(image, optional + SIZE_OF_IMAGE)?,
        })
    }
}

fn add(image: &mut Vec<u8>, header: &mut Header, section: &Section<'_>) -> Result<()> {
    ensure!(
        header.table_end + SECTION_HEADER_BYTES <= header.table_limit,
        "the stub's header has no room for another section"
    );
    let size = u32::try_from(section.data.len()).context("a section is below 4 GiB")?;
    let file_alignment = header.file_alignment as usize;
    image.resize(image.len().next_multiple_of(file_alignment), 0);
    let at_file = u32::try_from(image.len()).context("a UKI is below 4 GiB")?;
    image.extend_from_slice(section.data);
    image.resize(image.len().next_multiple_of(file_alignment), 0);
    let at_memory = header.memory_end.next_multiple_of(header.section_alignment);

    let mut row = [0; SECTION_HEADER_BYTES];
    let name = section.name.as_bytes();
    row.get_mut(..name.len())
        .filter(|name| name.len() <= 8)
        .context("a name is at most eight characters")?
        .copy_from_slice(name);
    row[8..12].copy_from_slice(&size.to_le_bytes());
    row[12..16].copy_from_slice(&at_memory.to_le_bytes());
    row[16..20].copy_from_slice(&size.next_multiple_of(header.file_alignment).to_le_bytes());
    row[20..24].copy_from_slice(&at_file.to_le_bytes());
    row[36..40].copy_from_slice(&READ_ONLY_DATA.to_le_bytes());
    image[header.table_end..header.table_end + SECTION_HEADER_BYTES].copy_from_slice(&row);

    header.sections += 1;
    header.table_end += SECTION_HEADER_BYTES;
    header.memory_end = at_memory
        .checked_add(size)
        .map(|end| end.next_multiple_of(header.section_alignment))
        .context("a UKI is below 4 GiB in memory")?;
    Ok(())
}

fn bytes_at<const N: usize>(image: &[u8], at: usize) -> Result<[u8; N]> {
    let found = image.get(at..at + N).context("the stub ends within its header")?;
    found.try_into().context("the stub ends within its header")
}

fn u16_at(image: &[u8], at: usize) -> Result<u16> {
    Ok(u16::from_le_bytes(bytes_at(image, at)?))
}

fn u32_at(image: &[u8], at: usize) -> Result<u32> {
    Ok(u32::from_le_bytes(bytes_at(image, at)?))
}

fn set_u16(image: &mut [u8], at: usize, value: u16) -> Result<()> {
    let place = image.get_mut(at..at + 2).context("the stub ends within its header")?;
    place.copy_from_slice(&value.to_le_bytes());
    Ok(())
}

fn set_u32(image: &mut [u8], at: usize, value: u32) -> Result<()> {
    let place = image.get_mut(at..at + 4).context("the stub ends within its header")?;
    place.copy_from_slice(&value.to_le_bytes());
    Ok(())
}

// PE format, "Optional Header (Image Only)" and "Section Table".
const PE32_PLUS: u16 = 0x20b;
const SECTION_ALIGNMENT: usize = 32;
const FILE_ALIGNMENT: usize = 36;
const SIZE_OF_IMAGE: usize = 56;
const SIZE_OF_HEADERS: usize = 60;
const CHECKSUM: usize = 64;
const SECTION_HEADER_BYTES: usize = 40;
/// IMAGE_SCN_CNT_INITIALIZED_DATA | IMAGE_SCN_MEM_READ
const READ_ONLY_DATA: u32 = 0x4000_0040;

#[cfg(test)]
mod tests {
    use super::*;

    /// A PE header with one section of 512 bytes, and room for one more.
    fn stub() -> Vec<u8> {
        let mut stub = vec![0; 0x400];
        stub[0x3c] = 0x40;
        stub[0x40..0x44].copy_from_slice(b"PE\0\0");
        stub[0x46] = 1; // sections
        stub[0x54] = 0xf0; // size of the optional header
        stub[0x58..0x5a].copy_from_slice(&[0x0b, 0x02]);
        stub[0x79] = 0x10; // section alignment 0x1000
        stub[0x7d] = 0x02; // file alignment 0x200
        stub[0x91] = 0x20; // size of image 0x2000
        stub[0x94] = 0x98; // size of headers 0x198: the table begins at 0x148
        stub[0x95] = 0x01;
        stub[0x98] = 0xff; // checksum
        stub
    }

    #[test]
    fn a_section_lies_where_its_header_says() {
        let image = join(&stub(), &[Section { name: ".linux", data: b"kernel" }]).unwrap();

        assert_eq!(image.len(), 0x600);
        assert_eq!(&image[0x400..0x406], b"kernel");
        assert_eq!(image[0x46], 2, "number of sections");
        assert_eq!(&image[0x90..0x94], [0x00, 0x30, 0, 0], "size of image");
        assert_eq!(&image[0x98..0x9c], [0; 4], "checksum");
        let row = &image[0x170..0x198];
        assert_eq!(&row[..8], b".linux\0\0");
        assert_eq!(&row[8..12], [6, 0, 0, 0], "size in memory");
        assert_eq!(&row[12..16], [0, 0x20, 0, 0], "where in memory");
        assert_eq!(&row[16..20], [0, 2, 0, 0], "size in the file");
        assert_eq!(&row[20..24], [0, 4, 0, 0], "where in the file");
        assert_eq!(&row[36..40], [0x40, 0, 0, 0x40], "read-only data");
    }

    #[test]
    fn a_full_header_is_refused() {
        let both = [Section { name: ".a", data: b"" }, Section { name: ".b", data: b"" }];
        let refusal = join(&stub(), &both).unwrap_err();
        assert_eq!(
            format!("{refusal:#}"),
            "add .b: the stub's header has no room for another section"
        );
    }

    #[test]
    fn something_else_is_refused() {
        assert!(join(b"#!/bin/sh", &[]).is_err());
        assert!(join(&[0; 4096], &[]).is_err());
    }
}
