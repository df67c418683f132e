// SPDX-License-Identifier: Apache-2.0
//! STATE and DATA: found, made on first boot, checked, mounted.
