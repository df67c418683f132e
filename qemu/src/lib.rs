// SPDX-License-Identifier: Apache-2.0
//! A mesh on a desk: machines, cables that can be pulled, a blink(1) on each.
