//! What takes long steps off the threads that serve requests: a server has as many of those as
//! processors, and an interpreter that thinks for a second would hold up all that wait for its thread.

use tokio::runtime::{Handle, RuntimeFlavor};

/// Does `work` on this thread, and lets another one go on with what this one served. A runtime of a
/// single thread has no other.
pub fn aside(work: &mut dyn FnMut()) {
    let flavor = Handle::try_current().map(|runtime| runtime.runtime_flavor());
    if let Ok(RuntimeFlavor::MultiThread) = flavor {
        tokio::task::block_in_place(work);
    } else {
        work();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;
    use std::time::Duration;

    /// What is waited for can only come from the one thread that serves.
    #[tokio::test(flavor = "multi_thread", worker_threads = 1)]
    async fn others_go_on_while_one_takes_long() {
        let (done, wait) = mpsc::channel();
        let slow = tokio::spawn(async move {
            let other = tokio::spawn(async move { done.send(()) });
            let mut came = false;
            aside(&mut || came = wait.recv_timeout(Duration::from_secs(120)).is_ok());
            other.await.unwrap().unwrap();
            came
        });
        assert!(slow.await.unwrap());
    }

    #[tokio::test]
    async fn a_runtime_of_one_thread_does_it_there() {
        let mut done = false;
        aside(&mut || done = true);
        assert!(done);
    }
}
