//! Resolves a host name to the addresses that may be called. The client connects only to the addresses returned here;
//! there is no second lookup between the check and the connection, because DNS could answer it differently.
//!
//! One refused address refuses the name. A name with public and internal addresses is either a mistake or an attack,
//! and connecting only to the public ones would hide it.
//!
//! Lookups run on blocking threads and can't be cancelled, so their number is bounded, and concurrent lookups of the
//! same name share one thread: a name whose lookup hangs occupies only one thread. If no thread is free, the request
//! fails soon, which does not count as a failure of the destination.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use futures::FutureExt;
use futures::future::{BoxFuture, Shared, WeakShared};
use hyper_util::client::legacy::connect::dns::Name;
use tokio::sync::Semaphore;
use tower::Service;

use super::addresses::Allow;
use super::error::EgressError;

/// The most concurrent lookups: well below tokio's 512 blocking threads.
const MAX_LOOKUPS: usize = 64;
/// How long a lookup waits for a thread.
const WAIT: Duration = Duration::from_secs(1);

type Answer = Result<Arc<[IpAddr]>, EgressError>;

/// The system's addresses of a name. May block.
type Lookup = fn(&str) -> std::io::Result<Vec<IpAddr>>;

#[derive(Clone)]
pub(super) struct VettedNames {
    allow: Arc<Allow>,
    lookup: Lookup,
    slots: Arc<Semaphore>,
    running: Arc<Mutex<HashMap<String, Running>>>,
}

/// A lookup that can be joined.
enum Running {
    /// The lookup waits for a thread. It is dropped with the last request that waits for it.
    Waiting(WeakShared<BoxFuture<'static, Answer>>),
    /// The lookup runs on a thread. It stays until the thread ends.
    Started(Shared<BoxFuture<'static, Answer>>),
}

impl Running {
    fn join(&self) -> Option<Shared<BoxFuture<'static, Answer>>> {
        match self {
            Self::Waiting(lookup) => lookup.upgrade(),
            Self::Started(lookup) => Some(lookup.clone()),
        }
    }
}

impl Service<Name> for VettedNames {
    type Response = std::vec::IntoIter<SocketAddr>;
    type Error = EgressError;
    type Future = BoxFuture<'static, Result<Self::Response, EgressError>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), EgressError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, name: Name) -> Self::Future {
        let names = self.clone();
        async move {
            let addresses = names.vetted(name.as_str()).await?;
            // Port 0 means the port of the URL.
            let dial: Vec<_> = addresses.iter().map(|address| SocketAddr::new(*address, 0)).collect();
            Ok(dial.into_iter())
        }
        .boxed()
    }
}

impl VettedNames {
    pub(super) fn new(allow: Arc<Allow>) -> Self {
        Self::with_lookup(allow, system_lookup)
    }

    fn with_lookup(allow: Arc<Allow>, lookup: Lookup) -> Self {
        let slots = Arc::new(Semaphore::new(MAX_LOOKUPS));
        Self { allow, lookup, slots, running: Arc::default() }
    }

    async fn vetted(&self, name: &str) -> Answer {
        let addresses = self.join_or_start(name).await?;
        for &address in addresses.iter() {
            let host = || name.to_owned();
            self.allow.check(address).map_err(|kind| EgressError::AddressRefused { host: host(), address, kind })?;
        }
        Ok(addresses)
    }

    fn join_or_start(&self, name: &str) -> Shared<BoxFuture<'static, Answer>> {
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(lookup) = running.get(name).and_then(Running::join) {
            return lookup;
        }
        let entry = RunningEntry { names: self.clone(), name: name.to_owned() };
        let lookup = look_up(entry).boxed().shared();
        if let Some(weak) = lookup.downgrade() {
            running.insert(name.to_owned(), Running::Waiting(weak));
        }
        lookup
    }
}

/// Removes a lookup from the list when its thread ends, or, before it has a thread, when the last request stops
/// waiting.
struct RunningEntry {
    names: VettedNames,
    name: String,
}

impl RunningEntry {
    fn started(&self) {
        let mut running = self.names.running.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(entry) = running.get_mut(&self.name)
            && let Some(lookup) = entry.join()
        {
            *entry = Running::Started(lookup);
        }
    }
}

impl Drop for RunningEntry {
    fn drop(&mut self) {
        // A lookup may hold the last reference to itself, so it is dropped outside of the lock.
        let _ended = self.names.running.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.name);
    }
}

async fn look_up(entry: RunningEntry) -> Answer {
    let (name, lookup) = (entry.name.clone(), entry.names.lookup);
    let failed = |problem: String| EgressError::DnsFailed { host: name.clone(), problem };
    let slots = entry.names.slots.clone();
    let slot = match tokio::time::timeout(WAIT, slots.acquire_owned()).await {
        Ok(slot) => slot.map_err(|error| failed(error.to_string()))?,
        Err(_) => return Err(EgressError::LocalLimit { host: name, resource: "threads for DNS lookups" }),
    };
    entry.started();
    let asked = name.clone();
    let answer = tokio::task::spawn_blocking(move || {
        // Both belong to the thread: they stay after the requests have stopped waiting.
        let (_slot, _entry) = (slot, entry);
        lookup(&asked)
    });
    match answer.await {
        Ok(Ok(addresses)) if addresses.is_empty() => Err(failed("it has no address".to_owned())),
        Ok(Ok(addresses)) => Ok(addresses.into()),
        Ok(Err(error)) => Err(failed(lookup_problem(&error))),
        Err(_) => Err(failed("the lookup was aborted".to_owned())),
    }
}

fn system_lookup(name: &str) -> std::io::Result<Vec<IpAddr>> {
    let mut addresses: Vec<IpAddr> = Vec::new();
    for address in (name, 0).to_socket_addrs()?.map(|socket| socket.ip()) {
        if !addresses.contains(&address) {
            addresses.push(address);
        }
    }
    Ok(addresses)
}

fn lookup_problem(error: &std::io::Error) -> String {
    let text = error.to_string();
    text.strip_prefix("failed to lookup address information: ").unwrap_or(&text).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};

    fn names(allow: &[&str], lookup: Lookup) -> VettedNames {
        let networks = allow.iter().map(|network| network.parse().expect("a network")).collect();
        VettedNames::with_lookup(Arc::new(Allow::new(networks)), lookup)
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    #[tokio::test]
    async fn all_addresses_of_a_name_must_be_public() {
        let mut public = names(&[], |_| Ok(vec![ip("8.8.8.8"), ip("2606:4700::1111")]));
        let dial: Vec<_> = public.call("example.com".parse().expect("a name")).await.expect("passes").collect();
        assert_eq!(dial, [SocketAddr::new(ip("8.8.8.8"), 0), SocketAddr::new(ip("2606:4700::1111"), 0)]);

        let mixed: Lookup = |_| Ok(vec![ip("8.8.8.8"), ip("10.0.0.7")]);
        let error = names(&[], mixed).vetted("mixed.example").await.expect_err("one inside address");
        assert_eq!(error.code(), "address_refused");
        assert!(error.to_string().contains("10.0.0.7"), "{error}");
        assert!(names(&["10.0.0.0/8"], mixed).vetted("mixed.example").await.is_ok());
    }

    #[tokio::test]
    async fn a_name_without_addresses_is_a_dns_failure() {
        let error = names(&[], |_| Ok(Vec::new())).vetted("void.example").await.expect_err("no address");
        assert_eq!(error.code(), "dns_failed");
        assert!(error.retryable());
    }

    #[tokio::test]
    async fn concurrent_requests_for_a_name_share_one_lookup() {
        static CALLS: AtomicUsize = AtomicUsize::new(0);
        let names = names(&[], |_| {
            CALLS.fetch_add(1, Ordering::SeqCst);
            std::thread::sleep(Duration::from_millis(50));
            Ok(vec![ip("8.8.8.8")])
        });
        let askers = (0..500).map(|_| names.vetted("busy.example"));
        assert!(futures::future::join_all(askers).await.iter().all(Result::is_ok));
        assert_eq!(CALLS.load(Ordering::SeqCst), 1);
        assert!(names.running.lock().expect("not poisoned").is_empty());

        names.vetted("busy.example").await.expect("passes");
        assert_eq!(CALLS.load(Ordering::SeqCst), 2, "results are not cached");
    }

    #[tokio::test]
    async fn a_name_occupies_one_thread_until_it_ends() {
        static GATE: Mutex<()> = Mutex::new(());
        static CALLS: AtomicUsize = AtomicUsize::new(0);
        let shut = GATE.lock().expect("not poisoned");
        let names = names(&[], |_| {
            CALLS.fetch_add(1, Ordering::SeqCst);
            drop(GATE.lock());
            Ok(vec![ip("8.8.8.8")])
        });
        for _ in 0..3 {
            assert!(names.vetted("slow.example").now_or_never().is_none(), "it waits and is dropped");
        }
        assert_eq!(names.slots.available_permits(), MAX_LOOKUPS - 1, "one thread serves all");
        drop(shut);
        names.vetted("slow.example").await.expect("a later request gets the result of the thread");
        assert_eq!(CALLS.load(Ordering::SeqCst), 1);
    }

    #[tokio::test]
    async fn a_lack_of_threads_is_not_a_failure_of_the_destination() {
        let names = names(&[], |_| Ok(vec![ip("8.8.8.8")]));
        let _all = names.slots.clone().acquire_many_owned(MAX_LOOKUPS as u32).await.expect("all are free");
        let error = names.vetted("busy.example").await.expect_err("no thread is free");
        assert!(!error.is_failure_of_destination() && error.retryable(), "{error}");
        assert!(names.running.lock().expect("not poisoned").is_empty());
    }
}
