// SPDX-License-Identifier: Apache-2.0
//! Services: what their files may say ([`spec`]), all of them together ([`catalog`]), one
//! service's life ([`life`]).

pub mod catalog;
mod defaults;
pub mod life;
pub mod name;
mod parse;
pub mod spec;

pub use catalog::Catalog;
pub use name::ServiceName;
pub use spec::{Check, ServiceSpec, SpecError};
