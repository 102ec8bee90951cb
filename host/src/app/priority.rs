//! Threads that work beside requests step back for them.

/// How much a background thread gives way: of two that want the same core, it gets about a tenth.
const NICENESS: i32 = 10;

/// Lowers the priority of the calling thread, for good. Where the system does not let it, the thread
/// works as the others do.
pub fn lower() {
    // On Linux this is the thread's own, not the process's.
    let _ = rustix::process::nice(NICENESS);
}
