// SPDX-License-Identifier: Apache-2.0
//! System calls, made safe. Knows the kernel, not the mesh.
