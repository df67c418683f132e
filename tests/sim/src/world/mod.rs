// SPDX-License-Identifier: Apache-2.0
//! Who lives in the machine: processes with their characters, workers, clients, devices, people.

mod agenda;
mod chance;
mod character;
mod clients;
mod nature;
mod workers;

pub(crate) use agenda::Happening;
pub(crate) use chance::Chance;
pub(crate) use clients::Client;
pub(crate) use workers::Worker;
