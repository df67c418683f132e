// SPDX-License-Identifier: Apache-2.0
//! Shows the node's state on a blink(1).
