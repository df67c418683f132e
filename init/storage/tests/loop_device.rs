// SPDX-License-Identifier: Apache-2.0
//! The whole task on a real kernel: a loop device as the stick, real mkfs, e2fsck and mounts, in a
//! mount namespace of its own. Needs root, e2fsprogs, gdisk and util-linux.
//!
//! Not every kernel that this runs on has FAT: the boot partition is ext4 here. The stick as it is
//! written for people boots in QEMU.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::arithmetic_side_effects,
    reason = "a test's own steps may fail loudly"
)]

use std::fs::{self, File};
use std::os::unix::fs::{FileExt, MetadataExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use kubermesh_node::channel::StorageReport;
use kubermesh_storage::{Place, prepare, unmount_all};
use nix::sched::{CloneFlags, unshare};

/// A stick in a file, plugged in as a loop device until it is dropped.
struct Desk {
    folder: tempfile::TempDir,
    image: PathBuf,
    boot: String,
    device: Option<String>,
    _alone: MutexGuard<'static, ()>,
}

/// One desk at a time: a child that another test is just starting holds this one's files open until its
/// exec, and a mount is then busy.
static ONE_DESK: Mutex<()> = Mutex::new(());

/// Another boot partition's name for each desk: tests run side by side and all see all disks.
fn fresh_name() -> String {
    fs::read_to_string("/proc/sys/kernel/random/uuid").unwrap().trim().to_owned()
}

impl Desk {
    /// A stick of `mib` whose image was made for `image_mib`: boot partition in 1 to 9 MiB.
    fn new(image_mib: u64, mib: u64) -> Self {
        let alone = ONE_DESK.lock().unwrap_or_else(PoisonError::into_inner);
        let folder = tempfile::tempdir().unwrap();
        let image = folder.path().join("stick.img");
        let file = File::create(&image).unwrap();
        file.set_len(image_mib << 20).unwrap();
        let boot_name = fresh_name();
        let (name, path) = (format!("--partition-guid=1:{boot_name}"), image.display().to_string());
        run("sgdisk", &["--new=1:2048:+8M", "--typecode=1:EF00", &name, &path]);
        let (files, boot) = (folder.path().join("files"), folder.path().join("boot.img"));
        fs::create_dir_all(files.join("kubermesh")).unwrap();
        fs::write(files.join("kubermesh/node.toml"), "[node]\nhostname = \"desk\"\n").unwrap();
        File::create(&boot).unwrap().set_len(8 << 20).unwrap();
        let (from, to) = (files.display().to_string(), boot.display().to_string());
        run("mkfs.ext4", &["-q", "-F", "-d", &from, &to]);
        file.write_all_at(&fs::read(&boot).unwrap(), 1 << 20).unwrap();
        file.set_len(mib << 20).unwrap();
        let variable: Vec<u8> = [6, 0, 0, 0]
            .into_iter()
            .chain(
                format!("{}\0", boot_name.to_uppercase()).encode_utf16().flat_map(u16::to_le_bytes),
            )
            .collect();
        let named = "LoaderDevicePartUUID-4a67b082-0a4c-41cf-b6c7-440b29bb8c4f";
        fs::create_dir(folder.path().join("efivars")).unwrap();
        fs::write(folder.path().join("efivars").join(named), variable).unwrap();
        Self { folder, image, boot: boot_name, device: None, _alone: alone }
    }

    fn place(&self) -> Place {
        Place {
            efivars: self.folder.path().join("efivars"),
            pstore: self.folder.path().join("pstore"),
            state: self.folder.path().join("state"),
            var: self.folder.path().join("var"),
            esp: "ext4",
            stick_patience: Duration::from_millis(500),
            port_patience: Duration::from_millis(100),
            ..Place::default()
        }
    }

    /// This machine's disks, in a machine whose firmware says a serial number.
    fn sysfs(&self) -> PathBuf {
        let sysfs = self.folder.path().join("sys");
        fs::create_dir_all(sysfs.join("class/dmi/id")).unwrap();
        fs::write(sysfs.join("class/dmi/id/product_serial"), "KM-4711\n").unwrap();
        symlink("/sys/class/block", sysfs.join("class/block")).unwrap();
        symlink("/sys/dev", sysfs.join("dev")).unwrap();
        sysfs
    }

    fn plug_in(&mut self, options: &[&str]) {
        let image = self.image.display().to_string();
        let arguments = [options, &["--partscan", "--show", "--find", &image]].concat();
        self.device = Some(run("losetup", &arguments).trim().to_owned());
    }

    fn pull_out(&mut self) {
        if let Some(device) = self.device.take() {
            // BLKPG partitions of a detached loop device go with it.
            run("losetup", &["--detach", &device]);
            // That is lazy while somebody who looks at all disks has it open: until it is gone the
            // next boot would find two sticks of one name.
            let file = Path::new("/sys/block")
                .join(device.trim_start_matches("/dev/"))
                .join("loop/backing_file");
            let deadline = Instant::now() + Duration::from_secs(10);
            let ours = self.image.to_string_lossy();
            // A file of sysfs tells nobody that it goes.
            while fs::read_to_string(&file).is_ok_and(|name| name.trim_end() == ours) {
                assert!(
                    Instant::now() < deadline,
                    "{device} is still there 10 s after it was detached"
                );
                std::thread::sleep(Duration::from_millis(5));
            }
        }
    }

    /// A boot: plug in, the task, the end, pull out.
    fn boot(&mut self, options: &[&str]) -> StorageReport {
        self.plug_in(options);
        let report = prepare(&self.place());
        let left = unmount_all(&self.place());
        assert_eq!(left, [], "{report:?}");
        self.pull_out();
        report
    }
}

impl Drop for Desk {
    fn drop(&mut self) {
        let place = self.place();
        let _ = unmount_all(&place);
        for root in [&place.var, &place.state] {
            // What is left is in memory; the folder goes away with the desk.
            let _ = Command::new("umount").arg("--quiet").arg(root).status();
        }
        self.pull_out();
    }
}

/// Another stick, until it is dropped.
struct Plugged(String);

impl Drop for Plugged {
    fn drop(&mut self) {
        let _ = Command::new("losetup").args(["--detach", &self.0]).status();
    }
}

fn run(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output();
    let output = output.unwrap_or_else(|refusal| panic!("{program}: {refusal}"));
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program} {arguments:?}: {said}{errors}");
    said
}

/// This thread's mounts are its own from now on, and go away with it.
fn alone() {
    unshare(CloneFlags::CLONE_NEWNS).expect("a mount namespace: run the tests as root");
    run("mount", &["--make-rprivate", "/"]);
}

fn sentences(report: &StorageReport) -> Vec<String> {
    report.faults.iter().map(|wrong| format!("{}: {}", wrong.subject, wrong.sentence)).collect()
}

#[test]
fn a_first_boot_makes_both_rooms_and_a_second_finds_what_the_first_left() {
    alone();
    let mut desk = Desk::new(16, 400);
    let place = desk.place();
    // As PID 1 does.
    fs::create_dir(&place.var).unwrap();
    run("mount", &["-t", "tmpfs", "early", place.var.to_str().unwrap()]);
    desk.plug_in(&[]);
    let first = prepare(&place);
    let device = desk.device.clone().unwrap();
    assert_eq!(sentences(&first), Vec::<String>::new());
    assert_eq!(first.state, Some(format!("{device}p2")));
    assert_eq!(first.data, Some(format!("{device}p3")));
    assert_eq!(first.node_toml.as_deref(), Some("[node]\nhostname = \"desk\"\n"));
    assert_eq!(fs::metadata(place.var.join("lib/etcd")).unwrap().mode() & 0o7777, 0o700);
    assert_eq!(fs::read_link(place.var.join("run")).unwrap(), Path::new("/run"));
    let text = fs::read_to_string(place.state.join("identity.toml")).unwrap();
    assert!(text.contains(&first.identity), "{text}");
    fs::write(place.var.join("lib/kept"), "kept").unwrap();
    let content = place.var.join("lib/containerd/io.containerd.content.v1.content");
    fs::create_dir_all(content.join("ingest/8d28")).unwrap();
    assert_eq!(prepare(&place), first, "a second run only reports");
    assert!(content.join("ingest/8d28").exists(), "containerd may be at work then");
    assert_eq!(unmount_all(&place), []);
    desk.pull_out();
    // gdisk's own judgement of our table.
    let verdict = run("sgdisk", &["--verify", &desk.image.display().to_string()]);
    assert!(verdict.contains("No problems found"), "{verdict}");

    desk.plug_in(&[]);
    let second = prepare(&place);
    assert_eq!(sentences(&second), Vec::<String>::new());
    assert_eq!(second.identity, first.identity);
    assert_eq!(fs::read_to_string(place.var.join("lib/kept")).unwrap(), "kept");
    assert!(!content.join("ingest/8d28").exists(), "its owner would stumble over it");
    assert_eq!(unmount_all(&place), []);
    desk.pull_out();
}

#[test]
fn a_read_only_stick_keeps_the_identity_and_the_node_runs_from_memory() {
    alone();
    let mut desk = Desk::new(16, 400);
    let first = desk.boot(&[]);
    let second = desk.boot(&["--read-only"]);
    assert_eq!((second.state.clone(), second.data.clone()), (None, None));
    assert_eq!(second.identity, first.identity);
    assert!(second.node_toml.is_some());
    let said = sentences(&second).join("\n");
    assert!(said.starts_with("boot stick: loop"), "{said}");
    assert!(said.ends_with("cannot be written: this node runs from memory"), "{said}");
}

#[test]
fn a_full_stick_is_told_with_the_room_that_it_lacks() {
    alone();
    let report = Desk::new(16, 16).boot(&[]);
    assert_eq!(
        sentences(&report),
        [
            "boot stick: no room for STATE: 64 MiB needed, 6 MiB free",
            "boot stick: no room for DATA: 256 MiB needed, 6 MiB free",
        ]
    );
    assert_eq!((report.state, report.data), (None, None));
    assert!(report.node_toml.is_some());
}

#[test]
fn a_stick_that_does_not_appear_is_told_after_its_time() {
    alone();
    let desk = Desk::new(16, 16);
    let place = desk.place();
    let report = prepare(&place);
    let said = sentences(&report).join("\n");
    assert!(
        said.contains(&format!("the boot stick (partition {}) has not appeared", desk.boot)),
        "{said}"
    );
    fs::remove_dir_all(&place.efivars).unwrap();
    fs::create_dir(&place.efivars).unwrap();
    assert_eq!(unmount_all(&place), []);
    let report = prepare(&place);
    assert_eq!(
        sentences(&report).first().unwrap(),
        "boot stick: the boot loader did not say which disk it started from; this node runs from memory"
    );
    assert_eq!(unmount_all(&place), []);
}

#[test]
fn of_two_sticks_with_one_name_none_is_touched() {
    alone();
    let mut desk = Desk::new(16, 400);
    let copy = desk.folder.path().join("copy.img");
    fs::copy(&desk.image, &copy).unwrap();
    let copy = copy.display().to_string();
    let other = Plugged(run("losetup", &["--show", "--find", &copy]).trim().to_owned());
    desk.plug_in(&[]);
    let before = fs::read(&desk.image).unwrap();
    let report = prepare(&desk.place());
    let _ = unmount_all(&desk.place());
    drop(other);
    desk.pull_out();
    let said = sentences(&report).join("\n");
    assert!(said.contains("which one was booted from cannot be told"), "{said}");
    assert_eq!((report.state, report.data, report.node_toml), (None, None, None));
    assert!(fs::read(&desk.image).unwrap() == before && fs::read(&copy).unwrap() == before);
}

#[test]
fn an_identity_that_cannot_be_read_is_left_for_a_person() {
    alone();
    let mut desk = Desk::new(16, 400);
    let place = Place { sysfs: desk.sysfs(), ..desk.place() };
    desk.plug_in(&[]);
    let first = prepare(&place);
    let path = place.state.join("identity.toml");
    let mut text = fs::read_to_string(&path).unwrap();
    text.push_str("colour = \"of a later version\"\n");
    fs::write(&path, &text).unwrap();
    assert_eq!(unmount_all(&place), []);
    let second = prepare(&place);
    let said = sentences(&second).join("\n");
    assert!(said.contains("unknown field `colour`"), "{said}");
    assert_ne!(second.identity, first.identity);
    assert_eq!(fs::read_to_string(&path).unwrap(), text);
    assert_eq!(prepare(&place).identity, second.identity, "the hardware says who it is");
    fs::remove_dir_all(place.sysfs.join("class/dmi")).unwrap();
    let [third, fourth] = [prepare(&place), prepare(&place)];
    assert!(sentences(&third).join("\n").contains("another one after each boot"), "{third:?}");
    assert_ne!(third.identity, fourth.identity);
    assert_eq!(unmount_all(&place), []);
    desk.pull_out();
}

#[test]
fn a_mkfs_that_was_cut_short_runs_again_and_a_made_file_system_never() {
    alone();
    let mut desk = Desk::new(16, 400);
    let first = desk.boot(&[]);
    let stick = File::options().read(true).write(true).open(&desk.image).unwrap();
    // STATE begins at 9 MiB: its superblock is torn, and every copy with it.
    stick.write_all_at(&vec![0xa5; 60 << 20], 9 << 20).unwrap();
    let hurt = desk.boot(&[]);
    let said = sentences(&hurt).join("\n");
    assert_eq!((hurt.state.clone(), hurt.data.is_some()), (None, true), "{said}");
    assert!(said.contains("cannot be repaired without a person"), "{said}");
    // As if the power had gone before the mark: bit 48 of the second partition's flags.
    run("sgdisk", &["--attributes=2:clear:48", &desk.image.display().to_string()]);
    let again = desk.boot(&[]);
    assert_eq!(sentences(&again), Vec::<String>::new());
    assert!(again.state.is_some() && again.identity != first.identity);
}

/// The kernel writes it at each mount, in two sectors with one checksum.
#[test]
fn a_superblock_that_a_power_cut_tore_is_restored() {
    alone();
    // DATA is large enough for blocks of 4096 bytes; STATE has them of 1024.
    let mut desk = Desk::new(16, 1024);
    let first = desk.boot(&[]);
    let file = File::options().write(true).open(&desk.image).unwrap();
    for number in [2, 3] {
        let text = run("sgdisk", &[&format!("--info={number}"), &desk.image.display().to_string()]);
        let sector = text.lines().find_map(|line| line.strip_prefix("First sector: ")).unwrap();
        let sector: u64 = sector.split(' ').next().unwrap().parse().unwrap();
        // ext4: the superblock begins at byte 1024, its last four bytes are its checksum.
        file.write_all_at(b"torn", sector * 512 + 2044).unwrap();
    }
    let second = desk.boot(&[]);
    assert_eq!(second.identity, first.identity);
    let words = ["STATE", "DATA"]
        .map(|room| format!("{room}: the file system had errors and was mended: its superblock is restored from a backup: "));
    let told = sentences(&second);
    assert!(
        told.len() == 2 && told.iter().zip(&words).all(|(told, words)| told.starts_with(words)),
        "{told:?}"
    );
    assert_eq!(sentences(&desk.boot(&[])), [""; 0]);
}

#[test]
fn a_table_torn_at_the_start_is_mended_from_the_end() {
    alone();
    let mut desk = Desk::new(16, 400);
    let first = desk.boot(&[]);
    let stick = File::options().read(true).write(true).open(&desk.image).unwrap();
    stick.write_all_at(&[0xa5; 1024], 512).unwrap();
    let second = desk.boot(&[]);
    assert_eq!(sentences(&second), Vec::<String>::new());
    assert_eq!((second.identity, second.state.is_some()), (first.identity, true));
    let verdict = run("sgdisk", &["--verify", &desk.image.display().to_string()]);
    assert!(verdict.contains("No problems found"), "{verdict}");
}

#[test]
fn the_power_goes_while_files_are_written_and_the_copy_mounts() {
    alone();
    let mut desk = Desk::new(16, 400);
    let place = desk.place();
    desk.plug_in(&[]);
    let first = prepare(&place);
    for number in 0..50 {
        fs::write(place.var.join(format!("cache/{number}")), vec![b'x'; 100_000]).unwrap();
        if number == 25 {
            File::open(place.var.join("cache/25")).unwrap().sync_all().unwrap();
        }
    }
    let copy = desk.folder.path().join("copy.img");
    fs::copy(&desk.image, &copy).unwrap();
    assert_eq!(unmount_all(&place), []);
    desk.pull_out();
    fs::rename(&copy, &desk.image).unwrap();
    desk.plug_in(&[]);
    let second = prepare(&place);
    assert_eq!(second.identity, first.identity, "{:?}", sentences(&second));
    assert!(second.state.is_some() && second.data.is_some(), "{:?}", sentences(&second));
    assert_eq!(fs::read(place.var.join("cache/25")).unwrap(), vec![b'x'; 100_000]);
    assert_eq!(unmount_all(&place), []);
    desk.pull_out();
}
