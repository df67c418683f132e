// SPDX-License-Identifier: Apache-2.0
//! Partitions that are told to the kernel one by one (linux/blkpg.h), while others of the same
//! disk are mounted: BLKRRPART would answer EBUSY then.

use std::os::fd::{AsFd, AsRawFd};

use nix::libc::{c_char, c_int, c_longlong};
use rustix::io::Errno;

/// Tells the kernel of partition `number`; start and length in bytes.
///
/// # Errors
/// EBUSY where it is known already or overlaps another, EINVAL where the disk takes no partitions.
pub fn add_partition(
    disk: &impl AsFd,
    number: u32,
    start_bytes: u64,
    length_bytes: u64,
) -> Result<(), Errno> {
    let mut partition = Partition {
        start: c_longlong::try_from(start_bytes).map_err(|_| Errno::INVAL)?,
        length: c_longlong::try_from(length_bytes).map_err(|_| Errno::INVAL)?,
        number: c_int::try_from(number).map_err(|_| Errno::INVAL)?,
        names: [0; 128],
    };
    let request = Request {
        operation: ADD_PARTITION,
        flags: 0,
        length: PARTITION_BYTES,
        data: &raw mut partition,
    };
    // SAFETY: the descriptor is open for the whole call; `request` and the partition that it
    // points to have the kernel's layout (linux/blkpg.h) and outlive it.
    unsafe { blkpg(disk.as_fd().as_raw_fd(), &raw const request) }
        .map(drop)
        .map_err(|refusal| Errno::from_raw_os_error(refusal as i32))
}

/// struct blkpg_ioctl_arg.
#[repr(C)]
struct Request {
    operation: c_int,
    flags: c_int,
    length: c_int,
    data: *mut Partition,
}

/// struct blkpg_partition; its two names are unused.
#[repr(C)]
struct Partition {
    start: c_longlong,
    length: c_longlong,
    number: c_int,
    names: [c_char; 128],
}

const ADD_PARTITION: c_int = 1;
const PARTITION_BYTES: c_int = 152;
const _: () = assert!(size_of::<Partition>() == 152);

nix::ioctl_write_ptr_bad!(
    /// BLKPG, linux/blkpg.h.
    blkpg,
    0x1269,
    Request
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_disk_takes_no_partition() {
        let file = std::fs::File::open("/proc/self/exe").unwrap();
        assert_eq!(add_partition(&file, 1, 0, 512), Err(Errno::NOTTY));
    }
}
