// SPDX-License-Identifier: Apache-2.0
//! Which devices the processes of a cgroup may open: an eBPF program on the cgroup
//! (BPF_CGROUP_DEVICE, Documentation/admin-guide/cgroup-v2.rst, "Device controller").
//!
//! The program is written here, instruction by instruction: it only compares numbers. A list of
//! nodes in a private /dev would do for devices that are there at the start; a light or a serial
//! adapter is plugged in later.

use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd, RawFd};

use nix::libc;
use rustix::io::Errno;

/// Character devices of one major number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Characters {
    /// Their driver's number.
    pub major: u32,
    /// The first of them.
    pub first: u32,
    /// The last of them.
    pub last: u32,
}

/// One instruction of eBPF (linux/bpf.h).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
struct Instruction {
    code: u8,
    /// Destination in the lower four bits, source in the upper four.
    registers: u8,
    offset: i16,
    immediate: i32,
}

/// `union bpf_attr` for BPF_PROG_LOAD, as far as it is used; the kernel takes the rest as zero.
#[repr(C)]
struct Load {
    kind: u32,
    count: u32,
    instructions: u64,
    licence: u64,
    log_level: u32,
    log_size: u32,
    log: u64,
    kernel_version: u32,
    flags: u32,
    name: [u8; 16],
    interface: u32,
    attached_as: u32,
}

/// `union bpf_attr` for BPF_PROG_ATTACH.
#[repr(C)]
struct Attach {
    target: u32,
    program: u32,
    attached_as: u32,
    flags: u32,
}

/// Lets the processes of this cgroup, from now on, read and write these devices and no others, or
/// block devices only with `disks`, and make none. A program that an earlier run attached is replaced.
///
/// # Errors
/// EPERM without CAP_BPF and CAP_NET_ADMIN; EINVAL in a kernel without CONFIG_CGROUP_BPF.
pub fn allow_only(cgroup: impl AsFd, allowed: &[Characters], disks: bool) -> Result<(), Errno> {
    let program = load(&program(allowed, disks))?;
    let attach = Attach {
        target: number(cgroup.as_fd().as_raw_fd())?,
        program: number(program.as_raw_fd())?,
        attached_as: CGROUP_DEVICE,
        flags: 0,
    };
    // SAFETY: the struct is laid out as the kernel's and outlives the call; its size is given.
    let done = unsafe {
        libc::syscall(libc::SYS_bpf, PROG_ATTACH, &raw const attach, size_of::<Attach>())
    };
    if done == 0 { Ok(()) } else { Err(last()) }
}

fn load(program: &[Instruction]) -> Result<OwnedFd, Errno> {
    let load = Load {
        kind: PROGRAM_OF_DEVICES,
        count: u32::try_from(program.len()).map_err(|_| Errno::INVAL)?,
        instructions: program.as_ptr().expose_provenance() as u64,
        licence: c"Apache-2.0".as_ptr().expose_provenance() as u64,
        log_level: 0,
        log_size: 0,
        log: 0,
        kernel_version: 0,
        flags: 0,
        name: *b"devices\0\0\0\0\0\0\0\0\0",
        interface: 0,
        attached_as: CGROUP_DEVICE,
    };
    // SAFETY: the struct is laid out as the kernel's; both pointers in it are valid for the call.
    let made =
        unsafe { libc::syscall(libc::SYS_bpf, PROG_LOAD, &raw const load, size_of::<Load>()) };
    let made = RawFd::try_from(made).map_err(|_| Errno::OVERFLOW)?;
    if made < 0 {
        return Err(last());
    }
    // SAFETY: the kernel has just made this descriptor for us alone.
    Ok(unsafe { OwnedFd::from_raw_fd(made) })
}

/// Register 1 points to `struct bpf_cgroup_dev_ctx`: type and access, major, minor; 32 bits each.
/// Answers 1, yes, or 0, no.
fn program(allowed: &[Characters], disks: bool) -> Vec<Instruction> {
    let mut all = vec![
        // Registers 2, 3, 4: type and access, major, minor.
        row(LOAD_WORD, 2, 1, 0, 0),
        row(LOAD_WORD, 3, 1, 4, 0),
        row(LOAD_WORD, 4, 1, 8, 0),
        // Nobody makes a device.
        row(JUMP_IF_BITS, 2, 0, 4, ACCESS_MAKE),
        row(AND, 2, 0, 0, TYPE_BITS),
        row(JUMP_IF_EQUAL, 2, 0, 4, TYPE_CHARACTER),
        row(MOVE, 0, 0, 0, i32::from(disks)),
        row(EXIT, 0, 0, 0, 0),
        row(MOVE, 0, 0, 0, 0),
        row(EXIT, 0, 0, 0, 0),
    ];
    for Characters { major, first, last } in allowed {
        all.extend([
            row(JUMP_UNLESS_EQUAL, 3, 0, 4, major.cast_signed()),
            row(JUMP_IF_LESS, 4, 0, 3, first.cast_signed()),
            row(JUMP_IF_GREATER, 4, 0, 2, last.cast_signed()),
            row(MOVE, 0, 0, 0, 1),
            row(EXIT, 0, 0, 0, 0),
        ]);
    }
    all.extend([row(MOVE, 0, 0, 0, 0), row(EXIT, 0, 0, 0, 0)]);
    all
}

const fn row(code: u8, to: u8, from: u8, offset: i16, immediate: i32) -> Instruction {
    Instruction { code, registers: to | from << 4, offset, immediate }
}

fn number(descriptor: RawFd) -> Result<u32, Errno> {
    u32::try_from(descriptor).map_err(|_| Errno::BADF)
}

fn last() -> Errno {
    Errno::from_io_error(&std::io::Error::last_os_error()).unwrap_or(Errno::IO)
}

// linux/bpf.h: commands, the kind of program, where it is attached.
const PROG_LOAD: libc::c_int = 5;
const PROG_ATTACH: libc::c_int = 8;
const PROGRAM_OF_DEVICES: u32 = 15;
const CGROUP_DEVICE: u32 = 6;
// Of the first word of its context.
const ACCESS_MAKE: i32 = 1 << 16;
const TYPE_BITS: i32 = 0xffff;
const TYPE_CHARACTER: i32 = 2;
// Instructions, with an immediate as second operand.
const LOAD_WORD: u8 = 0x61;
const AND: u8 = 0x57;
const MOVE: u8 = 0xb7;
const EXIT: u8 = 0x95;
const JUMP_IF_EQUAL: u8 = 0x15;
const JUMP_UNLESS_EQUAL: u8 = 0x55;
const JUMP_IF_BITS: u8 = 0x45;
const JUMP_IF_GREATER: u8 = 0x25;
const JUMP_IF_LESS: u8 = 0xa5;

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs the program on one question, as the kernel would.
    fn answer(program: &[Instruction], context: [u32; 3]) -> i64 {
        let mut registers = [0_i64; 11];
        let mut at = 0;
        loop {
            let Instruction { code, registers: pair, offset, immediate } = program[at];
            let (to, immediate) = (usize::from(pair & 15), i64::from(immediate));
            let is_taken = match code {
                LOAD_WORD => {
                    registers[to] = i64::from(context[usize::try_from(offset / 4).unwrap()]);
                    false
                }
                AND => {
                    registers[to] &= immediate;
                    false
                }
                MOVE => {
                    registers[to] = immediate;
                    false
                }
                EXIT => return registers[0],
                JUMP_IF_EQUAL => registers[to] == immediate,
                JUMP_UNLESS_EQUAL => registers[to] != immediate,
                JUMP_IF_BITS => registers[to] & immediate != 0,
                JUMP_IF_GREATER => registers[to] > immediate,
                JUMP_IF_LESS => registers[to] < immediate,
                other => panic!("no such instruction: {other:#x}"),
            };
            let skipped = if is_taken { usize::try_from(offset).unwrap() } else { 0 };
            at = at.saturating_add(1).saturating_add(skipped);
        }
    }

    #[test]
    fn only_named_devices_are_opened_and_none_is_made() {
        let uarts = Characters { major: 4, first: 64, last: 255 };
        let log = Characters { major: 1, first: 11, last: 11 };
        let of = |disks| program(&[uarts, log], disks);
        let program = of(false);
        const READ_CHARACTER: u32 = 0x2_0002;
        const WRITE_CHARACTER: u32 = 0x4_0002;
        const READ_BLOCK: u32 = 0x2_0001;
        const MAKE_CHARACTER: u32 = 0x1_0002;
        for (access, major, minor, allowed) in [
            (READ_CHARACTER, 4, 64, 1),
            (WRITE_CHARACTER, 4, 255, 1),
            (READ_CHARACTER, 4, 63, 0),
            (READ_CHARACTER, 4, 256, 0),
            (WRITE_CHARACTER, 1, 11, 1),
            (WRITE_CHARACTER, 1, 10, 0),
            (READ_CHARACTER, 10, 130, 0),
            (READ_BLOCK, 4, 64, 0),
            (MAKE_CHARACTER, 1, 11, 0),
        ] {
            assert_eq!(
                answer(&program, [access, major, minor]),
                allowed,
                "{access:#x} {major}:{minor}"
            );
        }
        const MAKE_BLOCK: u32 = 0x1_0001;
        let questions = [(READ_BLOCK, 8, 0), (MAKE_BLOCK, 8, 0), (READ_CHARACTER, 10, 130)];
        let answers =
            questions.map(|(access, major, minor)| answer(&of(true), [access, major, minor]));
        assert_eq!(answers, [1, 0, 0]);
    }

    #[test]
    fn the_kernel_takes_the_program() {
        load(&program(&[Characters { major: 1, first: 3, last: 3 }], true)).unwrap();
    }
}
