//! What is left to do before the proxy may stop, among its statistics: whoever stops it sees no more
//! than those. So they are right at every moment: a call that is over has shown what it left before
//! the proxy counts it as over.

use super::leases::Keeper;
use super::proxy::Level;
use crate::queue::Queue;

/// What a worker has left to do.
pub struct Levels {
    /// What the host does not have yet: reports, and leases that go back.
    waiting: Level,
    /// Keys that have leases.
    leasing: Level,
}

impl Levels {
    /// Declares them.
    pub fn new() -> Self {
        Self {
            waiting: Level::new("farebox.waiting"),
            leasing: Level::new("farebox.leasing"),
        }
    }

    /// Shows what there is now.
    pub fn show(&self, reports: &Queue, keeper: &Keeper) {
        self.waiting.show(reports.len());
        self.leasing.show(keeper.len());
    }

    /// Another filter sees to what there is.
    pub fn leave(&self) {
        self.waiting.show(0);
        self.leasing.show(0);
    }
}
