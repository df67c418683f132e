// SPDX-License-Identifier: Apache-2.0
//! A file as a block device, loop(4).

use std::fs::File;
use std::os::fd::{AsRawFd, RawFd};

use nix::libc;

/// Why a file cannot become a block device.
#[derive(Debug, thiserror::Error)]
pub enum LoopError {
    /// `/dev/loop-control`: the loop module is not loaded.
    #[error("open {path}")]
    Open {
        /// Which.
        path: String,
        /// Why.
        source: std::io::Error,
    },
    /// An ioctl of loop(4).
    #[error("{name}")]
    Ioctl {
        /// Which.
        name: &'static str,
        /// Why.
        source: nix::Error,
    },
}

/// A loop device that lasts while this is held or it is mounted.
#[derive(Debug)]
pub struct Attached {
    /// `/dev/loop0`.
    pub path: String,
    _device: File,
}

/// Attaches `file` read-only to a free loop device, which goes away with its last user.
///
/// # Errors
/// The module is not loaded, there is no free device, the file cannot be read.
pub fn attach(file: &File) -> Result<Attached, LoopError> {
    let control = open("/dev/loop-control")?;
    // SAFETY: the descriptor is open for the whole call; the request takes no pointer.
    let number = unsafe { ioctl::get_free(control.as_raw_fd()) }
        .map_err(|source| LoopError::Ioctl { name: "LOOP_CTL_GET_FREE", source })?;
    let path = format!("/dev/loop{number}");
    let device = open(&path)?;
    let config = LoopConfig::read_only(file.as_raw_fd());
    // SAFETY: both descriptors are open for the whole call; `config` has the kernel's layout
    // (linux/loop.h, struct loop_config) and outlives it.
    unsafe { ioctl::configure(device.as_raw_fd(), &raw const config) }
        .map_err(|source| LoopError::Ioctl { name: "LOOP_CONFIGURE", source })?;
    Ok(Attached { path, _device: device })
}

fn open(path: &str) -> Result<File, LoopError> {
    File::open(path).map_err(|source| LoopError::Open { path: path.to_owned(), source })
}

/// linux/loop.h, struct loop_config: 304 bytes.
#[repr(C)]
struct LoopConfig {
    fd: u32,
    block_size: u32,
    /// struct loop_info64: device, inode, rdevice, offset, sizelimit (5 × u64), number,
    /// encrypt_type, encrypt_key_size, flags (4 × u32), three name and key arrays, init (2 × u64).
    info_head: [u64; 5],
    number: u32,
    encrypt_type: u32,
    encrypt_key_size: u32,
    flags: u32,
    info_names: [u8; 64 + 64 + 32],
    info_init: [u64; 2],
    reserved: [u64; 8],
}

/// LO_FLAGS_READ_ONLY | LO_FLAGS_AUTOCLEAR.
const FLAGS: u32 = 1 | 4;

impl LoopConfig {
    const fn read_only(file: RawFd) -> Self {
        Self {
            fd: file.cast_unsigned(),
            block_size: 0,
            info_head: [0; 5],
            number: 0,
            encrypt_type: 0,
            encrypt_key_size: 0,
            flags: FLAGS,
            info_names: [0; 160],
            info_init: [0; 2],
            reserved: [0; 8],
        }
    }
}

mod ioctl {
    use super::*;

    nix::ioctl_none_bad!(get_free, 0x4C82);
    nix::ioctl_write_ptr_bad!(configure, 0x4C0A, LoopConfig);
}

const _: () = assert!(size_of::<LoopConfig>() == 304);
const _: () = assert!(size_of::<libc::c_int>() == 4);
