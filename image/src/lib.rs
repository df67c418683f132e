// SPDX-License-Identifier: Apache-2.0
//! Packs a root tree and a kernel into the bootable image; refuses a bad one.
//!
//! ```text
//! base (root, kernel, stub) ─┐
//! overlay/, our binaries ────┼─► Tree ─► check ─► EROFS ─► initramfs ─► UKI ─► stick (GPT, ESP)
//! Go programs, pod images ───┘            │
//! modules.list ───────────────────────────┴─► refused, in one sentence
//! ```
//!
//! A tree is a value: who owns a file, its mode and its time are said here and not by the disk
//! that it comes from, so no step needs root, and the same input gives the same bytes.
//!
//! What is deliberately absent: any knowledge of a distribution. A base (`base.md`) says what its
//! packages are; this crate knows folders only.

#![allow(
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    reason = "runs on a desk, never on a node: a panic here is a bug report, not a dead machine"
)]

pub mod base;
pub mod check;
pub mod cmdline;
pub mod cpio;
pub mod erofs;
pub mod initramfs;
pub mod module;
pub mod node_toml;
pub mod pod_image;
pub mod progress;
pub mod room;
pub mod root;
pub mod stick;
pub mod store;
pub mod tar_file;
pub mod tool;
pub mod tree;
pub mod uki;
