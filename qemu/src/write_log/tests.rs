// SPDX-License-Identifier: Apache-2.0
//! A log made by hand: write A to sectors 1 and 2, flush, write B to sector 2, C to 3 and 4, flush, D to 1.

use super::*;
use crate::Folder;

const SECTOR: usize = 512;

fn sector(letter: u8) -> Vec<u8> {
    vec![letter; SECTOR]
}

fn header(sector: u64, sectors: u64, flags: u64) -> Vec<u8> {
    let mut bytes: Vec<u8> =
        [sector, sectors, flags, 0].iter().flat_map(|field| field.to_le_bytes()).collect();
    bytes.resize(SECTOR, 0);
    bytes
}

fn log_bytes() -> Vec<u8> {
    let mut log: Vec<u8> = b"rhswfsj\0\x01\0\0\0\0\0\0\0\x07\0\0\0\0\0\0\0\0\x02\0\0".to_vec();
    log.resize(SECTOR, 0);
    log.extend([header(1, 2, 0), sector(b'A'), sector(b'A'), header(0, 0, 1)].concat());
    log.extend(
        [header(2, 1, 0), sector(b'B'), header(3, 2, 0), sector(b'C'), sector(b'C')].concat(),
    );
    log.extend([header(0, 0, 1), header(1, 1, 0), sector(b'D')].concat());
    log
}

fn stick_after(cut: Cut) -> String {
    let folder = Folder::new("log").unwrap();
    let (log, base, stick) = (folder.file("log"), folder.file("base"), folder.file("stick"));
    fs::write(&log, log_bytes()).unwrap();
    fs::write(&base, vec![b'.'; 5 * SECTOR]).unwrap();
    WriteLog::open(&log).unwrap().materialise(&base, &stick, cut).unwrap();
    assert_eq!(
        fs::read(&base).unwrap(),
        vec![b'.'; 5 * SECTOR],
        "the base image must stay as it is"
    );
    fs::read(&stick).unwrap().chunks(SECTOR).map(|sector| char::from(sector[0])).collect()
}

#[test]
fn a_stick_as_of_each_flush() {
    assert_eq!(stick_after(Cut::AfterFlush(0)), ".AA..");
    assert_eq!(stick_after(Cut::AfterFlush(1)), ".ABCC");
}

#[test]
fn a_stick_whose_last_write_is_torn() {
    assert_eq!(stick_after(Cut::TornBeforeFlush { flush: 0, sectors: 1 }), ".A...");
    assert_eq!(stick_after(Cut::TornBeforeFlush { flush: 1, sectors: 1 }), ".AAC.");
}

#[test]
fn a_stick_as_of_each_request() {
    assert_eq!(stick_after(Cut::AfterRequest(0)), ".....");
    assert_eq!(stick_after(Cut::AfterRequest(3)), ".AB..");
    assert_eq!(stick_after(Cut::AfterRequest(6)), ".DBCC");
}

#[test]
fn a_log_counts_flushes_and_ends_where_it_is_torn() {
    let folder = Folder::new("log").unwrap();
    let log = folder.file("log");
    let bytes = log_bytes();
    fs::write(&log, &bytes[..bytes.len() - 1]).unwrap();

    let log = WriteLog::open(&log).unwrap();

    assert_eq!((log.flushes(), log.requests()), (2, 5));
    assert_eq!(log.writes_before(0).unwrap(), [(512, 1024)]);
    assert_eq!(log.writes_before(1).unwrap(), [(1024, 512), (1536, 1024)]);
    let words = log.plan(Cut::AfterFlush(2)).unwrap_err().to_string();
    assert_eq!(words, "the log has 2 flushes, there is no number 2");
}
