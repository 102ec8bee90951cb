//! Everything together: the API, the sandbox, the proxy, and each way of pricing against every other.
//!
//! One program for all, because each program links the whole host, which takes longer than most of
//! these tests. None may rely on state of its process: they share it. `power_loss` puts a disk of its
//! own under every database of its process, and so has one.

mod api;
mod architecture;
mod billing;
mod cases;
mod contract;
mod custom;
mod default_book;
mod determinism;
mod envoy;
mod hostile;
mod programs;
mod properties;
mod recorded;
mod usage_cases;
