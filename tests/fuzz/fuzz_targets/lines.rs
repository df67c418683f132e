// SPDX-License-Identifier: Apache-2.0
//! A service's output, cut anywhere by its pipe: no byte is lost or made up, and no line is too long.
#![no_main]

use kubermesh_fuzz::grown;
use kubermesh_log::fuzz::lines;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let bytes = &grown(bytes)[..];
    // The first byte says how long the pieces are.
    let Some((size, said)) = bytes.split_first() else { return };
    let whole = lines([said]);
    let pieces = lines(said.chunks(usize::from(*size).pow(2).max(1)));
    assert_eq!(pieces, whole, "the pieces make a difference");
    let mut again = Vec::new();
    for (line, continues) in &whole {
        assert!(line.len() <= 16 * 1024);
        again.extend(line);
        if !continues {
            again.push(b'\n');
        }
    }
    let plain =
        |bytes: &[u8]| -> Vec<u8> { bytes.iter().copied().filter(|byte| *byte != b'\r').collect() };
    let mut expected = plain(said);
    if !said.is_empty() && !said.ends_with(b"\n") {
        expected.push(b'\n');
    }
    assert_eq!(plain(&again), expected);
});
