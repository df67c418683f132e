// SPDX-License-Identifier: Apache-2.0
//! What a descriptor is to PID 1: std's own types, under a name of ours.
//!
//! PID 1 names them by this path, so that a kernel that is only simulated can give it others
//! (docs/decisions).

pub use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
