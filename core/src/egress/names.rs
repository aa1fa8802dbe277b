//! From a host name to the addresses that may be dialled. The client dials exactly what this returns;
//! there is no second lookup between the check and the connection that DNS could answer differently.
//!
//! One refused address refuses the name. A name that mixes public and inside addresses is either a
//! mistake or an attack, and dialling "only the good ones" would hide which.
//!
//! Lookups run on blocking threads and cannot be cancelled, so their number is bounded, and everyone who
//! asks for the same name at the same time shares one: a dead name cannot use up the threads.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::sync::{Arc, Mutex, PoisonError};

use futures::FutureExt;
use futures::future::{BoxFuture, Shared, WeakShared};
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use tokio::sync::Semaphore;

use super::addresses::Allow;
use super::error::EgressError;

/// Well below tokio's 512 blocking threads, which also run adapters.
const MAX_LOOKUPS: usize = 64;

type Answer = Result<Arc<[IpAddr]>, EgressError>;

/// Asks the system for the addresses of a name. May block.
type Lookup = fn(&str) -> std::io::Result<Vec<IpAddr>>;

#[derive(Clone)]
pub(super) struct VettedNames {
    allow: Arc<Allow>,
    lookup: Lookup,
    slots: Arc<Semaphore>,
    running: Arc<Mutex<HashMap<String, WeakShared<BoxFuture<'static, Answer>>>>>,
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

    /// The map holds weak references: when the last asker gives up, a lookup still queued goes with them.
    fn join_or_start(&self, name: &str) -> Shared<BoxFuture<'static, Answer>> {
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(started) = running.get(name).and_then(WeakShared::upgrade) {
            return started;
        }
        let entry = RunningEntry { names: self.clone(), name: name.to_owned() };
        let started = look_up(entry).boxed().shared();
        if let Some(weak) = started.downgrade() {
            running.insert(name.to_owned(), weak);
        }
        started
    }
}

/// Takes a lookup off the list when it ends, also when it is dropped.
struct RunningEntry {
    names: VettedNames,
    name: String,
}

impl Drop for RunningEntry {
    fn drop(&mut self) {
        self.names.running.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.name);
    }
}

async fn look_up(entry: RunningEntry) -> Answer {
    let failed = |problem: String| EgressError::DnsFailed { host: entry.name.clone(), problem };
    let slots = entry.names.slots.clone();
    let slot = slots.acquire_owned().await.map_err(|error| failed(error.to_string()))?;
    let (name, lookup) = (entry.name.clone(), entry.names.lookup);
    let answer = tokio::task::spawn_blocking(move || {
        // The slot belongs to the thread: it stays taken after the asker has given up.
        let _slot = slot;
        lookup(&name)
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
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Duration;

    use super::*;

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
    async fn an_asker_who_gives_up_leaves_nothing_behind_but_the_thread() {
        static GATE: Mutex<()> = Mutex::new(());
        let shut = GATE.lock().expect("not poisoned");
        let names = names(&[], |_| {
            drop(GATE.lock());
            Ok(vec![ip("8.8.8.8")])
        });
        assert!(names.vetted("slow.example").now_or_never().is_none(), "it waits, and gives up");
        assert!(names.running.lock().expect("not poisoned").is_empty());
        assert_eq!(names.slots.available_permits(), MAX_LOOKUPS - 1, "the thread still works");
        drop(shut);
    }
}
