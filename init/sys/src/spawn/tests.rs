// SPDX-License-Identifier: Apache-2.0
//! Real children of this process.

use std::io::Read;
use std::os::fd::AsFd;

use super::*;

fn run(command: &[&str], third: Option<BorrowedFd<'_>>) -> (String, Option<rustix::io::Errno>) {
    let command: Vec<String> = command.iter().map(ToString::to_string).collect();
    let null = std::fs::File::open("/dev/null").unwrap();
    let (mut reader, writer) = std::io::pipe().unwrap();
    let program = Program {
        command: &command,
        environment: &["KEY=value".to_owned()],
        place: Place::Parents,
        oom_score: 7,
        input: null.as_fd(),
        output: writer.as_fd(),
        third,
    };
    let (child, lent) = spawn_lending(&program).unwrap();
    drop(writer);
    let_go(&child.gate);
    until(|| has_own_table(&child.gate));
    drop(lent);
    let mut said = String::new();
    reader.read_to_string(&mut said).unwrap();
    nix::sys::wait::waitpid(nix::unistd::Pid::from_raw(child.pid.cast_signed()), None).unwrap();
    (said, why_not(&child.gate))
}

fn plain<'a>(command: &'a [String], input: BorrowedFd<'a>, output: BorrowedFd<'a>) -> Program<'a> {
    let (environment, place) = (&[][..], Place::Parents);
    Program { command, environment, place, oom_score: 0, input, output, third: None }
}

fn until(holds: impl Fn() -> bool) {
    let began = std::time::Instant::now();
    while !holds() {
        assert!(began.elapsed() < std::time::Duration::from_secs(60));
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
}

#[test]
fn a_program_gets_its_environment_and_oom_score_and_nothing_else() {
    let script = "echo $KEY; cat /proc/self/oom_score_adj; ls /proc/self/fd | wc -l; grep SigIgn /proc/self/status";
    let (said, failure) = run(&["/bin/sh", "-c", script], None);
    // ls itself holds its folder open: three descriptors and that one.
    assert_eq!(said, "value\n7\n4\nSigIgn:\t0000000000000000\n");
    assert_eq!(failure, None);
}

#[test]
fn a_worker_finds_its_channel_as_descriptor_three() {
    let (mut reader, writer) = std::io::pipe().unwrap();
    run(&["/bin/sh", "-c", "echo ready >&3"], Some(writer.as_fd()));
    drop(writer);
    let mut said = String::new();
    reader.read_to_string(&mut said).unwrap();
    assert_eq!(said, "ready\n");
}

#[test]
fn a_child_that_shares_its_parents_table_closes_nothing_there_and_sees_nothing_of_it() {
    // Open over exec, and above whatever it is lent.
    let (reader, _writer) = std::io::pipe().unwrap();
    let number = rustix::io::fcntl_dupfd_cloexec(&reader, 600).unwrap();
    rustix::io::fcntl_setfd(&number, rustix::io::FdFlags::empty()).unwrap();
    let script = format!("ls /proc/self/fd | grep -c {}", number.as_raw_fd());
    assert_eq!(run(&["/bin/sh", "-c", &script], None), ("0\n".to_owned(), None));
    assert!(rustix::io::fcntl_getfd(&number).is_ok());
}

#[test]
fn why_a_program_could_not_be_executed_is_told_to_who_asked_nothing_before() {
    let null = std::fs::File::open("/dev/null").unwrap();
    let command = ["/no/such/program".to_owned()];
    let program = plain(&command, null.as_fd(), null.as_fd());
    let child = spawn(&program).unwrap();
    let_go(&child.gate);
    nix::sys::wait::waitpid(nix::unistd::Pid::from_raw(child.pid.cast_signed()), None).unwrap();
    for _ in 0..2 {
        assert_eq!(why_not(&child.gate), Some(rustix::io::Errno::NOENT));
    }
}

#[test]
fn why_a_child_got_no_table_of_its_own_is_not_taken_for_the_word_that_it_has_one() {
    let (family, kind) = (AddressFamily::UNIX, SocketType::SEQPACKET);
    let (gate, childs) = rustix::net::socketpair(family, kind, SocketFlags::CLOEXEC, None).unwrap();
    let memory = rustix::io::Errno::NOMEM;
    rustix::net::send(&childs, &memory.raw_os_error().to_ne_bytes(), SendFlags::empty()).unwrap();
    assert!(!has_own_table(&gate));
    assert_eq!(why_not(&gate), Some(memory));
}

#[test]
fn a_program_that_is_not_there_is_told_by_its_errno() {
    assert_eq!(run(&["/no/such/program"], None).1, Some(rustix::io::Errno::NOENT));
}

#[test]
fn why_a_child_failed_before_its_gate_is_told_also_where_it_was_let_go_by_then() {
    let null = std::fs::File::open("/dev/null").unwrap();
    let command = ["/bin/true".to_owned()];
    for _ in 0..20 {
        let place = Place::Moves("/no/such/cgroup.procs");
        let program = Program { place, ..plain(&command, null.as_fd(), null.as_fd()) };
        let child = spawn(&program).unwrap();
        let_go(&child.gate);
        nix::sys::wait::waitpid(nix::unistd::Pid::from_raw(child.pid.cast_signed()), None).unwrap();
        assert_eq!(why_not(&child.gate), Some(rustix::io::Errno::NOENT));
    }
}

#[test]
fn a_child_that_is_let_go_by_who_listens_no_more_is_executed_all_the_same() {
    let command = ["/bin/sh", "-c", "echo ran"].map(str::to_owned);
    let null = std::fs::File::open("/dev/null").unwrap();
    let (mut reader, writer) = std::io::pipe().unwrap();
    let program = plain(&command, null.as_fd(), writer.as_fd());
    let child = spawn(&program).unwrap();
    // It waits at its gate, and has said all that it says.
    until(|| {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", child.pid)).unwrap();
        stat.rsplit_once(") ").unwrap().1.starts_with('S')
    });
    let_go(&child.gate);
    drop((writer, child.gate));
    let mut said = String::new();
    reader.read_to_string(&mut said).unwrap();
    assert_eq!(said, "ran\n");
    nix::sys::wait::waitpid(nix::unistd::Pid::from_raw(child.pid.cast_signed()), None).unwrap();
}

#[test]
fn a_child_whose_gate_closes_ends_and_has_executed_nothing() {
    let command = ["/bin/sh", "-c", "echo ran"].map(str::to_owned);
    let null = std::fs::File::open("/dev/null").unwrap();
    let (mut reader, writer) = std::io::pipe().unwrap();
    let program = plain(&command, null.as_fd(), writer.as_fd());
    let child = spawn(&program).unwrap();
    drop((writer, child.gate));
    let mut said = String::new();
    reader.read_to_string(&mut said).unwrap();
    assert_eq!(said, "");
    nix::sys::wait::waitpid(nix::unistd::Pid::from_raw(child.pid.cast_signed()), None).unwrap();
}
