// SPDX-License-Identifier: Apache-2.0
//! `make bench-init` itself is tried: ours and one other, few services, each figure can be taken.

#![allow(clippy::panic, reason = "a test")]

use std::process::Command;

#[test]
fn each_figure_of_ours_and_of_another_init_can_be_taken() {
    let output = Command::new(env!("CARGO_BIN_EXE_bench-init"))
        .args(["--smoke", "--inits", "kubermesh,s6"])
        .output();
    let output = output.unwrap_or_else(|refusal| panic!("start bench-init: {refusal}"));
    let (page, errors) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{errors}\n{page}");
    assert!(page.contains("| s6 2.13"), "{page}");
}
