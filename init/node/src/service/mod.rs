// SPDX-License-Identifier: Apache-2.0
//! Services: what their files may say ([`spec`]) and what they may do ([`privileges`]), all of them
//! together ([`catalog`]), one service's life ([`life`]).

pub mod catalog;
mod defaults;
pub mod life;
pub mod name;
mod parse;
pub mod privileges;
pub mod spec;

pub use catalog::Catalog;
pub use name::ServiceName;
pub use privileges::Privileges;
pub use spec::{Check, ServiceSpec, SpecError};
