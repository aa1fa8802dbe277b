//! The entry point of the targets. If libFuzzer is linked (`tests/fuzz/run`), libFuzzer calls the target. Otherwise a target
//! is a program that runs each given file once.

/// Defines a target from a function of bytes.
#[macro_export]
macro_rules! target {
    ($function:path) => {
        /// Called by libFuzzer for each input.
        #[cfg(fuzzing)]
        #[allow(unsafe_code, reason = "a fuzz target is an export without a mangled name")]
        #[unsafe(no_mangle)]
        extern "C" fn LLVMFuzzerTestOneInput(data: *const u8, length: usize) -> i32 {
            // SAFETY: libFuzzer passes a buffer of this length that is valid for the duration of the call.
            let input = if length == 0 { &[][..] } else { unsafe { std::slice::from_raw_parts(data, length) } };
            $crate::once(|| $function(input));
            0
        }

        #[cfg(not(fuzzing))]
        fn main() {
            for file in std::env::args().skip(1) {
                $function(&std::fs::read(&file).unwrap_or_else(|error| panic!("{file}: {error}")));
            }
        }
    };
}

/// Makes every panic abort the process, so that libFuzzer keeps the input. This includes a panic in another thread and a
/// panic that is caught.
pub fn once(call: impl FnOnce()) {
    static ABORTS: std::sync::Once = std::sync::Once::new();
    ABORTS.call_once(|| {
        let told = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            told(panic);
            std::process::abort();
        }));
    });
    call();
}
