//! From a host name to the addresses that may be dialled. The client dials exactly what this returns;
//! there is no second lookup between the check and the connection that DNS could answer differently.
//!
//! One refused address refuses the name. A name that mixes public and inside addresses is either a
//! mistake or an attack, and dialling "only the good ones" would hide which.
//!
//! Lookups run on blocking threads and cannot be cancelled, so their number is bounded, and everyone who
//! asks for the same name while its thread runs shares one: a dead name holds one thread, however often it is asked for. Who finds
//! no thread free is told so soon, and it is not the destination's failure.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::FutureExt;
use futures::future::{BoxFuture, Shared, WeakShared};
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use tokio::sync::Semaphore;

use super::addresses::Allow;
use super::error::EgressError;

/// Well below tokio's 512 blocking threads.
const MAX_LOOKUPS: usize = 64;
/// How long an asker waits for a thread.
const WAIT: Duration = Duration::from_secs(1);

type Answer = Result<Arc<[IpAddr]>, EgressError>;

/// Asks the system for the addresses of a name. May block.
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
    /// Waits for a thread; it goes with its last asker.
    Waiting(WeakShared<BoxFuture<'static, Answer>>),
    /// Has a thread, and stays until that ends.
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

impl Resolve for VettedNames {
    fn resolve(&self, name: Name) -> Resolving {
        let names = self.clone();
        Box::pin(async move {
            let addresses = names.vetted(name.as_str()).await?;
            // Port 0 stands for the port of the URL.
            let dial: Vec<_> = addresses.iter().map(|address| SocketAddr::new(*address, 0)).collect();
            Ok(Box::new(dial.into_iter()) as Addrs)
        })
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

/// Takes a lookup off the list when it ends: its thread, or before it has one its last asker.
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
        // A lookup may hold the last reference to itself: it is dropped outside the lock.
        let _ended = self.names.running.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.name);
    }
}

async fn look_up(entry: RunningEntry) -> Answer {
    let (name, lookup) = (entry.name.clone(), entry.names.lookup);
    let failed = |problem: String| EgressError::DnsFailed { host: name.clone(), problem };
    let slots = entry.names.slots.clone();
    let slot = match tokio::time::timeout(WAIT, slots.acquire_owned()).await {
        Ok(slot) => slot.map_err(|error| failed(error.to_string()))?,
        Err(_) => return Err(EgressError::LocalLimit { host: name, resource: "threads that look up names" }),
    };
    entry.started();
    let asked = name.clone();
    let answer = tokio::task::spawn_blocking(move || {
        // Both belong to the thread: they stay after the askers have given up.
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
    async fn every_address_of_a_name_is_returned_once_and_only_if_all_are_public() {
        let public = names(&[], |_| Ok(vec![ip("8.8.8.8"), ip("2606:4700::1111")]));
        let dial: Vec<_> = public.resolve("example.com".parse().expect("a name")).await.expect("passes").collect();
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
    async fn askers_of_the_same_name_share_one_lookup() {
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
        assert_eq!(CALLS.load(Ordering::SeqCst), 2, "an answer is not kept");
    }

    #[tokio::test]
    async fn a_name_holds_one_thread_until_that_ends_whoever_gives_up() {
        static GATE: Mutex<()> = Mutex::new(());
        static CALLS: AtomicUsize = AtomicUsize::new(0);
        let shut = GATE.lock().expect("not poisoned");
        let names = names(&[], |_| {
            CALLS.fetch_add(1, Ordering::SeqCst);
            drop(GATE.lock());
            Ok(vec![ip("8.8.8.8")])
        });
        for _ in 0..3 {
            assert!(names.vetted("slow.example").now_or_never().is_none(), "it waits, and gives up");
        }
        assert_eq!(names.slots.available_permits(), MAX_LOOKUPS - 1, "one thread works for all");
        drop(shut);
        names.vetted("slow.example").await.expect("the thread answers who asks later");
        assert_eq!(CALLS.load(Ordering::SeqCst), 1);
    }

    #[tokio::test]
    async fn without_a_free_thread_the_destination_is_not_to_blame() {
        let names = names(&[], |_| Ok(vec![ip("8.8.8.8")]));
        let _all = names.slots.clone().acquire_many_owned(MAX_LOOKUPS as u32).await.expect("all are free");
        let error = names.vetted("busy.example").await.expect_err("no thread is free");
        assert!(!error.is_destinations() && error.retryable(), "{error}");
        assert!(names.running.lock().expect("not poisoned").is_empty());
    }
}
