// SPDX-License-Identifier: Apache-2.0
//! Decides what this node should be and what to do next to become it.
