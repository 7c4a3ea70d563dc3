//! The engine in a world where workers crash, hang and lose answers, and people ask for anything at any moment
//! (`docs/core/jobs.md` 9). The store is the real one and the clock stands still until the world moves it, so a seed
//! always leads the same life. A failure names its seed, with what happened last.
//!
//! `CHANDLER_SIM_SEEDS=100..200` runs those seeds instead of the usual few.

mod invariants;
mod people;
mod workers;
mod world;

use std::env;

use anyhow::{Context, Result};
use chandler_store::seam::Engine;

use world::World;

/// Lives that every run of the tests leads, on each engine.
const SEEDS: std::ops::Range<u64> = 0..12;

fn seeds() -> Result<std::ops::Range<u64>> {
    let Ok(text) = env::var("CHANDLER_SIM_SEEDS") else { return Ok(SEEDS) };
    let (first, end) = text.split_once("..").context("CHANDLER_SIM_SEEDS is a range, such as 100..200")?;
    Ok(first.parse()?..end.parse()?)
}

async fn simulate(engine: Engine) {
    let seeds = match seeds() {
        Ok(seeds) => seeds,
        Err(error) => panic!("{error:?}"),
    };
    let mut ended = 0;
    for seed in seeds {
        match World::live(engine, seed).await {
            Ok(jobs) => ended += jobs,
            Err(error) => panic!("on {engine:?}, CHANDLER_SIM_SEEDS={seed}..{}: {error:?}", seed + 1),
        }
    }
    assert!(ended > 0, "no job was ever launched");
}

#[tokio::test]
async fn the_engine_survives_its_world_on_sqlite() {
    simulate(Engine::Sqlite).await;
}

#[tokio::test]
async fn the_engine_survives_its_world_on_postgresql() {
    simulate(Engine::Postgres).await;
}
