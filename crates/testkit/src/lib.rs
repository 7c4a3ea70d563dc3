//! What tests of every crate share. Nothing here is part of the product, and nothing of the product depends on it.

pub mod db;
pub mod installation;
