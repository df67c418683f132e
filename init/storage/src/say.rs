// SPDX-License-Identifier: Apache-2.0
//! One line for a person: on standard error, which the log keeps, and in the kernel log, which the
//! console shows before there is a log.

use std::io::Write;

/// Says it. That nobody listens stops nothing.
pub(crate) fn say(line: &str) {
    let _ = writeln!(std::io::stderr(), "{line}");
    if let Ok(mut kernel_log) = std::fs::File::options().write(true).open("/dev/kmsg") {
        // One write is one record; 5 is KERN_NOTICE, 3 the facility of daemons (syslog(2)).
        let record = format!("<29>kubermesh storage: {line}\n");
        let _ = kernel_log.write_all(record.as_bytes());
    }
}
