// SPDX-License-Identifier: Apache-2.0
//! The few files of /proc, /sys and /etc that PID 1 reads and writes.

use std::io::{Error, Result};
use std::path::Path;

use crate::Errno;
use crate::descriptor::OwnedFd;
use crate::kernel::{Thing, call};

fn error(errno: Errno) -> Error {
    Error::from_raw_os_error(errno.raw_os_error())
}

pub fn read(path: &Path) -> Result<String> {
    let path = path.to_str().unwrap_or_default();
    call("read", |machine| {
        machine.refuses_file(path, &[Errno::MFILE, Errno::NOMEM]).map_err(error)?;
        machine.read_file(path).ok_or_else(|| error(Errno::NOENT))
    })
}

pub fn write(path: &Path, text: &str) -> Result<()> {
    let path = path.to_str().unwrap_or_default();
    call("write", |machine| {
        machine.refuses("write", &[Errno::MFILE, Errno::NOSPC, Errno::BUSY]).map_err(error)?;
        machine.write_file(path, text).map_err(error)
    })
}

pub fn exists(path: &Path) -> bool {
    let path = path.to_str().unwrap_or_default();
    call("stat", |machine| machine.is_file(path))
}

pub fn list(folder: &Path) -> Result<Vec<String>> {
    let folder = folder.to_str().unwrap_or_default();
    call("readdir", |machine| {
        machine.refuses("readdir", &[Errno::MFILE, Errno::NOMEM]).map_err(error)?;
        Ok(machine.names_in(folder))
    })
}

pub fn make_new_folder(path: &Path) -> Result<bool> {
    let path = path.to_str().unwrap_or_default();
    call("mkdir", |machine| {
        machine.refuses("mkdir", &[Errno::NOSPC, Errno::NOMEM]).map_err(error)?;
        Ok(machine.make_folder(path))
    })
}

pub fn remove_folder(path: &Path) -> Result<()> {
    let path = path.to_str().unwrap_or_default();
    call("rmdir", |machine| {
        machine.refuses("rmdir", &[Errno::NOMEM]).map_err(error)?;
        machine.remove_folder(path).map_err(error)
    })
}

pub fn open_to_all(_path: &Path) -> Result<()> {
    Ok(())
}

pub fn folder(path: &Path) -> Result<OwnedFd> {
    let path = path.to_str().unwrap_or_default().to_owned();
    call("open", |machine| machine.open(Thing::Folder(path))).map(OwnedFd).map_err(error)
}

pub fn null() -> Result<OwnedFd> {
    call("open", |machine| machine.open(Thing::Null)).map(OwnedFd).map_err(error)
}
