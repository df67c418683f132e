// SPDX-License-Identifier: Apache-2.0
//! What every worker has: its channel to PID 1, its health socket, its log.
