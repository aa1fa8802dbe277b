//! A year of a program, drawn by a seed and simulated over the public API alone; then its figures are recalculated
//! from exports, statements and lists, in whole numbers, by code that shares nothing with the program.
//!
//! `POSTRIDER_YEAR_SEED=7` simulates another year.

mod amounts;
mod books;
mod calendar;
mod counts;
mod files;
mod life;
mod payments;
mod program;
mod sales;
mod visits;

use std::time::{Duration, Instant};

use postrider_tests::app::TestApp;
use postrider_tests::database::Database;
use postrider_tests::on_both_databases;

use life::Year;

on_both_databases!(the_figures_of_a_year_are_those_of_its_exports);

const SEED: u64 = 20_260_310;

fn seed() -> u64 {
    let given = std::env::var("POSTRIDER_YEAR_SEED").ok();
    given.map_or(SEED, |text| text.parse().expect("POSTRIDER_YEAR_SEED is a whole number"))
}

async fn the_figures_of_a_year_are_those_of_its_exports(db: Database) {
    let seed = seed();
    println!("The seed of this year is {seed}");
    let begun = Instant::now();
    let t = TestApp::start_with(db, |settings| {
        settings.trusted_proxies = vec!["127.0.0.1/32".parse().expect("a network")];
    })
    .await;
    let mut year = Year::begin(t, seed).await;
    let moments = year.moments();
    for (number, at) in moments.iter().enumerate() {
        if number == moments.len() / 2 {
            year.change_terms().await;
        }
        year.live_at(*at).await;
        if number % 40 == 39 {
            counts::glance(&year, &format!("seed {seed}, after {} moments", number + 1)).await;
        }
    }
    println!(
        "{} clicks, {} sales, {} rests in {:?}",
        year.clicks.len(),
        year.sales.len(),
        year.rests.len(),
        begun.elapsed()
    );
    books::recount(&year).await;
    println!("The books were recounted after {:?}", begun.elapsed());
    counts::recount(&year, &format!("seed {seed}, as it ends")).await;
    year.t.advance(Duration::from_secs(3_600));
    year.t.roll_up_reports().await;
    counts::recount(&year, &format!("seed {seed}, packed")).await;
    year.t.assert_books_balance().await;
    println!("All was recounted after {:?}", begun.elapsed());
}
