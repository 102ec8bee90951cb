//! What the machine says of this process.

/// Bytes this process has handed to the disk.
pub fn written() -> u64 {
    std::fs::read_to_string("/proc/self/io")
        .ok()
        .and_then(|text| {
            let line = text.lines().find(|line| line.starts_with("write_bytes"))?;
            line.split_whitespace().nth(1)?.parse().ok()
        })
        .unwrap_or(0)
}

/// The most memory this process has had at once, in KiB.
pub fn memory_peak_kib() -> u64 {
    std::fs::read_to_string("/proc/self/status")
        .ok()
        .and_then(|text| {
            let line = text.lines().find(|line| line.starts_with("VmHWM"))?;
            line.split_whitespace().nth(1)?.parse().ok()
        })
        .unwrap_or(0)
}

/// Begins the count of [`memory_peak_kib`] anew, where the kernel lets a process do that.
pub fn forget_memory_peak() {
    let _ = std::fs::write("/proc/self/clear_refs", "5");
}

/// Time the writer's thread was on a CPU, in nanoseconds.
pub fn writer_cpu() -> u64 {
    let Ok(threads) = std::fs::read_dir("/proc/self/task") else {
        return 0;
    };
    threads
        .filter_map(Result::ok)
        .map(|thread| thread.path())
        .filter(|path| {
            std::fs::read_to_string(path.join("comm"))
                .is_ok_and(|name| name.trim() == "ledger-writer")
        })
        .filter_map(|path| std::fs::read_to_string(path.join("schedstat")).ok())
        .filter_map(|text| text.split_whitespace().next()?.parse::<u64>().ok())
        .fold(0, u64::saturating_add)
}

/// Time that all threads of this process were on a CPU, in nanoseconds. Those that have ended count.
pub fn cpu_ns() -> u64 {
    // Fields 14 and 15 after the name, which is in parentheses; in hundredths of a second.
    const TICK_NS: u64 = 10_000_000;
    let text = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let rest = text.rsplit_once(')').map_or("", |(_, rest)| rest);
    rest.split_whitespace()
        .skip(11)
        .take(2)
        .filter_map(|field| field.parse::<u64>().ok())
        .fold(0, u64::saturating_add)
        .saturating_mul(TICK_NS)
}
