// SPDX-License-Identifier: Apache-2.0
//! PID 1 of a Kubermesh node: joins thinking to the world.

fn main() {}
