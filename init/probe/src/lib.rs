// SPDX-License-Identifier: Apache-2.0
//! Asks services how they are, and reports what changed.
