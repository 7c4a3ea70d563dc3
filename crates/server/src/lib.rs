//! The server around the product: configuration, listeners, telemetry, metrics, shutdown, command line.
//!
//! The only place that reads the environment, opens sockets and starts the top-level tasks. What a request
//! means is decided further down; here it is only let in, counted and let out.

pub mod admin;
pub mod cli;
pub mod config;
pub mod demo;
pub mod installation;
pub mod listen;
pub mod metrics;
pub mod problem;
pub mod serve;
pub mod shutdown;
pub mod telemetry;
pub mod worker;
