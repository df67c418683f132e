// SPDX-License-Identifier: Apache-2.0
//! What a node is poor without is not left undone because memory was short for a moment.

/// Does it, where it fails once more, and then for the last time.
pub(crate) fn thrice<T, E>(deed: impl Fn() -> Result<T, E>) -> Result<T, E> {
    deed().or_else(|_| deed()).or_else(|_| deed())
}
