//! What is known of the figures of a call through Envoy: see [`super::figures`].

use super::figures::{Aim, CORES, Known};

/// What bounds a call with the filter.
const CALL: &str = "Envoy and the kernel for two thirds, the filter's own code for a third";
/// What bounds a stream with it.
const STREAM: &str = "the filter's own code";
/// What bounds the gateway in Python.
const PYTHON: &str = "its Python, on one core";

/// Every figure that the part of Envoy prints.
pub const KNOWN: [Known; 52] = [
    Known("filter_bytes", "the filter", Aim::AtMost(1 << 20), ""),
    Known(
        "edge_filter_memory_kib",
        "memory of Envoy with it and the full price book, one worker, beyond that without",
        Aim::None,
        "the book, and the module's code",
    ),
    Known(
        "edge_litellm_memory_kib",
        "memory of LiteLLM's gateway, one worker",
        Aim::None,
        "",
    ),
    Known(
        "edge_whole_bare_p50_us",
        "a call, Envoy without a filter: p50",
        Aim::None,
        CORES,
    ),
    Known("edge_whole_bare_p99_us", "the same: p99", Aim::None, CORES),
    Known(
        "edge_whole_bare_per_s",
        "the same, 16 at once, one worker",
        Aim::None,
        CORES,
    ),
    Known(
        "edge_whole_bare_cpu_us",
        "CPU of Envoy per call there",
        Aim::None,
        "",
    ),
    Known(
        "edge_whole_noop_p50_us",
        "a call, with one that does nothing: p50",
        Aim::None,
        CORES,
    ),
    Known("edge_whole_noop_p99_us", "the same: p99", Aim::None, CORES),
    Known(
        "edge_whole_noop_per_s",
        "the same, 16 at once, one worker",
        Aim::None,
        CORES,
    ),
    Known(
        "edge_whole_noop_cpu_us",
        "CPU of Envoy per call there",
        Aim::None,
        "",
    ),
    Known(
        "edge_whole_filter_p50_us",
        "a call, with the filter, under leases: p50",
        Aim::None,
        CORES,
    ),
    Known(
        "edge_whole_filter_p99_us",
        "the same: p99",
        Aim::None,
        CORES,
    ),
    Known(
        "edge_whole_filter_per_s",
        "the same, 16 at once, one worker",
        Aim::None,
        CORES,
    ),
    Known(
        "edge_whole_filter_cpu_us",
        "CPU of Envoy per call there",
        Aim::None,
        "",
    ),
    Known(
        "edge_whole_hop_p50_us",
        "a call, with a hold and a report for each call: p50",
        Aim::None,
        CORES,
    ),
    Known("edge_whole_hop_p99_us", "the same: p99", Aim::None, CORES),
    Known(
        "edge_whole_hop_per_s",
        "the same, 16 at once, one worker",
        Aim::None,
        CORES,
    ),
    Known(
        "edge_whole_hop_cpu_us",
        "CPU of Envoy per call there",
        Aim::None,
        "",
    ),
    Known(
        "edge_whole_litellm_p50_us",
        "a call, through LiteLLM's gateway, spend counted in memory: p50",
        Aim::None,
        PYTHON,
    ),
    Known(
        "edge_whole_litellm_p99_us",
        "the same: p99",
        Aim::None,
        PYTHON,
    ),
    Known(
        "edge_whole_litellm_per_s",
        "the same, 16 at once, one worker",
        Aim::None,
        PYTHON,
    ),
    Known(
        "edge_whole_litellm_cpu_us",
        "CPU of the gateway per call there",
        Aim::None,
        PYTHON,
    ),
    Known(
        "edge_whole_added_p50_us",
        "what the filter adds to the p50 of a call",
        Aim::AtMost(30),
        CALL,
    ),
    Known(
        "edge_whole_added_cpu_us",
        "what it adds to the CPU of a call",
        Aim::None,
        CALL,
    ),
    Known(
        "edge_whole_throughput_percent",
        "throughput with the filter, of that without",
        Aim::AtLeast(60),
        CALL,
    ),
    Known(
        "edge_stream_bare_p50_us",
        "a stream of 201 events, Envoy without a filter: p50",
        Aim::None,
        CORES,
    ),
    Known("edge_stream_bare_p99_us", "the same: p99", Aim::None, CORES),
    Known(
        "edge_stream_bare_per_s",
        "the same, 16 at once, one worker",
        Aim::None,
        CORES,
    ),
    Known(
        "edge_stream_bare_cpu_us",
        "CPU of Envoy per call there",
        Aim::None,
        "",
    ),
    Known(
        "edge_stream_noop_p50_us",
        "a stream of 201 events, with one that does nothing: p50",
        Aim::None,
        CORES,
    ),
    Known("edge_stream_noop_p99_us", "the same: p99", Aim::None, CORES),
    Known(
        "edge_stream_noop_per_s",
        "the same, 16 at once, one worker",
        Aim::None,
        CORES,
    ),
    Known(
        "edge_stream_noop_cpu_us",
        "CPU of Envoy per call there",
        Aim::None,
        "",
    ),
    Known(
        "edge_stream_filter_p50_us",
        "a stream of 201 events, with the filter, under leases: p50",
        Aim::None,
        CORES,
    ),
    Known(
        "edge_stream_filter_p99_us",
        "the same: p99",
        Aim::None,
        CORES,
    ),
    Known(
        "edge_stream_filter_per_s",
        "the same, 16 at once, one worker",
        Aim::None,
        CORES,
    ),
    Known(
        "edge_stream_filter_cpu_us",
        "CPU of Envoy per call there",
        Aim::None,
        "",
    ),
    Known(
        "edge_stream_hop_p50_us",
        "a stream of 201 events, with a hold and a report for each call: p50",
        Aim::None,
        CORES,
    ),
    Known("edge_stream_hop_p99_us", "the same: p99", Aim::None, CORES),
    Known(
        "edge_stream_hop_per_s",
        "the same, 16 at once, one worker",
        Aim::None,
        CORES,
    ),
    Known(
        "edge_stream_hop_cpu_us",
        "CPU of Envoy per call there",
        Aim::None,
        "",
    ),
    Known(
        "edge_stream_litellm_p50_us",
        "a stream of 201 events, through LiteLLM's gateway, spend counted in memory: p50",
        Aim::None,
        PYTHON,
    ),
    Known(
        "edge_stream_litellm_p99_us",
        "the same: p99",
        Aim::None,
        PYTHON,
    ),
    Known(
        "edge_stream_litellm_per_s",
        "the same, 16 at once, one worker",
        Aim::None,
        PYTHON,
    ),
    Known(
        "edge_stream_litellm_cpu_us",
        "CPU of the gateway per call there",
        Aim::None,
        PYTHON,
    ),
    Known(
        "edge_stream_added_p50_us",
        "what the filter adds to the p50 of a stream of 201 events",
        Aim::None,
        STREAM,
    ),
    Known(
        "edge_stream_added_cpu_us",
        "what it adds to the CPU of a stream of 201 events",
        Aim::None,
        STREAM,
    ),
    Known(
        "edge_stream_added_cpu_per_event_ns",
        "the same per event",
        Aim::AtMost(5_000),
        STREAM,
    ),
    Known(
        "edge_stream_throughput_percent",
        "throughput with the filter, of that without",
        Aim::AtLeast(60),
        STREAM,
    ),
    Known(
        "edge_whole_filter_over_litellm_times",
        "calls with the filter, 16 at once, of those through LiteLLM's gateway",
        Aim::None,
        "",
    ),
    Known(
        "edge_stream_filter_over_litellm_times",
        "the same of streams",
        Aim::None,
        "",
    ),
];
