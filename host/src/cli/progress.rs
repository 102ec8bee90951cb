//! How far something is, on a terminal; nothing where there is none.

use crate::service::rerate::Control;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// How often the bar moves.
const STEP: Duration = Duration::from_millis(100);

/// A bar of thousandths on standard error.
pub fn bar() -> ProgressBar {
    let bar = ProgressBar::with_draw_target(Some(1_000), ProgressDrawTarget::stderr());
    let style = ProgressStyle::with_template("{bar:40} {percent:>3} %  {msg}  {eta} left");
    if let Ok(style) = style {
        bar.set_style(style);
    }
    bar
}

/// Does `work` while the bar shows how far `control` says that it is.
pub fn beside<T>(bar: &ProgressBar, control: &Control, work: impl FnOnce() -> T) -> T {
    let over = AtomicBool::new(bar.is_hidden());
    std::thread::scope(|scope| {
        let shown = scope.spawn(|| {
            while !over.load(Ordering::Relaxed) {
                bar.set_position(control.permille());
                bar.set_message(format!("{} charges", control.seen()));
                std::thread::park_timeout(STEP);
            }
        });
        let done = work();
        over.store(true, Ordering::Relaxed);
        shown.thread().unpark();
        bar.finish_and_clear();
        done
    })
}
