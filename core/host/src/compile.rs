//! Compiles components of third parties in a child process with its own limits.
//!
//! The compiler has no budget that a caller could set, and a component can be written to make the compiler slow, exhaust
//! its memory or crash it. The child is this program with another command. It gets no environment and writes its result to
//! the cache, from which the host reads it like any cached component.

use std::io::Read;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, ExitStatus, Stdio};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use rustix::process::{Resource, Rlimit, Signal, setrlimit};

use super::cache::Cache;
use super::engine::{self, Allocation};
use super::error::AdapterError;
use super::limits::{self, CompileLimits};
use super::{component, output};

/// The command of the program that runs as the child.
pub(crate) const COMMAND: &str = "compile-adapter";

/// How often the parent checks whether the child has ended.
const POLL_INTERVAL: Duration = Duration::from_millis(10);

/// Starts the children, one at a time, because uploads are rare and the machine has other work.
pub(super) struct Compiler {
    /// The program to start; `None` for this program.
    program: Option<PathBuf>,
    pub(super) limits: CompileLimits,
    turn: Mutex<()>,
}

impl Compiler {
    pub(super) fn new(program: Option<PathBuf>, limits: CompileLimits) -> Self {
        Self { program, limits, turn: Mutex::new(()) }
    }

    /// Compiles a component into the cache. Fails if the component is invalid or too costly, or if the child can't be
    /// run.
    pub(super) fn compile(&self, cache: &Cache, allocation: Allocation, wasm: &[u8]) -> Result<(), AdapterError> {
        let Some(folder) = cache.folder() else {
            return Err(unavailable("its folder for compiled adapters is not private (mode 0700)"));
        };
        let _turn = self.turn.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let upload = folder.join(format!("{}-{:016x}.upload", std::process::id(), rand::random::<u64>()));
        let ended = std::fs::write(&upload, wasm).and_then(|()| self.run(folder, allocation, &upload));
        let _ = std::fs::remove_file(&upload);
        match ended.map_err(|error| unavailable(&format!("its compiler can't be started: {error}")))? {
            Some((status, output)) => self.result_of(status, &output),
            None => Err(too_costly(format!("{} seconds", self.limits.time.as_secs_f64()))),
        }
    }

    /// The child's exit status and standard output; `None` if it did not end in time.
    fn run(
        &self,
        folder: &Path,
        allocation: Allocation,
        upload: &Path,
    ) -> std::io::Result<Option<(ExitStatus, String)>> {
        let program = self.program.clone().map_or_else(std::env::current_exe, Ok)?;
        let mut child = Command::new(program)
            .arg(COMMAND)
            .arg(folder)
            .arg(allocation.word())
            .args([self.limits.memory_bytes, self.limits.cpu_secs, self.limits.file_bytes].map(|it| it.to_string()))
            .env_clear()
            .stdin(std::fs::File::open(upload)?)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()?;
        let ended = wait(&mut child, self.limits.time);
        if !matches!(ended, Ok(Some(_))) {
            let _ = child.kill();
            let _ = child.wait();
        }
        Cache::remove_unfinished(folder, child.id());
        let Some(status) = ended? else { return Ok(None) };
        let mut output = Vec::new();
        if let Some(stdout) = child.stdout.take() {
            stdout.take(4 * limits::SENTENCE_CHARS as u64).read_to_end(&mut output)?;
        }
        Ok(Some((status, String::from_utf8_lossy(&output).into_owned())))
    }

    /// The result that the child's exit status means.
    fn result_of(&self, status: ExitStatus, child_output: &str) -> Result<(), AdapterError> {
        let CompileLimits { memory_bytes, cpu_secs, file_bytes, .. } = self.limits;
        let killed_by = |signal: Signal| status.signal() == Some(signal.as_raw());
        if status.success() {
            Ok(())
        } else if killed_by(Signal::XCPU) || killed_by(Signal::KILL) {
            Err(too_costly(format!("{cpu_secs} seconds of computing")))
        } else if killed_by(Signal::ABORT) || killed_by(Signal::SEGV) {
            // Rust and its allocator abort if no memory is left.
            Err(too_costly(format!("{} MiB of memory", memory_bytes >> 20)))
        } else if killed_by(Signal::XFSZ) {
            Err(too_costly(format!("{} KiB of compiled code", file_bytes >> 10)))
        } else if let Some(signal) = status.signal() {
            Err(AdapterError::ContractMismatch { reason: format!("the compiler crashed on it (signal {signal})") })
        } else if status.code() == Some(i32::from(REFUSED)) {
            Err(AdapterError::ContractMismatch { reason: output::clean(child_output, limits::SENTENCE_CHARS) })
        } else {
            Err(unavailable(&format!("its compiler ended with {status}")))
        }
    }
}

fn wait(child: &mut Child, limit: Duration) -> std::io::Result<Option<ExitStatus>> {
    let started = Instant::now();
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        if started.elapsed() > limit {
            return Ok(None);
        }
        std::thread::sleep(POLL_INTERVAL);
    }
}

fn unavailable(reason: &str) -> AdapterError {
    AdapterError::Engine { reason: reason.to_owned() }
}

fn too_costly(limit: String) -> AdapterError {
    AdapterError::CompileTooCostly { limit }
}

/// The child's exit code for an invalid component; the reason is on its standard output.
const REFUSED: u8 = 3;

/// The child process: limits itself, then compiles the component on its standard input into the cache.
pub fn run_child(folder: &Path, allocation: Allocation, limits: CompileLimits) -> ExitCode {
    match compile(folder, allocation, limits) {
        Ok(()) => ExitCode::SUCCESS,
        Err(AdapterError::ContractMismatch { reason }) => {
            println!("{reason}");
            ExitCode::from(REFUSED)
        }
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn compile(folder: &Path, allocation: Allocation, limits: CompileLimits) -> Result<(), AdapterError> {
    let CompileLimits { memory_bytes, cpu_secs, file_bytes, .. } = limits;
    for (resource, limit) in
        [(Resource::Core, 0), (Resource::As, memory_bytes), (Resource::Cpu, cpu_secs), (Resource::Fsize, file_bytes)]
    {
        setrlimit(resource, Rlimit { current: Some(limit), maximum: Some(limit) })
            .map_err(|error| unavailable(&format!("its compiler can't be limited: {error}")))?;
    }
    let mut wasm = Vec::new();
    std::io::stdin().lock().read_to_end(&mut wasm).map_err(|error| unavailable(&error.to_string()))?;
    let engine = engine::for_compiling(allocation)?;
    component::compile(&engine, &Cache::open(folder), &wasm).map(drop)
}

#[cfg(test)]
mod tests {
    use super::super::tests::Scratch;
    use super::*;

    fn code(raw_status: i32) -> &'static str {
        let compiler = Compiler::new(None, CompileLimits::default());
        compiler.result_of(ExitStatus::from_raw(raw_status), "why").err().map_or("", |error| error.code())
    }

    #[test]
    fn the_exit_status_decides_the_error() {
        let signals = [Signal::XCPU, Signal::KILL, Signal::ABORT, Signal::SEGV, Signal::XFSZ];
        for signal in signals {
            assert_eq!(code(signal.as_raw()), "adapter_compile_too_costly", "{signal:?}");
        }
        assert_eq!(code(Signal::ILL.as_raw()), "adapter_contract_mismatch");
        assert_eq!(code(i32::from(REFUSED) << 8), "adapter_contract_mismatch");
        assert_eq!(code(1 << 8), "adapter_engine_unavailable");
        assert_eq!(code(0), "");
    }

    #[test]
    fn a_child_that_never_ends_is_stopped_and_leaves_nothing() {
        let scratch = Scratch::new("endless-child");
        // `yes` accepts any arguments and never ends.
        let limits = CompileLimits { time: Duration::from_millis(50), ..CompileLimits::default() };
        let compiler = Compiler::new(Some("yes".into()), limits);
        let error = compiler.compile(&Cache::open(&scratch.0), Allocation::Pooled, b"").expect_err("it never ends");
        assert_eq!(error.code(), "adapter_compile_too_costly");
        assert_eq!(std::fs::read_dir(&scratch.0).expect("it exists").count(), 0);
    }
}
