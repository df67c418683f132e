// SPDX-License-Identifier: Apache-2.0
//! A file of the log store on somebody's stick: it is read to its end, and each good line of it is found.
#![no_main]

use kubermesh_log::fuzz::segment;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let found = segment(bytes).unwrap();
    assert!(found.steps <= bytes.len() / 1024 + 1 + found.lines.len(), "{} steps", found.steps);
    let mut at = 0;
    for (from, to, json) in &found.lines {
        assert!(*from >= at && *to <= bytes.len() as u64);
        let line = &bytes[usize::try_from(*from).unwrap()..usize::try_from(*to).unwrap()];
        assert!(line.ends_with(b"\n") && line[..line.len() - 1].ends_with(json));
        at = *to;
    }
    assert_eq!(found.end, found.lines.last().map_or(0, |(_, to, _)| *to));
    let good = |line: &&[u8]| {
        let text = line.get(..8).and_then(|digits| std::str::from_utf8(digits).ok());
        let sum = text.and_then(|digits| u32::from_str_radix(digits, 16).ok());
        line.get(8) == Some(&b' ') && sum == line.get(9..).map(crc32fast::hash)
    };
    let mut lines: Vec<&[u8]> = bytes.split(|byte| *byte == b'\n').collect();
    lines.pop();
    // A chunk that one line fills is passed over, with what else it holds.
    if lines.iter().all(|line| line.len() < 60_000) {
        assert_eq!(lines.iter().copied().filter(|line| good(&line)).count(), found.lines.len());
    }
});
