// SPDX-License-Identifier: Apache-2.0
//! The words of a play, one row each.

use std::io::{Error, Result};
use std::slice::Iter;
use std::time::Duration;

use crate::deeds;

/// Speaks a play to its end.
pub(crate) fn play(words: &[String]) -> Result<()> {
    let mut words = words.iter();
    while let Some(word) = words.next() {
        speak(word, &mut words)?;
    }
    Ok(())
}

fn speak(word: &str, rest: &mut Iter<'_, String>) -> Result<()> {
    match word {
        // Ends and rests.
        "exit" => std::process::exit(number(rest)?),
        "stay" => loop {
            std::thread::park();
        },
        "sleep" => std::thread::sleep(Duration::from_millis(number(rest)?)),
        "abort" => std::process::abort(),
        // Waits until a file is there: the test's sign.
        "await" => deeds::await_file(text(rest)?)?,
        // Adds the moment of CLOCK_MONOTONIC in nanoseconds, and the pid, to a file.
        "stamp" => deeds::stamp(text(rest)?)?,
        // Adds a line to a file.
        "write" => deeds::add_line(text(rest)?, text(rest)?)?,
        // What it was started with: masks, descriptors, umask …
        "report" => deeds::report(text(rest)?)?,
        // Others: so many copies of this program, whom it does not wait for.
        "start" => {
            let (count, words) = (number(rest)?, block(rest)?);
            (0..count).try_for_each(|_: u32| deeds::start(&words))?;
        }
        // The same without end and whatever the kernel says.
        "bomb" => {
            let words = block(rest)?;
            loop {
                let _ = deeds::start(&words);
            }
        }
        "forever" => {
            let words = block(rest)?;
            loop {
                play(&words)?;
            }
        }
        "setsid" => drop(rustix::process::setsid()?),
        "deaf" => deeds::deaf()?,
        "until-term" => deeds::until_term()?,
        // Readiness: sd_notify(3) words, or s6's newline on descriptor 3.
        "notify" => deeds::notify(text(rest)?)?,
        "notify-file" => deeds::notify(&std::fs::read_to_string(text(rest)?)?)?,
        "newline" => deeds::newline()?,
        // Output.
        "say" => println!("{}", text(rest)?),
        "spam" => deeds::spam(number(rest)?)?,
        // Memory in MiB, touched and kept.
        "eat" => deeds::eat(number(rest)?),
        // Mounts and unmounts so many times.
        "mounts" => deeds::mount_storm(number(rest)?)?,
        // Calls PID 1's control socket; the answer goes to a file.
        "call" => deeds::call(text(rest)?, text(rest)?, text(rest)?)?,
        // Plays an init that rehearses: by the words that a test has added to this very file.
        "--rehearse" => play(&deeds::added_words()?)?,
        // Connects to it as root inside, and gives the connection to who holds descriptor 0.
        "lend" => deeds::lend()?,
        other => return Err(Error::other(format!("{other} is no word of a play"))),
    }
    Ok(())
}

fn text<'a>(rest: &mut Iter<'a, String>) -> Result<&'a str> {
    rest.next().map(String::as_str).ok_or_else(|| Error::other("the play ends in a word's middle"))
}

fn number<T: std::str::FromStr>(rest: &mut Iter<'_, String>) -> Result<T> {
    let word = text(rest)?;
    word.parse().map_err(|_| Error::other(format!("{word} is no number here")))
}

/// The words between `{` and its `}`.
fn block(rest: &mut Iter<'_, String>) -> Result<Vec<String>> {
    if text(rest)? != "{" {
        return Err(Error::other("{ is missing"));
    }
    let (mut words, mut depth) = (Vec::new(), 1);
    loop {
        let word = text(rest)?;
        depth += match word {
            "{" => 1,
            "}" => -1,
            _ => 0,
        };
        if depth == 0 {
            return Ok(words);
        }
        words.push(word.to_owned());
    }
}
