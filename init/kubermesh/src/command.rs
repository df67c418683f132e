// SPDX-License-Identifier: Apache-2.0
//! What may be typed. Help, usage errors and shell completion all come from this one description.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;
use kubermesh_node::control::SOCKET;
use kubermesh_node::service::ServiceName;
use kubermesh_node::time::Span;
use serde_json::Value;

/// Asks a Kubermesh node how it is, and tells it what to do.
#[derive(Debug, Parser)]
#[command(name = "kubermesh", version, after_help = EXAMPLES)]
pub(crate) struct Line {
    /// Print the node's own answer, as JSON
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// Ask at this socket
    #[arg(long, global = true, value_name = "PATH", default_value = SOCKET)]
    pub(crate) socket: PathBuf,
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// How the node is, and the one thing that it waits for
    #[command(
        after_help = "Examples:\n  kubermesh status\n  kubermesh status --wait ready --within 90s"
    )]
    Status(StatusLine),
    /// Why the node is not ready: the way from the cable to ready, step by step
    Why,
    /// Each service and how it does
    Services,
    /// Each port and the neighbour at its other end
    Links,
    /// What the light shows, in words
    Light,
    /// What services, the kernel and the workers said
    #[command(
        after_help = "Examples:\n  kubermesh logs\n  kubermesh logs kubelet -n 50\n  kubermesh logs kernel --follow\n  kubermesh logs --priority 4 --json\n  kubermesh logs --boot previous    # what did it say before it went down?"
    )]
    Logs(LogsLine),
    /// Stop a service and start it again
    #[command(after_help = "Example:\n  kubermesh restart bird")]
    Restart {
        /// Its name, as `kubermesh services` shows it
        service: ServiceName,
    },
    /// Blink so that a person finds this machine
    #[command(
        after_help = "Examples:\n  kubermesh identify\n  kubermesh identify --lasts 10min\n  kubermesh identify --lasts 0s    # enough"
    )]
    Identify {
        /// For how long; 0s ends it
        #[arg(long, value_name = "TIME", default_value = "60s")]
        lasts: Span,
    },
    /// Stop all services in order and start the machine again
    Reboot,
    /// Stop all services in order and switch the machine off
    Poweroff,
    /// Have PID 1 become another program, without a restart; it goes back where the new one does not answer
    #[command(
        after_help = "Example:\n  kubermesh upgrade-init /var/tmp/init\n\nThe file is a static program. It rehearses first: it reads a copy of what PID 1 knows. Then it takes\nPID 1's place, all services live on, and has 10 s to answer; else the old program goes on. Until the\nmachine starts again, that is: what it boots from is not changed."
    )]
    UpgradeInit {
        /// The program, an `init` of a Kubermesh image
        file: PathBuf,
    },
    /// Call a Varlink method of the node by its name, as a program would
    #[command(
        after_help = "Examples:\n  kubermesh call org.kubermesh.Node.Links\n  kubermesh call org.kubermesh.Node.Identify '{\"lasts\": \"10s\"}'\n  kubermesh call org.varlink.service.GetInfo"
    )]
    Call {
        /// Interface and method
        method: String,
        /// Its parameters, a JSON object
        #[arg(default_value = "{}", value_parser = object)]
        parameters: Value,
    },
    /// Check node.toml, service files and overlay folders, with the code that the node reads them with
    #[command(
        after_help = "Examples, on any machine:\n  kubermesh check node.toml\n  kubermesh check kubelet.toml\n  kubermesh check overlay/ my-overlay/"
    )]
    Check {
        /// A node.toml, a service file, or a folder with some; later folders replace files of earlier ones
        #[arg(required = true, value_name = "FILE")]
        files: Vec<PathBuf>,
    },
    /// Print what a shell needs to complete these commands
    #[command(after_help = "Example:\n  source <(kubermesh completion bash)")]
    Completion {
        /// Which shell
        shell: Shell,
    },
}

fn object(text: &str) -> Result<Value, String> {
    match serde_json::from_str(text) {
        Ok(value @ Value::Object(_)) => Ok(value),
        Ok(_) => Err("not a JSON object such as {\"lasts\": \"10s\"}".to_owned()),
        Err(refusal) => Err(refusal.to_string()),
    }
}

#[derive(Debug, Args)]
pub(crate) struct StatusLine {
    /// Wait until the node is so; several words with commas: any of them
    #[arg(long, value_name = "WORD", value_delimiter = ',')]
    pub(crate) wait: Vec<Word>,
    /// Give up after this time (exit code 1)
    #[arg(long, value_name = "TIME", default_value = "60s", requires = "wait")]
    pub(crate) within: Span,
}

#[derive(Debug, Args)]
pub(crate) struct LogsLine {
    /// Of this service, or `kernel`; without it: of all
    pub(crate) service: Option<String>,
    /// The newest so many lines
    #[arg(short = 'n', long, value_name = "COUNT", default_value_t = 200, value_parser = clap::value_parser!(u16).range(1..=10_000))]
    pub(crate) lines: u16,
    /// And what is said from now on, until Ctrl-C
    #[arg(short, long)]
    pub(crate) follow: bool,
    /// At least this urgent: 0 (the machine is unusable) to 7 (for who mends a program)
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u8).range(0..=7))]
    pub(crate) priority: Option<u8>,
    /// Of this boot: its id, `previous` or `all`; without it, of the present one
    #[arg(long, value_name = "ID")]
    pub(crate) boot: Option<String>,
    /// Ask the log worker at this socket
    #[arg(long, value_name = "PATH", default_value = kubermesh_log::client::SOCKET)]
    pub(crate) from: PathBuf,
}

/// The words for a node's status.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Word {
    Booting,
    Isolated,
    Meshed,
    Ready,
    Degraded,
    Failed,
    Stopping,
}

impl Word {
    /// As the node says it.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Booting => "booting",
            Self::Isolated => "isolated",
            Self::Meshed => "meshed",
            Self::Ready => "ready",
            Self::Degraded => "degraded",
            Self::Failed => "failed",
            Self::Stopping => "stopping",
        }
    }
}

const EXAMPLES: &str = "\
Examples:
  kubermesh status                  how is this node, and what does it wait for?
  kubermesh why                     the whole way to ready, and where it stands
  kubermesh status --wait ready     in a script
  kubermesh services --json         for a program
  kubermesh check overlay/          on a laptop, before an image is built

Exit codes:
  0  done
  1  the answer is no: the node refused, is not as awaited, or a file does not fit
  2  the command line is not understood
  3  nobody answers at the socket

Colours are used on a terminal only, and not where $NO_COLOR is set. PID 1 starts this program's
other half with a worker's name as its first argument: they are no commands for a person.";
