// SPDX-License-Identifier: Apache-2.0
//! A node with something missing or wrong from the start: it comes up with what is there and says what is not.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "a test may stop where it stands"
)]

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use kubermesh_qemu::{Boot, Folder, Nic, Recipe, SerialPort, Stick};
use kubermesh_tests::{Node, image, soon, test_stick};
use serde_json::json;

/// As an editor on Windows writes it; the key in the fourth line is misspelt.
const BAD_NODE_TOML: &str =
    "# My mesh.\r\n[mesh]\r\nprefix = \"fd12:3456:789a::/64\"\r\nhelo = \"2s\"\r\n";

#[test]
fn a_bad_node_toml_is_told_with_its_line_and_what_is_good_of_it_holds() -> Result<()> {
    let folder = Folder::new("wish")?;
    let stick = stick_with(BAD_NODE_TOML, &folder)?;
    // And its battery is empty: the machine's own clock has lost 26 years.
    let recipe = Recipe::new("wish").stick(stick).argument("-rtc").argument("base=2000-01-01");
    // Who reads it does so at 9600 baud.
    let node = Node { machine: recipe.serial(SerialPort::Slow).boot()? };

    node.machine.serial().wait(" days before this image: its battery may be empty", soon())?;
    // A misspelt name takes no node out of its mesh.
    node.machine.serial().wait(", fd12:3456:789a:", soon())?;
    let fault = node.machine.serial().wait("kubermesh: fault: node.toml: ", soon())?.text;
    for words in ["line 4, column 1", "`helo`", "expected one of `prefix`, `hello`, `dead`, `bfd`"]
    {
        ensure!(fault.contains(words), "{words:?} is not in: {fault}");
    }
    let sentence = node.wait_status("isolated")?;
    ensure!(sentence.starts_with("no neighbour: no cable on "), "{sentence}");
    runs_its_pod(&node)?;
    its_clock_is_not_before_the_image(&node)?;
    let (faults, told) = (node.faults()?, fault.split_once("fault: ").context("no fault")?.1);
    ensure!(faults == [told.trim_end()], "{faults:?} and on the serial port {told:?}");
    all_services_run_the_first_time(&node)?;
    its_serial_port_told_whole_lines(&node)?;
    its_serial_port_tells_whole_pages(&node)?;
    node.machine.agent().must(&[
        "/usr/bin/busybox",
        "ip",
        "addr",
        "show",
        "to",
        "fd12:3456:789a::/64",
    ])?;
    Ok(())
}

/// Each line of ours is one of the kernel's log, from its first word to its last.
fn its_serial_port_told_whole_lines(node: &Node) -> Result<()> {
    // First the port: what is said between the two is in the log alone.
    let lines = node.machine.serial().lines();
    let log = node.run(&["/usr/bin/busybox", "dmesg"])?;
    let own = |line: &str| line.split_once("kubermesh: ").map(|(_, words)| words.to_owned());
    let said: Vec<String> = log.lines().filter_map(own).collect();
    let heard: Vec<String> = lines.iter().filter_map(|line| own(&line.text)).collect();
    println!("{} of our lines on the serial port, {} in the kernel's log", heard.len(), said.len());
    ensure!(heard.len() > 5, "{heard:#?}");
    for words in heard {
        ensure!(said.contains(&words), "{words:?} is no line of\n{log}");
    }
    Ok(())
}

/// Somebody asks for more than the line carries, and for more than the kernel keeps for it.
fn its_serial_port_tells_whole_pages(node: &Node) -> Result<()> {
    let serial = node.machine.serial();
    let first = serial.lines().len();
    for _ in 0..12 {
        serial.type_bytes(b"hhhhhhhhhh")?;
        std::thread::sleep(PAUSE);
    }
    let asked = Instant::now();
    node.ask(&["status"])?;
    println!("an answer beside a full line after {:.1?}", asked.elapsed());
    std::thread::sleep(PAUSE);
    serial.forget();
    serial.type_bytes(b"x")?;
    serial.wait_for("the last answer", soon(), |line| line == "Press s for status, h for help.")?;
    let lines = serial.lines();
    let told: Vec<&str> = lines[first..].iter().map(|line| &*line.text).collect();
    let starts = told.iter().enumerate().filter(|(_, line)| **line == HELP[0]);
    let pages: Vec<_> = starts.map(|(at, _)| told.get(at..at + HELP.len())).collect();
    println!("{} pages, {:.1?} after the last key", pages.len(), asked.elapsed());
    ensure!(pages.len() >= 20, "{told:#?}");
    ensure!(pages.iter().all(|page| *page == Some(&HELP[..])), "{told:#?}");
    Ok(())
}

/// What comes too fast is no person's, until it is quiet for a second.
const PAUSE: Duration = Duration::from_millis(1200);

const HELP: [&str; 9] = [
    "s  status: what this node waits for",
    "v  services",
    "l  last errors",
    "k  links and neighbours",
    "i  identify: blink the light for 60 s",
    "r  restart a service",
    "B  reboot",
    "P  power off",
    "h  this help",
];

fn its_clock_is_not_before_the_image(node: &Node) -> Result<()> {
    let image: u64 = node.machine.agent().read_text("/usr/lib/kubermesh/epoch")?.trim().parse()?;
    let now: u64 = node.run(&["/usr/bin/busybox", "date", "+%s"])?.trim().parse()?;
    // 946684800 is 2000-01-01.
    ensure!(image > 946_684_800 && now >= image && now < image + 3600, "{now}, the image {image}");
    Ok(())
}

#[test]
fn a_node_needs_no_port_no_light_and_nobody_at_its_serial_port() -> Result<()> {
    let disks = OtherDisks::make()?;
    let recipe = Recipe::new("bare").nics(&[]).light_sockets(0).serial(SerialPort::Blocked);
    let recipe =
        disks.arguments().iter().fold(recipe.screen(), |recipe, word| recipe.argument(word));
    let node = Node { machine: recipe.stick(test_stick()?).boot()? };

    runs_its_pod(&node)?;
    its_screen_tells_the_status(&node)?;
    let status = &node.ask(&["status"])?["status"];
    let wanted = "no neighbour: this machine has no mesh port; 1 of 1 pods run";
    ensure!(status["sentence"] == wanted, "{status}");
    ensure!(node.faults()?.is_empty(), "{status}");
    ensure!(node.ask(&["links"])?["ports"] == json!([]), "there is a port");
    let lights = &node.ask(&["light"])?["lights"];
    ensure!(*lights == json!({ "devices": [], "faults": [] }), "{lights}");
    all_services_run_the_first_time(&node)?;
    disks.are_found(&node)?;
    node.machine.power_cut()?;
    disks.are_as_they_were()
}

#[test]
fn a_node_needs_no_disk_and_no_serial_port() -> Result<()> {
    let recipe = Recipe::new("diskless").serial(SerialPort::Absent).nics(&[Nic::E1000e]);
    let uki = Boot::Uki(image("kubermesh.efi")?);
    let node = Node { machine: recipe.boot_from(uki).boot()? };

    runs_its_pod(&node)?;
    ensure!(node.ask(&["links"])?["ports"][0]["name"] == "eth0", "an e1000e is no port");
    let mounts = node.machine.agent().read_text("/proc/mounts")?;
    for point in ["/state", "/var"] {
        let last = mounts.lines().rfind(|line| line.split(' ').nth(1) == Some(point));
        let kind = last.and_then(|line| line.split(' ').nth(2));
        ensure!(kind == Some("tmpfs"), "{point} is no tmpfs:\n{mounts}");
    }
    let faults = node.faults()?;
    let wanted = [
        "node.toml: no [mesh] prefix of its own: uses the one of all who chose none",
        "boot stick: the boot loader did not say which disk it started from; this node runs from memory",
        "log in memory: will not outlive this boot: STATE is not mounted",
    ];
    ensure!(faults == wanted, "{faults:?}");
    all_services_run_the_first_time(&node)
}

/// What nobody reads of the serial port stands on the screen.
fn its_screen_tells_the_status(node: &Node) -> Result<()> {
    node.wait_until("the status on the screen", |node| {
        let screen = node.run(&["/usr/bin/busybox", "cat", "/dev/vcs1"])?;
        ensure!(screen.contains("no neighbour: this machine has no mesh port"), "{screen}");
        Ok(true)
    })
}

/// Two disks of the machine's owner: an empty NVMe, which invites to be formatted, and one on SATA with his photos.
struct OtherDisks(Folder);

impl OtherDisks {
    fn make() -> Result<Self> {
        let disks = Self(Folder::new("disks")?);
        let [empty, photos] = disks.wanted();
        std::fs::write(disks.0.file("nvme.img"), empty)?;
        std::fs::write(disks.0.file("sata.img"), photos)?;
        Ok(disks)
    }

    fn wanted(&self) -> [Vec<u8>; 2] {
        let photos = b"photo ".repeat(DISK_BYTES / 6 + 1);
        [vec![0; DISK_BYTES], photos.into_iter().take(DISK_BYTES).collect()]
    }

    fn arguments(&self) -> Vec<String> {
        let file = |node: &str, name: &str| {
            let path = self.0.file(name);
            format!("driver=raw,node-name={node},file.driver=file,file.filename={}", path.display())
        };
        // The board has a SATA controller, `ide`; its third port is the kernel's ata3.
        let words = [
            ("-blockdev", file("empty", "nvme.img")),
            ("-device", "nvme,drive=empty,serial=empty".to_owned()),
            ("-blockdev", file("photos", "sata.img")),
            ("-device", "ide-hd,drive=photos,bus=ide.2".to_owned()),
        ];
        words.into_iter().flat_map(|(option, value)| [option.to_owned(), value]).collect()
    }

    /// Their drivers are there, and nothing was ever written.
    fn are_found(&self, node: &Node) -> Result<()> {
        let disks = node.run(&["/usr/bin/busybox", "ls", "-l", "/sys/block"])?;
        for driver in ["/nvme/", "/ata3/"] {
            let disk = disks.lines().find(|line| line.contains(driver));
            let name = disk.and_then(|line| line.rsplit('/').next()).context(disks.clone())?;
            node.run(&["/usr/bin/busybox", "test", "-b", &format!("/dev/{name}")])?;
            let counts = node.machine.agent().read_text(&format!("/sys/block/{name}/stat"))?;
            // iostats.rst: the fifth field counts writes.
            ensure!(counts.split_whitespace().nth(4) == Some("0"), "{name}: {counts}");
        }
        Ok(())
    }

    /// The machine is off.
    fn are_as_they_were(&self) -> Result<()> {
        for (name, wanted) in ["nvme.img", "sata.img"].into_iter().zip(self.wanted()) {
            ensure!(std::fs::read(self.0.file(name))? == wanted, "{name} was written to");
        }
        Ok(())
    }
}

const DISK_BYTES: usize = 64 << 20;

/// The test image's stick with another node.toml.
fn stick_with(node_toml: &str, folder: &Folder) -> Result<Stick> {
    let (copy, text) = (folder.file("stick.img"), folder.file("node.toml"));
    std::fs::write(&text, node_toml)?;
    run(Command::new("cp").arg("--sparse=always").arg(image("kubermesh-usb.img")?).arg(&copy))?;
    // The boot partition begins at 1 MiB.
    run(Command::new("mcopy")
        .env("MTOOLSRC", "/dev/null")
        .args(["-o", "-i", &at_one_mib(&copy)])
        .arg(&text)
        .arg("::/kubermesh/node.toml"))?;
    Ok(Stick::from_image(copy).size_mib(4096))
}

fn at_one_mib(image: &Path) -> String {
    format!("{}@@1048576", image.display())
}

fn run(command: &mut Command) -> Result<()> {
    let output = command.output().with_context(|| format!("run {command:?}"))?;
    ensure!(output.status.success(), "{command:?}: {output:?}");
    Ok(())
}

/// It has come as far as a node alone can.
fn runs_its_pod(node: &Node) -> Result<()> {
    node.machine.agent().wait(soon())?;
    node.wait_until("the pod runs", |node| {
        let status = node.ask(&["status"])?;
        Ok(status["word"] == "isolated" && status["pods"]["running"] == 1)
    })
}

fn all_services_run_the_first_time(node: &Node) -> Result<()> {
    for (name, service) in node.services()? {
        let is_there = service.state == "running" && service.starts == 1;
        ensure!(
            is_there || service.state == "done" || service.state == "stopped",
            "{name}: {service:?}"
        );
    }
    Ok(())
}
