//! The pages in Debian's Chromium, against the real server: the journeys of people, and a crawl for each role.
//!
//! Nothing here sleeps: a test waits for what a person would wait for. Screenshots of every page are in `target/screens`.

mod browser;
mod come_in;
mod connect;
mod crawl;
mod dashboard;
mod guides;
mod log;
mod money;
mod oneself;
mod pictures;
mod png;
mod postbacks;
mod program;
mod reports;
mod review;
mod sources;
mod traffic;
mod webdriver;
