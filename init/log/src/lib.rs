// SPDX-License-Identifier: Apache-2.0
//! The log store: service output, the kernel's ring, journald's native protocol.
