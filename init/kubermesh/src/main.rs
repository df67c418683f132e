// SPDX-License-Identifier: Apache-2.0
//! The binary that picks the worker or the command line.

fn main() {}
