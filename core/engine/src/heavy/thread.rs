//! Threads of low priority for computing, so that all other threads of this process go first.

use tokio::sync::oneshot;

/// Nice value, of 0 to 19. A thread that answers requests gets about ten times as much processor time.
const NICENESS: i32 = 10;

/// Runs `work` on a new thread of low priority.
pub fn spawn(name: &'static str, work: impl FnOnce() + Send + 'static) {
    let low_priority = move || {
        // On Linux this changes the calling thread only. If it is refused, the work runs with normal priority.
        let _ = rustix::process::setpriority_process(None, NICENESS);
        work();
    };
    let spawned = std::thread::Builder::new().name(name.to_owned()).spawn(low_priority);
    spawned.expect("the system has a thread for each place");
}

/// Like [`spawn`], with a result. The channel is closed without a result if `work` panicked.
pub fn run<T: Send + 'static>(name: &'static str, work: impl FnOnce() -> T + Send + 'static) -> oneshot::Receiver<T> {
    let (sender, result) = oneshot::channel();
    spawn(name, move || drop(sender.send(work())));
    result
}
