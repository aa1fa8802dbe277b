//! Threads for computing that give way to all others of this process.

use tokio::sync::oneshot;

/// Of 19: a thread that answers requests gets about ten times as much.
const NICENESS: i32 = 10;

/// Runs `work` on a new thread of low priority.
pub fn spawn(name: &'static str, work: impl FnOnce() + Send + 'static) {
    let give_way = move || {
        // On Linux this is about the calling thread. Where it is refused, the work is done all the same.
        let _ = rustix::process::setpriority_process(None, NICENESS);
        work();
    };
    let spawned = std::thread::Builder::new().name(name.to_owned()).spawn(give_way);
    spawned.expect("the system has a thread for each place");
}

/// The same with a result, which is missing if `work` panicked.
pub fn run<T: Send + 'static>(name: &'static str, work: impl FnOnce() -> T + Send + 'static) -> oneshot::Receiver<T> {
    let (sender, result) = oneshot::channel();
    spawn(name, move || drop(sender.send(work())));
    result
}
