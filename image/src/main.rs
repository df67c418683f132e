// SPDX-License-Identifier: Apache-2.0
//! The program of this crate: reads the command line, does one deed, says how it went.

mod command;
mod output;
mod source;
mod uki_deed;
mod usb_deed;

use std::io::ErrorKind;
use std::process::ExitCode;

use anyhow::Error;
use clap::Parser;
use kubermesh_image::progress::Progress;
use serde_json::json;

use crate::command::{CommandLine, Deed};

fn main() -> ExitCode {
    let line = CommandLine::parse();
    let mut progress = Progress::default();
    let outcome = match &line.deed {
        Deed::Uki(wish) => uki_deed::build(wish, &mut progress),
        Deed::Usb(wish) => usb_deed::build(wish, &mut progress),
        Deed::Check(wish) => source::check_only(wish, &mut progress),
    };
    match outcome {
        Ok(mut result) => {
            if line.json {
                if let Some(object) = result.as_object_mut() {
                    object.insert("steps".to_owned(), json!(progress.steps()));
                }
                println!("{result}");
            }
            ExitCode::SUCCESS
        }
        Err(refusal) => {
            eprintln!("kubermesh-image: {refusal:#}{}", advice(&refusal));
            ExitCode::FAILURE
        }
    }
}

/// What to do about a cause that no step knows better.
fn advice(refusal: &Error) -> &'static str {
    let causes = refusal.chain().filter_map(|cause| cause.downcast_ref::<std::io::Error>());
    let mut kinds = causes.map(std::io::Error::kind);
    let is_full = kinds
        .any(|kind| matches!(kind, ErrorKind::StorageFull | ErrorKind::QuotaExceeded))
        || format!("{refusal:#}").to_lowercase().contains("no space left on device");
    if is_full {
        ": make room there, or name folders on another disk in KUBERMESH_CACHE and --out"
    } else {
        ""
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::Context;

    #[test]
    fn a_full_disk_is_told_with_what_to_do() {
        let full = std::io::Error::from(ErrorKind::StorageFull);
        let refusal = Err::<(), _>(full).context("write out/kubermesh.efi").unwrap_err();
        assert!(advice(&refusal).contains("make room there"));
        let tool = Error::msg("copy to the stick: mcopy: No space left on device");
        assert!(advice(&tool).contains("KUBERMESH_CACHE"));
        assert_eq!(advice(&Error::msg("read a file: permission denied")), "");
    }
}
