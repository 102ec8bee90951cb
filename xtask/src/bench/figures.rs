//! What is known of each figure of a bench run: its label, its aim, and what bounds it.

/// What a figure should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Aim {
    /// This much or more.
    AtLeast(u64),
    /// This much or less.
    AtMost(u64),
    /// Half of another figure, or more.
    HalfOf(&'static str),
    /// Stands there to be compared with.
    None,
}

/// A row: the figure's name, its label, its aim, and what bounds it.
pub struct Known(
    pub &'static str,
    pub &'static str,
    pub Aim,
    pub &'static str,
);

const SANDBOX: &str = "instructions in the sandbox, a tenth of them for fuel";
const WRITER: &str = "the single writer thread";
pub(super) const CORES: &str = "the cores, shared with the client";
const DISK: &str = "the disk: two commits, each made durable";

/// Every figure that the parts of a run print.
pub const KNOWN: [Known; 75] = [
    Known(
        "rate_single_ns",
        "rate one event, sandboxed, all checks",
        Aim::AtMost(2_000),
        SANDBOX,
    ),
    Known(
        "rate_batch_event_ns",
        "the same in batches of 256, per event",
        Aim::AtMost(1_000),
        SANDBOX,
    ),
    Known(
        "rate_native_ns",
        "the same natively, one event",
        Aim::None,
        "exact decimals, and one allocation a line",
    ),
    Known(
        "rate_fresh_batch_event_ns",
        "the same, a fresh instance per batch",
        Aim::None,
        "the pages that a call writes, and decoding the model",
    ),
    Known(
        "fresh_batch_extra_us",
        "a batch of 256 by a fresh instance, beyond one by a warm one",
        Aim::AtMost(100),
        "the pages that a call writes, and decoding the model",
    ),
    Known(
        "admit_cold_us",
        "compile and load the standard policy and the full book",
        Aim::None,
        "compiling the component",
    ),
    Known(
        "admit_cached_us",
        "the same, already compiled",
        Aim::None,
        "checking the whole book",
    ),
    Known(
        "import_both_ms",
        "import the price files of both sources, one after the other",
        Aim::AtMost(10_000),
        "reading, merging and checking thousands of models",
    ),
    Known(
        "rust_admit_ms",
        "compile and load a policy in Rust",
        Aim::None,
        "compiling the component",
    ),
    Known(
        "rust_batch_event_ns",
        "rate by a policy in Rust, batches of 256, per event",
        Aim::None,
        SANDBOX,
    ),
    Known(
        "rust_fresh_batch_event_ns",
        "the same, a fresh instance per batch",
        Aim::None,
        "making the instance, and decoding what it needs of the book",
    ),
    Known(
        "rust_fuel_batch_event",
        "the same in fuel, per event",
        Aim::None,
        "",
    ),
    Known(
        "js_admit_ms",
        "compile and load a policy in JavaScript",
        Aim::None,
        "compiling an interpreter, by one thread",
    ),
    Known(
        "js_batch_event_ns",
        "rate by a policy in JavaScript, batches of 256, per event",
        Aim::None,
        "an interpreter, and passing values in and out of it",
    ),
    Known(
        "js_fresh_batch_event_ns",
        "the same, a fresh instance per batch",
        Aim::None,
        "making the instance, and decoding what it needs of the book",
    ),
    Known(
        "js_fuel_batch_event",
        "the same in fuel, per event",
        Aim::None,
        "",
    ),
    Known(
        "python_admit_ms",
        "compile and load a policy in Python",
        Aim::None,
        "compiling an interpreter, by one thread",
    ),
    Known(
        "python_batch_event_ns",
        "rate by a policy in Python, batches of 256, per event",
        Aim::None,
        "an interpreter, and passing values in and out of it",
    ),
    Known(
        "python_fresh_batch_event_ns",
        "the same, a fresh instance per batch",
        Aim::None,
        "making the instance, and decoding what it needs of the book",
    ),
    Known(
        "python_fuel_batch_event",
        "the same in fuel, per event",
        Aim::None,
        "",
    ),
    Known(
        "component_bytes",
        "the standard policy",
        Aim::AtMost(1 << 20),
        "",
    ),
    Known(
        "pairs_per_s",
        "hold + capture, durable, 1,024 at once, 1,000 wallets",
        Aim::AtLeast(30_000),
        WRITER,
    ),
    Known(
        "pairs_bare_per_s",
        "the same rows bare: one thread, SQLite, nothing besides",
        Aim::None,
        "SQLite, and the tree of keys in no order",
    ),
    Known(
        "bytes_per_bare_pair",
        "bytes written per pair there",
        Aim::None,
        "every row twice: the log, then the file",
    ),
    Known(
        "hold_p50_us",
        "p50 of a hold at that load",
        Aim::None,
        "1,024 callers share the writer",
    ),
    Known(
        "hold_p99_us",
        "p99 of a hold at that load",
        Aim::AtMost(20_000),
        "1,024 callers share the writer",
    ),
    Known(
        "capture_p50_us",
        "p50 of a capture at that load",
        Aim::None,
        "1,024 callers share the writer",
    ),
    Known(
        "capture_p99_us",
        "p99 of a capture at that load",
        Aim::AtMost(20_000),
        "1,024 callers share the writer",
    ),
    Known(
        "bytes_per_pair",
        "bytes written per pair",
        Aim::None,
        "every row twice: the log, then the file",
    ),
    Known(
        "writer_cpu_ns_per_pair",
        "the writer's CPU per pair",
        Aim::None,
        "",
    ),
    Known(
        "pairs_one_wallet_per_s",
        "hold + capture on one wallet",
        Aim::HalfOf("pairs_per_s"),
        WRITER,
    ),
    Known(
        "op_serial_p50_us",
        "one operation at a time, p50",
        Aim::AtMost(1_000),
        DISK,
    ),
    Known(
        "pair_serial_p50_us",
        "one pair at a time, p50",
        Aim::AtMost(2_000),
        DISK,
    ),
    Known(
        "backtest_charges_per_s",
        "backtest of a million charges, standard policy, all cores",
        Aim::AtLeast(500_000),
        SANDBOX,
    ),
    Known(
        "backtest_js_charges_per_s",
        "the same by a policy in JavaScript, charges of half a second",
        Aim::None,
        "an interpreter, and passing values in and out of it",
    ),
    Known(
        "backtest_python_charges_per_s",
        "the same by a policy in Python",
        Aim::None,
        "an interpreter, and passing values in and out of it",
    ),
    Known(
        "backtest_cpu_ns_per_charge",
        "CPU of all threads per charge there",
        Aim::None,
        "",
    ),
    Known(
        "backtest_memory_peak_kib",
        "memory at most there",
        Aim::None,
        "the caches of the database",
    ),
    Known(
        "durable_write_us",
        "one write of 4 KiB made durable, p50",
        Aim::None,
        "the disk",
    ),
    Known(
        "pairs_at_5m_events_per_s",
        "hold + capture on 5 million events",
        Aim::AtLeast(30_000),
        WRITER,
    ),
    Known(
        "writer_cpu_at_5m_ns_per_pair",
        "the writer's CPU per pair there",
        Aim::None,
        "",
    ),
    Known(
        "reopen_at_5m_events_ms",
        "open the ledger of 5 million events",
        Aim::None,
        "reading balances and open holds",
    ),
    Known(
        "verify_events_per_s",
        "verify that ledger",
        Aim::None,
        "hashing every row of the chain",
    ),
    Known(
        "start_cold_ms",
        "start to ready, empty directory",
        Aim::None,
        "compiling the component",
    ),
    Known(
        "start_warm_ms",
        "start to ready, warm cache",
        Aim::AtMost(1_000),
        "checking the whole book",
    ),
    Known(
        "resident_idle_kib",
        "resident memory, idle, full price book",
        Aim::AtMost(150 << 10),
        "",
    ),
    Known(
        "resident_loaded_kib",
        "resident memory, after the load",
        Aim::None,
        "",
    ),
    Known(
        "http_pairs_per_s",
        "hold + usage over HTTP",
        Aim::AtLeast(8_000),
        CORES,
    ),
    Known(
        "http_hold_p50_us",
        "p50 of a hold over HTTP",
        Aim::None,
        CORES,
    ),
    Known(
        "http_hold_p99_us",
        "p99 of a hold over HTTP",
        Aim::None,
        CORES,
    ),
    Known(
        "http_usage_p50_us",
        "p50 of a usage report over HTTP",
        Aim::None,
        CORES,
    ),
    Known(
        "http_usage_p99_us",
        "p99 of a usage report over HTTP",
        Aim::None,
        CORES,
    ),
    Known(
        "http_server_cpu_us_per_pair",
        "CPU per pair, server",
        Aim::None,
        "",
    ),
    Known(
        "http_client_cpu_us_per_pair",
        "CPU per pair, client",
        Aim::None,
        "",
    ),
    Known(
        "admit_over_http_ms",
        "push the standard policy with a small book, to its answer",
        Aim::AtMost(1_000),
        "its trial with calls of its book",
    ),
    Known(
        "swaps",
        "swaps of what is bound, during the load below",
        Aim::AtLeast(1_000),
        "one client, one at a time",
    ),
    Known(
        "hold_p99_in_swaps_percent",
        "p99 of a hold during swaps, of that without",
        Aim::AtMost(150),
        CORES,
    ),
    Known(
        "usage_p99_in_swaps_percent",
        "the same of a usage report",
        Aim::AtMost(150),
        CORES,
    ),
    Known(
        "rollback_p50_us",
        "p50 of a rollback during the load",
        Aim::None,
        "waiting its turn at the writer",
    ),
    Known(
        "rollback_p99_us",
        "p99 of a rollback during the load",
        Aim::AtMost(100_000),
        "waiting its turn at the writer",
    ),
    Known(
        "hold_p99_beside_endless_percent",
        "p99 of a hold beside a policy that loops without end, of that beside an honest one",
        Aim::AtMost(110),
        "fuel: each loop takes a core until it is used up",
    ),
    Known(
        "usage_p99_beside_endless_percent",
        "the same of a usage report",
        Aim::AtMost(110),
        "fuel: each loop takes a core until it is used up",
    ),
    Known(
        "endless_loops_stopped",
        "endless loops that were stopped meanwhile",
        Aim::None,
        "",
    ),
    Known(
        "push_rust_ms",
        "push a policy in Rust to a running server, to its answer",
        Aim::AtMost(1_000),
        "compiling it twice, by one thread, and its trial",
    ),
    Known(
        "push_js_ms",
        "push a policy in JavaScript to a running server, to its answer",
        Aim::AtMost(60_000),
        "compiling it twice, by one thread, and its trial",
    ),
    Known(
        "hold_p99_beside_push_js_percent",
        "p99 of a hold meanwhile, of that without",
        Aim::AtMost(150),
        CORES,
    ),
    Known(
        "push_python_ms",
        "push a policy in Python to a running server, to its answer",
        Aim::AtMost(60_000),
        "compiling it twice, by one thread, and its trial",
    ),
    Known(
        "hold_p99_beside_push_python_percent",
        "p99 of a hold meanwhile, of that without",
        Aim::AtMost(150),
        CORES,
    ),
    Known(
        "postgres_one_wallet_per_s",
        "Postgres: SELECT … FOR UPDATE per debit, one wallet",
        Aim::None,
        "its row lock, held while a commit is made durable",
    ),
    Known(
        "postgres_thousand_wallets_per_s",
        "the same on 1,000 wallets",
        Aim::None,
        "one commit a debit",
    ),
    Known(
        "one_wallet_over_postgres_times",
        "one wallet, Farebox over Postgres",
        Aim::AtLeast(50),
        "many debits share a commit",
    ),
    Known(
        "many_wallets_over_postgres_times",
        "1,000 wallets, Farebox over Postgres",
        Aim::None,
        "many debits share a commit",
    ),
    Known(
        "rate_single_over_native_percent",
        "sandbox over native, one event",
        Aim::None,
        "",
    ),
    Known(
        "filled_over_empty_percent",
        "5 million events over none",
        Aim::None,
        "the index of what came before",
    ),
    Known("bench_s", "the whole run", Aim::None, ""),
];

/// Figures made of two others: the name, the one, the other, and what the quotient is times.
pub const QUOTIENTS: [(&str, &str, &str, u64); 6] = [
    (
        "one_wallet_over_postgres_times",
        "pairs_one_wallet_per_s",
        "postgres_one_wallet_per_s",
        1,
    ),
    (
        "many_wallets_over_postgres_times",
        "pairs_per_s",
        "postgres_thousand_wallets_per_s",
        1,
    ),
    (
        "rate_single_over_native_percent",
        "rate_single_ns",
        "rate_native_ns",
        100,
    ),
    (
        "filled_over_empty_percent",
        "pairs_at_5m_events_per_s",
        "pairs_per_s",
        100,
    ),
    (
        "edge_whole_filter_over_litellm_times",
        "edge_whole_filter_per_s",
        "edge_whole_litellm_per_s",
        1,
    ),
    (
        "edge_stream_filter_over_litellm_times",
        "edge_stream_filter_per_s",
        "edge_stream_litellm_per_s",
        1,
    ),
];
