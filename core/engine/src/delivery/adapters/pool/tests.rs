//! These tests do not wait for a period of time: calls hold their threads until another call was made.

use std::sync::mpsc;

use super::*;

fn line(adapter: &str, is_built_in: bool) -> CallLine {
    CallLine { owner: None, adapter: adapter.to_owned(), version: "1.0.0".to_owned(), is_built_in }
}

fn pool(threads: usize) -> Pool {
    Pool::start(threads, Faults::default()).expect("it starts")
}

#[tokio::test]
async fn calls_of_unknown_adapters_never_hold_the_last_thread() {
    let pool = pool(3);
    let (release, released) = mpsc::channel::<()>();
    let released = Arc::new(Mutex::new(released));
    let mut held = Vec::new();
    for number in 0..10 {
        let (pool, released) = (pool.clone(), released.clone());
        let call = move || released.lock().expect("nothing panics").recv().is_ok();
        held.push(tokio::spawn(async move { pool.ask(line(&format!("unknown-{number}"), false), call).await }));
    }
    for number in 0..100 {
        assert_eq!(pool.ask(line("ours", true), move || number).await, Ok(number));
    }
    assert_eq!(pool.speed(&line("ours", true)), Speed::Quick);
    assert_eq!(pool.speed(&line("unknown-0", false)), Speed::Unknown);
    for _ in &held {
        release.send(()).expect("somebody waits for it");
    }
    for held in held {
        assert_eq!(held.await.expect("it ends"), Ok(true));
    }
}

#[tokio::test]
async fn callers_of_an_unknown_adapter_are_bounded() {
    let pool = pool(2);
    let (release, released) = mpsc::channel::<()>();
    let (begun, has_begun) = oneshot::channel();
    let first = {
        let pool = pool.clone();
        let call = move || {
            let _ = begun.send(());
            released.recv().is_ok()
        };
        tokio::spawn(async move { pool.ask(line("slow", false), call).await })
    };
    has_begun.await.expect("it begins");
    let asked: Vec<_> = (0..=CALLERS_OF_UNKNOWN)
        .map(|_| {
            let pool = pool.clone();
            tokio::spawn(async move { pool.ask(line("slow", false), || ()).await })
        })
        .collect();
    let answers = async {
        let mut answers = Vec::new();
        for asked in asked {
            answers.push(asked.await.expect("it ends"));
        }
        answers
    };
    // The last caller is refused at once; the others get answers when the thread is free.
    let releasing = async {
        while pool.0.0.state().queue.waiting(&line("slow", false), Urgency::Asked) < CALLERS_OF_UNKNOWN {
            tokio::task::yield_now().await;
        }
        // One more caller arrives before or after this. It is refused unless a place became free first.
        release.send(()).expect("somebody waits for it");
    };
    let (answers, ()) = tokio::join!(answers, releasing);
    assert!(answers.iter().filter(|it| it.is_ok()).count() >= CALLERS_OF_UNKNOWN);
    assert!(answers.iter().all(|it| matches!(it, Ok(()) | Err(AdapterError::Busy))));
    assert_eq!(first.await.expect("it ends"), Ok(true));
}

#[tokio::test]
async fn a_call_that_panics_ends_alone() {
    let pool = pool(2);
    assert_eq!(pool.ask(line("bad", true), || -> () { panic!("a bug") }).await, Err(AdapterError::Busy));
    for _ in 0..4 {
        assert_eq!(pool.ask(line("bad", true), || 1).await, Ok(1));
    }
}

#[tokio::test]
async fn the_threads_end_with_the_pool() {
    let pool = pool(2);
    let shared = Arc::downgrade(&pool.0.0);
    assert_eq!(pool.ask(line("any", true), || ()).await, Ok(()));
    drop(pool);
    while shared.upgrade().is_some() {
        tokio::task::yield_now().await;
    }
}
