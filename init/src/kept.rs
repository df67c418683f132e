// SPDX-License-Identifier: Apache-2.0
//! The numbers of the descriptors that live on over a crash of PID 1.
//!
//! The kernel's own table of open files is the record of them: what is open under its number is
//! there, and no crash can come between opening and writing down. All others are closed on exec.

use kubermesh_node::service::ServiceName;
use kubermesh_sys::Errno;
use kubermesh_sys::descriptor::{OwnedFd, RawFd};
use kubermesh_sys::inherited;

use crate::held::Output;

/// Of the node as a whole. Lower ones are for whatever PID 1 opens and closes.
pub(crate) const NOTIFY: RawFd = 240;
pub(crate) const CONTROL: RawFd = 241;
pub(crate) const WATCHDOG: RawFd = 242;
pub(crate) const RECORD: RawFd = 243;
/// While a program is on trial: the one before it, and who asked for it.
pub(crate) const OLD: RawFd = 244;
pub(crate) const ASKER: RawFd = 245;

/// From here on, so many for each service, in the order of their names.
const SERVICES: u32 = 256;
const EACH: u32 = 4;

/// What is kept of a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    OutputReader,
    OutputWriter,
    /// Our end of what the service has as descriptor 3: its channel, or the pipe for a newline.
    Third,
    /// The gate of its process ([`kubermesh_sys::spawn`]).
    Gate,
}

/// What a service has left.
#[derive(Default)]
pub(crate) struct Left {
    pub(crate) output: Option<Output>,
    pub(crate) third: Option<OwnedFd>,
    pub(crate) gate: Option<OwnedFd>,
}

const fn number(service: u32, part: Part) -> Option<RawFd> {
    let Some(first) = service.checked_mul(EACH) else { return None };
    let Some(first) = first.checked_add(SERVICES) else { return None };
    let Some(number) = first.checked_add(part as u32) else { return None };
    if number > i32::MAX.cast_unsigned() { None } else { Some(number.cast_signed()) }
}

/// Gives a descriptor of the service with this number its place.
pub(crate) fn place(descriptor: &OwnedFd, service: u32, part: Part) -> Result<OwnedFd, Errno> {
    inherited::place(descriptor, number(service, part).ok_or(Errno::BADF)?)
}

/// Takes back what a service has left. Call it once for each, in a new life.
pub(crate) fn take_back(service: u32) -> Left {
    let take = |part| number(service, part).and_then(|number| inherited::take_back(number).ok());
    let (reader, writer) = (take(Part::OutputReader), take(Part::OutputWriter));
    let output = reader.zip(writer).map(|(reader, writer)| Output { reader, writer });
    Left { output, third: take(Part::Third), gate: take(Part::Gate) }
}

/// Where a service stands among the sorted names.
pub(crate) fn place_of(name: &ServiceName, names: &[ServiceName]) -> u32 {
    let at = names.binary_search(name).ok();
    at.and_then(|at| u32::try_from(at).ok()).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_parts_of_any_two_services_have_the_same_number() {
        assert_eq!(number(0, Part::OutputReader), Some(256));
        assert_eq!(number(0, Part::Gate), Some(259));
        assert_eq!(number(1, Part::OutputReader), Some(260));
        assert_eq!(number(999, Part::Gate), Some(4255));
        assert_eq!(number(u32::MAX, Part::Gate), None);
    }
}
