// SPDX-License-Identifier: Apache-2.0
//! The command line, described once: help, errors and defaults come from here.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

/// Packs a root tree and a kernel into Kubermesh's bootable image; refuses a bad one.
#[derive(Debug, Parser)]
#[command(name = "kubermesh-image", version)]
pub(crate) struct CommandLine {
    #[command(subcommand)]
    pub(crate) deed: Deed,
    /// Say the result as JSON on standard output
    #[arg(long, global = true)]
    pub(crate) json: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Deed {
    /// Build the unified kernel image: kernel, initramfs and the whole root in one file
    Uki(Uki),
    /// Build the USB stick's image from a UKI
    Usb(Usb),
    /// Put the root together and look at it, without packing it
    Check(Source),
}

/// What an image is made from. Run in the root of the checkout, or name the folders.
#[derive(Args, Debug)]
pub(crate) struct Source {
    /// Folder of the base's program (image/base.md)
    #[arg(long, value_name = "DIR", default_value = "image/debian")]
    pub(crate) base: PathBuf,
    /// Exactly the package versions recorded in the base's packages.lock
    #[arg(long)]
    pub(crate) locked: bool,
    /// Files to put into the root as they lie; a later one replaces files of an earlier one
    #[arg(long, value_name = "DIR", default_values = ["overlay"])]
    pub(crate) overlay: Vec<PathBuf>,
    /// Where the static `init`, `kubermesh` and `beacon` lie
    #[arg(long, value_name = "DIR", default_value = "target/x86_64-unknown-linux-musl/release")]
    pub(crate) bin_dir: PathBuf,
    /// Folders whose program `build` puts a Go root tree into a folder
    #[arg(long, value_name = "DIR", default_values = ["image/kube", "image/runtime"])]
    pub(crate) go: Vec<PathBuf>,
    /// Which kernel modules, each with its reason
    #[arg(long, value_name = "FILE", default_value = "image/modules.list")]
    pub(crate) modules: PathBuf,
    /// The kernel's command line, a word a row, each with its reason
    #[arg(long, value_name = "FILE", default_value = "image/cmdline")]
    pub(crate) cmdline: PathBuf,
    /// The one time of all files, seconds since 1970; a node's clock never starts before it
    #[arg(
        long,
        env = "SOURCE_DATE_EPOCH",
        value_name = "SECONDS",
        default_value_t = 1_767_225_600
    )]
    pub(crate) epoch: u64,
}

#[derive(Args, Debug)]
pub(crate) struct Uki {
    #[command(flatten)]
    pub(crate) source: Source,
    /// The UKI; packages, licences and boot loader are put beside it
    #[arg(long, value_name = "FILE", default_value = "out/kubermesh.efi")]
    pub(crate) out: PathBuf,
    /// How hard to pack the root: 1 is quick, 3 usual, 9 takes four times as long for five percent less
    #[arg(long, value_name = "1-22", default_value_t = 3, value_parser = clap::value_parser!(u8).range(1..=22))]
    pub(crate) level: u8,
}

#[derive(Args, Debug)]
pub(crate) struct Usb {
    /// The UKI, with its boot loader beside it
    #[arg(long, value_name = "FILE", default_value = "out/kubermesh.efi")]
    pub(crate) uki: PathBuf,
    /// The image file
    #[arg(long, value_name = "FILE", default_value = "out/kubermesh-usb.img")]
    pub(crate) out: PathBuf,
    /// How big: a number with MiB or GiB. The node makes STATE and DATA in what is free
    #[arg(long, value_name = "SIZE", default_value = "1GiB", value_parser = size)]
    pub(crate) size: u64,
    /// A node.toml of yours; without it the example with a random mesh prefix
    #[arg(long, value_name = "FILE")]
    pub(crate) node_toml: Option<PathBuf>,
    /// The same words give the same stick; without them each differs
    #[arg(long, value_name = "WORDS")]
    pub(crate) seed: Option<String>,
    /// The one time of all files, seconds since 1970
    #[arg(
        long,
        env = "SOURCE_DATE_EPOCH",
        value_name = "SECONDS",
        default_value_t = 1_767_225_600
    )]
    pub(crate) epoch: u64,
}

fn size(text: &str) -> Result<u64, String> {
    let wrong = || format!("{text} is not a size such as 1GiB or 1536MiB");
    let (number, unit) = [("GiB", 1 << 30), ("MiB", 1 << 20)]
        .into_iter()
        .find_map(|(name, bytes)| Some((text.strip_suffix(name)?, bytes)))
        .ok_or_else(wrong)?;
    number.trim().parse::<u64>().ok().and_then(|n| n.checked_mul(unit)).ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_well_made() {
        use clap::CommandFactory;
        CommandLine::command().debug_assert();
    }

    #[test]
    fn a_size_has_a_unit() {
        assert_eq!(size("1GiB"), Ok(1_073_741_824));
        assert_eq!(size("1536MiB"), Ok(1_610_612_736));
        assert_eq!(size("5"), Err("5 is not a size such as 1GiB or 1536MiB".to_owned()));
        assert_eq!(
            size("99999999999GiB"),
            Err("99999999999GiB is not a size such as 1GiB or 1536MiB".to_owned())
        );
    }
}
