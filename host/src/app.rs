//! Puts the parts together: a server, or an engine without one.
//!
//! The only module that knows every adapter. It decides nothing that a request or a command line
//! asks: it reads a configuration and wires.

mod aside;
pub mod offline;
mod prepare;
pub mod priority;
pub mod replay;
pub mod server;
mod settler;
pub mod shipped;
#[cfg(test)]
mod tests;
mod trials;
