// SPDX-License-Identifier: Apache-2.0
//! What ships ends at a panic without unwinding, and has no names left to print a backtrace with.
//!
//! std brings an unwinder and a reader of debug information along all the same, a fifth of PID 1's
//! size, since its own panic hook might print a backtrace. Here the stack has no frame to begin
//! with (Itanium C++ ABI, exception handling, 1.5), so that the linker sees that nobody asks, and
//! leaves both out. A panic's own line, with file and line, remains.

use std::ffi::{c_int, c_void};

/// `_URC_END_OF_STACK`, Itanium C++ ABI, exception handling, 1.2.
const END_OF_STACK: c_int = 5;

// SAFETY: name and signature are the ABI's; "end of stack" without a call of `trace` is an answer
// that it allows, and libunwind's function of this name is not linked beside it.
#[unsafe(no_mangle)]
extern "C" fn _Unwind_Backtrace(_trace: *const c_void, _argument: *mut c_void) -> c_int {
    END_OF_STACK
}

/// What std's personality routine would ask an unwinder. None calls it: there is no
/// `_Unwind_RaiseException`.
macro_rules! never_called {
    ($($name:ident)*) => {$(
        // SAFETY: the name is the ABI's; whoever calls it, with whatever arguments, ends here.
        #[unsafe(no_mangle)]
        extern "C" fn $name() -> ! {
            std::process::abort()
        }
    )*};
}

never_called! {
    _Unwind_GetDataRelBase
    _Unwind_GetIPInfo
    _Unwind_GetLanguageSpecificData
    _Unwind_GetRegionStart
    _Unwind_GetTextRelBase
    _Unwind_Resume
    _Unwind_SetGR
    _Unwind_SetIP
}
