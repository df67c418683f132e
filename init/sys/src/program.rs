// SPDX-License-Identifier: Apache-2.0
//! The pages of the program that runs: code and constants.

use rustix::mm::{Advice, madvise};

// SAFETY: the linker defines both, GNU ld and lld alike; only their addresses are taken.
unsafe extern "C" {
    static __executable_start: u8;
    static etext: u8;
}

/// Gives the pages of code and constants back to the kernel, which brings those that are used again from
/// its cache of the file, madvise(2) `MADV_DONTNEED`. Best effort: without it they only stay.
pub fn give_back_pages() {
    const PAGE: usize = 4096;
    let (begin, end) = (&raw const __executable_start, &raw const etext);
    let length = end.addr().saturating_sub(begin.addr()).next_multiple_of(PAGE);
    // SAFETY: from the first page of the program to the end of its code all is mapped from its file, read-only,
    // and so never different from the file: whoever reads such a page again finds the same bytes.
    let _ = unsafe { madvise(begin.cast_mut().cast(), length, Advice::LinuxDontNeed) };
}
