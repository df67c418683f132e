// SPDX-License-Identifier: Apache-2.0
//! What the whole promises: stories, properties, kernel, scenarios, bench.
