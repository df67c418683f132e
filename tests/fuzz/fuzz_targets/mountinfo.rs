// SPDX-License-Identifier: Apache-2.0
//! A line of mountinfo: whatever a mount is called, its name is read as it is.
#![no_main]

use kubermesh_storage::fuzz::mount;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let _ = mount(text);
    let words: Vec<&str> = text.splitn(2, '\0').collect();
    let [point, source] = words.as_slice() else { return };
    if point.is_empty() || source.is_empty() {
        return;
    }
    // As fs/proc_namespace.c writes them: seq_path and mangle.
    let (kept, mangled) = (escaped(point, " \t\n\\"), escaped(source, " \t\n\\#"));
    let line = format!("36 35 98:0 / {kept} rw,noatime shared:1 - ext4 {mangled} rw");
    let found = mount(&line).expect("a line as the kernel writes it");
    assert_eq!(found, [*point, "ext4", *source, "rw"].map(str::to_owned));
});

fn escaped(text: &str, which: &str) -> String {
    let one = |c: char| {
        if which.contains(c) { format!("\\{:03o}", u32::from(c)) } else { c.to_string() }
    };
    text.chars().map(one).collect()
}
