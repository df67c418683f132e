// SPDX-License-Identifier: Apache-2.0
//! The static pod that every node runs: answers over HTTP who and where it is.

fn main() {}
