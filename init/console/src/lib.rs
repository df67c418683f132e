// SPDX-License-Identifier: Apache-2.0
//! The dashboard on the serial port and the screen.

pub mod asking;
pub mod page;
