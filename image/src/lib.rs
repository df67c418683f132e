// SPDX-License-Identifier: Apache-2.0
//! Packs a root tree and a kernel into the bootable image; refuses a bad one.
