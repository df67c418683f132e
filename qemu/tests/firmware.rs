// SPDX-License-Identifier: Apache-2.0
//! The desk without any image: the firmware alone shows that machines, cables, sticks and lights do what they say.

use std::fs;
use std::time::Duration;

use anyhow::Result;
use kubermesh_qemu::blink1::{Blink1, Kind};
use kubermesh_qemu::{Cable, Folder, Machine, Nic, Recipe, SerialPort, Stick};

/// Under emulation, two at a time, beside all other tests.
const BOOT: Duration = Duration::from_secs(240);

fn machine(name: &str) -> Recipe {
    Recipe::new(name).memory_mib(256).argument("-boot").argument("menu=off")
}

fn wait_for_firmware(machine: &Machine) -> Result<()> {
    machine.serial().wait("BdsDxe: ", BOOT).map(drop)
}

#[test]
fn a_machine_is_switched_on_cut_and_switched_on_again() -> Result<()> {
    let node = machine("node1").nics(&[]).boot()?;
    wait_for_firmware(&node)?;
    let mark = node.mark()?;
    node.reset()?;
    node.wait_reset(mark, BOOT)?;
    wait_for_firmware(&node)?;

    node.power_cut()?;
    assert!(!node.is_on());
    let words = node.serial().wait("anything", BOOT).unwrap_err().to_string();
    assert!(words.contains("the machine ended: signal: 9"), "{words}");
    node.power_on()?;

    wait_for_firmware(&node)
}

#[test]
fn parts_are_pulled_out_and_put_in() -> Result<()> {
    let folder = Folder::new("image")?;
    fs::write(folder.file("usb.img"), vec![0; 1 << 20])?;
    let stick = Stick::from_image(folder.file("usb.img")).log_writes().size_mib(2);
    let one = machine("node1").stick(stick).boot()?;
    let two =
        machine("node2").nics(&[Nic::Virtio, Nic::E1000e]).serial(SerialPort::Blocked).boot()?;

    let cable = Cable::between(one.port(0)?, two.port(1)?)?;
    cable.pull()?;
    cable.plug()?;
    cable.lose_frames()?;
    let light = Blink1::new(Kind::Mk3, 1)?;
    light.plug(one.light_socket(0))?;
    one.unplug_stick(BOOT)?;
    one.plug_stick()?;
    one.power_cut()?;

    assert_eq!(one.write_log()?.requests(), 0);
    one.save_stick(&folder.file("saved.img"))?;
    assert_eq!(fs::metadata(folder.file("saved.img"))?.len(), 2 << 20);
    assert!(two.port(2).is_err());
    Ok(())
}

#[test]
fn a_machine_that_cannot_start_says_why() {
    let words = machine("node1").argument("-device").argument("no-such-card").boot().err();

    let words = words.map(|error| error.to_string()).unwrap_or_default();
    assert!(words.contains("'no-such-card' is not a valid device model name"), "{words}");
}

#[test]
fn nothing_is_left_of_a_machine() -> Result<()> {
    let node = machine("node1").boot()?;
    let (folder, pid) = (node.folder().to_path_buf(), node.qemu_pid()?);

    drop(node);

    assert!(!folder.exists());
    assert!(!std::path::Path::new(&format!("/proc/{pid}")).exists());
    Ok(())
}
