// SPDX-License-Identifier: Apache-2.0
//! From a recipe to QEMU's command line.
//!
//! Nothing here depends on the host but the accelerator, and that only when a person asks for it: a /dev/kvm that
//! opens proves nothing on a nested host.

use std::env;
use std::path::Path;

use anyhow::{Context, Result, bail};

use super::firmware::Firmware;
use super::recipe::{Accelerator, Boot, Nic, Recipe, SerialPort};
use crate::wire::{Port, device};

/// The arguments of one start.
pub(super) fn arguments(recipe: &Recipe, folder: &Path, ports: &[Port]) -> Result<Vec<String>> {
    let mut line = Line(vec!["qemu-system-x86_64".to_owned()]);
    board(&mut line, recipe, folder)?;
    system(&mut line, recipe, folder)?;
    serial(&mut line, recipe, folder);
    for (number, nic) in recipe.nics.iter().enumerate() {
        let port = ports.get(number).context("a network card has no port")?;
        network_card(&mut line, recipe, number, *nic, port);
    }
    for number in 0..recipe.light_sockets {
        let path = folder.join(light_socket(number));
        line.add(
            "-chardev",
            format!("socket,id=light{number},path={},server=on,wait=off", path.display()),
        );
        line.add("-device", format!("usb-redir,id=blink{number},chardev=light{number},bus=xhci.0"));
    }
    line.0.extend(recipe.extra.iter().cloned());
    Ok(line.0)
}

/// The socket behind a USB socket for a blink(1).
pub(super) fn light_socket(number: usize) -> String {
    format!("light{number}")
}

/// A device's property list for `device_add`, the same as on the command line.
pub(super) fn network_device(recipe: &Recipe, number: usize) -> Option<serde_json::Value> {
    let driver = driver(*recipe.nics.get(number)?);
    Some(serde_json::json!({
        "driver": driver, "id": device(number), "netdev": format!("wire{number}"), "bus": format!("slot{number}"),
        "mac": mac(recipe.identity, number), "romfile": "",
    }))
}

struct Line(Vec<String>);

impl Line {
    fn add(&mut self, option: &str, value: String) {
        self.0.extend([option.to_owned(), value]);
    }
}

fn board(line: &mut Line, recipe: &Recipe, folder: &Path) -> Result<()> {
    let (accelerator, processor) = accelerator(recipe.accelerator)?;
    line.add("-name", recipe.name.clone());
    line.0.extend(["-nodefaults", "-no-user-config", "-display", "none", "-S"].map(str::to_owned));
    line.add("-accel", accelerator.to_owned());
    line.add("-machine", "q35".to_owned());
    line.add("-cpu", processor.to_owned());
    line.add("-m", format!("{}M", recipe.memory_mib));
    line.add("-smp", recipe.cpus.to_string());
    line.add("-qmp", format!("unix:{}", folder.join("qmp").display()));
    line.add("-device", "qemu-xhci,id=xhci,p2=8,p3=8".to_owned());
    line.add("-device", "virtio-rng-pci".to_owned());
    // A guest that panics reboots by itself (its command line says `panic=`); QEMU shall not stop it.
    line.add("-action", "panic=none,watchdog=reset".to_owned());
    if recipe.watchdog {
        line.add("-device", "i6300esb".to_owned());
    }
    if recipe.screen {
        line.add("-device", "VGA".to_owned());
    }
    identity(line, recipe);
    if recipe.agent {
        let path = folder.join("agent");
        line.add("-device", "virtio-serial-pci".to_owned());
        line.add("-chardev", format!("socket,id=agent,path={},server=on,wait=off", path.display()));
        line.add("-device", "virtserialport,chardev=agent,name=org.kubermesh.test".to_owned());
    }
    Ok(())
}

/// What the guest reads in the firmware's tables.
fn identity(line: &mut Line, recipe: &Recipe) {
    let identity = recipe.identity;
    let uuid = format!("{identity:08x}-6b75-4265-8d65-736800000000");
    line.add("-uuid", uuid.clone());
    line.add(
        "-smbios",
        format!(
            "type=1,manufacturer=Kubermesh,product=Desk,serial=DESK-{identity:08X},uuid={uuid}"
        ),
    );
    if !recipe.cmdline.is_empty() {
        let words = recipe.cmdline.join(" ").replace(',', ",,");
        line.add("-smbios", format!("type=11,value=io.systemd.stub.kernel-cmdline-extra={words}"));
    }
}

fn system(line: &mut Line, recipe: &Recipe, folder: &Path) -> Result<()> {
    let firmware = |line: &mut Line| -> Result<()> {
        let firmware = Firmware::install(folder)?;
        let flash = "if=pflash,format=raw";
        line.add("-drive", format!("{flash},unit=0,readonly=on,file={}", firmware.code.display()));
        line.add("-drive", format!("{flash},unit=1,file={}", firmware.variables.display()));
        Ok(())
    };
    match &recipe.boot {
        None => firmware(line)?,
        Some(Boot::Stick(stick)) => {
            firmware(line)?;
            if let Some(brake) = stick.brake() {
                line.add("-object", brake);
            }
            line.add("-blockdev", stick.blockdev(folder).to_string());
            line.add(
                "-device",
                "usb-storage,id=stick,bus=xhci.0,drive=stick,bootindex=0,removable=on".to_owned(),
            );
        }
        Some(Boot::Uki(_)) => {
            firmware(line)?;
            let tree = folder.join("esp");
            line.add(
                "-drive",
                format!("if=none,id=uki,readonly=on,format=raw,file=fat:{}", tree.display()),
            );
            line.add(
                "-device",
                "usb-storage,id=stick,bus=xhci.0,drive=uki,bootindex=0,removable=on".to_owned(),
            );
        }
        Some(Boot::Kernel { kernel, initramfs, cmdline }) => {
            line.add("-kernel", kernel.display().to_string());
            line.add("-initrd", initramfs.display().to_string());
            line.add("-append", cmdline.clone());
        }
    }
    Ok(())
}

fn serial(line: &mut Line, recipe: &Recipe, folder: &Path) {
    let path = |name: &str| folder.join(name).display().to_string();
    match recipe.serial {
        SerialPort::Absent => {}
        SerialPort::Read | SerialPort::Slow => {
            let (socket, log) = (path("serial"), path("serial.log"));
            let keep = format!("logfile={log},logappend=on");
            line.add(
                "-chardev",
                format!("socket,id=serial,path={socket},server=on,wait=off,{keep}"),
            );
            line.add("-serial", "chardev:serial".to_owned());
        }
        SerialPort::Blocked => {
            line.add("-chardev", format!("pipe,id=serial,path={}", path("blocked")));
            line.add("-serial", "chardev:serial".to_owned());
        }
    }
}

fn network_card(line: &mut Line, recipe: &Recipe, number: usize, nic: Nic, port: &Port) {
    let (near, far) = (port.socket().display(), port.far().display());
    let near = format!("local.type=unix,local.path={near}");
    line.add("-netdev", format!("dgram,id=wire{number},{near},remote.type=unix,remote.path={far}"));
    // A slot of its own: a card on the root complex cannot be unplugged.
    line.add(
        "-device",
        format!("pcie-root-port,id=slot{number},bus=pcie.0,chassis={number},slot={number}"),
    );
    let mac = mac(recipe.identity, number);
    let place = format!("id={},netdev=wire{number},bus=slot{number}", device(number));
    line.add("-device", format!("{},{place},mac={mac},romfile=", driver(nic)));
}

fn driver(nic: Nic) -> &'static str {
    match nic {
        Nic::Virtio => "virtio-net-pci",
        Nic::E1000e => "e1000e",
        Nic::Igb => "igb",
    }
}

/// QEMU's own prefix, three bytes of the machine's identity, the port.
fn mac(identity: u32, number: usize) -> String {
    let [_, a, b, c] = identity.to_be_bytes();
    format!("52:54:{a:02x}:{b:02x}:{c:02x}:{number:02x}")
}

fn accelerator(wish: Option<Accelerator>) -> Result<(&'static str, &'static str)> {
    let accelerator = match (wish, env::var("ACCEL").as_deref()) {
        (Some(wish), _) => wish,
        (None, Err(_) | Ok("" | "tcg")) => Accelerator::Tcg,
        (None, Ok("kvm")) => Accelerator::Kvm,
        (None, Ok(other)) => bail!("ACCEL={other}, allowed is tcg or kvm"),
    };
    Ok(match accelerator {
        // x86-64-v2: all that the image needs, and cheaper to emulate than wide vectors. By a maker whose processors
        // need no page-table isolation: under emulation that empties the translation buffer twice a system call.
        Accelerator::Tcg => ("tcg", "Nehalem,vendor=AuthenticAMD"),
        Accelerator::Kvm => ("kvm", "host"),
    })
}
