// SPDX-License-Identifier: Apache-2.0
//! The kernel's command line, from a list with a reason for each word.

use anyhow::{Result, bail, ensure};

/// The words, joined.
///
/// # Errors
/// A row that is not `word # why`.
pub fn words(list: &str) -> Result<String> {
    let mut words = Vec::new();
    for (number, line) in (1..).zip(list.lines()) {
        let (word, why) = line.split_once('#').unwrap_or((line, ""));
        match word.split_whitespace().collect::<Vec<_>>().as_slice() {
            [] => continue,
            [word] => {
                ensure!(!why.trim().is_empty(), "cmdline, line {number}: {word} has no reason");
                words.push((*word).to_owned());
            }
            _ => bail!("cmdline, line {number}: a row is one word, # and why"),
        }
    }
    Ok(words.join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_joined_and_reasons_left_out() {
        assert_eq!(words("# head\n\npanic=10 # again\nquiet # calm\n").unwrap(), "panic=10 quiet");
    }

    #[test]
    fn a_word_without_a_reason_is_refused() {
        let refusal = words("panic=10 # again\nquiet\n").unwrap_err();
        assert_eq!(refusal.to_string(), "cmdline, line 2: quiet has no reason");
    }
}
