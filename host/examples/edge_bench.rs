//! The two ends of a proxy, for `cargo xtask bench`: a provider that answers at once, and callers.
//!
//! Both share the machine's cores with the proxy that is measured, so they do as little as they
//! can. The load prints one flat JSON object of whole numbers.
//!
//! `edge_bench serve ADDRESS` — until its standard input ends.
//! `edge_bench load ADDRESS SECONDS CONNECTIONS whole|stream KEY`

mod answers;

use answers::{Failure, is_whole, percentile};
use std::io::Read as _;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// Events of a stream between its first and the one that says what was used.
const EVENTS: usize = 200;
const USAGE: &str = r#""usage":{"prompt_tokens":86,"completion_tokens":200,"total_tokens":286,"prompt_tokens_details":{"cached_tokens":0,"audio_tokens":0},"completion_tokens_details":{"reasoning_tokens":0,"audio_tokens":0}}"#;
const EVENT: &str = "data: {\"id\":\"chatcmpl-bench\",\"object\":\"chat.completion.chunk\",\"created\":1795219200,\"model\":\"gpt-4o-mini-2024-07-18\",\"service_tier\":\"default\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\" word\"},\"finish_reason\":null}],\"usage\":null}\n\n";
const QUESTION: &str = r#"{"model":"gpt-4o-mini","max_tokens":256,"messages":[{"role":"system","content":"You answer in one paragraph, plainly, and say so when you do not know."},{"role":"user","content":"Why is the sky blue, and why is it red in the evening? Explain it to somebody who has not heard of scattering before, and say what would change on a planet with another atmosphere."}],"stream":STREAM,"stream_options":OPTIONS}"#;

fn main() -> Result<(), Failure> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    match *arguments {
        ["serve", address] => runtime.block_on(serve(address)),
        ["load", address, seconds, connections, kind, key] => runtime.block_on(load(
            address,
            Duration::from_secs(seconds.parse()?),
            connections.parse()?,
            &request(kind, key)?,
        )),
        _ => Err("see the first lines of this file".into()),
    }
}

async fn serve(address: &str) -> Result<(), Failure> {
    let listener = TcpListener::bind(address).await?;
    // Whoever started this holds the other end, and cannot forget to end it.
    let ended = tokio::task::spawn_blocking(|| {
        let mut rest = Vec::new();
        drop(std::io::stdin().read_to_end(&mut rest));
    });
    let accept = async {
        while let Ok((caller, _)) = listener.accept().await {
            tokio::spawn(async move {
                if let Err(error) = answer(caller).await {
                    eprintln!("provider: {error}");
                }
            });
        }
    };
    tokio::select! {
        _ = ended => {}
        () = accept => {}
    }
    Ok(())
}

/// Answers every request of a connection.
async fn answer(mut caller: TcpStream) -> Result<(), Failure> {
    caller.set_nodelay(true)?;
    let whole = format!(
        r#"{{"id":"chatcmpl-bench","object":"chat.completion","model":"gpt-4o-mini-2024-07-18","service_tier":"default","choices":[{{"index":0,"message":{{"role":"assistant","content":"{}"}},"finish_reason":"stop"}}],{USAGE}}}"#,
        "word ".repeat(200)
    );
    let whole = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{whole}",
        whole.len()
    );
    let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\
                transfer-encoding: chunked\r\n\r\n";
    // No model says one word without end: a gateway may take that for a fault and break off.
    let events = [chunk(EVENT), chunk(&EVENT.replace("word", "more"))];
    let end = format!(
        "data: {{\"id\":\"chatcmpl-bench\",\"object\":\"chat.completion.chunk\",\"model\":\"gpt-4o-mini-2024-07-18\",\"choices\":[],{USAGE}}}\n\ndata: [DONE]\n\n"
    );
    let end = [chunk(&end), "0\r\n\r\n".to_owned()].concat();
    let mut asked = Vec::with_capacity(4 << 10);
    loop {
        asked.clear();
        while !is_whole(&asked)? {
            if caller.read_buf(&mut asked).await? == 0 {
                return Ok(());
            }
        }
        if !asked.windows(13).any(|part| part == br#""stream":true"#) {
            caller.write_all(whole.as_bytes()).await?;
            continue;
        }
        caller.write_all(head.as_bytes()).await?;
        for event in events.iter().cycle().take(EVENTS) {
            // A provider writes each as it has it.
            caller.write_all(event.as_bytes()).await?;
            tokio::task::yield_now().await;
        }
        caller.write_all(end.as_bytes()).await?;
    }
}

fn chunk(text: &str) -> String {
    format!("{:x}\r\n{text}\r\n", text.len())
}

fn request(kind: &str, key: &str) -> Result<Vec<u8>, Failure> {
    let (stream, options) = match kind {
        "whole" => ("false", "null"),
        "stream" => ("true", r#"{"include_usage":true}"#),
        other => return Err(format!("`{other}` is neither `whole` nor `stream`").into()),
    };
    let body = QUESTION
        .replace("STREAM", stream)
        .replace("OPTIONS", options);
    let head = format!(
        "POST /v1/chat/completions HTTP/1.1\r\nhost: bench\r\nauthorization: Bearer {key}\r\n\
         content-type: application/json\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    Ok([head, body].concat().into_bytes())
}

async fn load(
    address: &str,
    duration: Duration,
    connections: usize,
    request: &[u8],
) -> Result<(), Failure> {
    let begun = Instant::now();
    let until = begun.checked_add(duration).ok_or("too long")?;
    let mut running = tokio::task::JoinSet::new();
    for _ in 0..connections {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        running.spawn(call_until(stream, request.to_vec(), until));
    }
    let mut all = Vec::new();
    while let Some(seen) = running.join_next().await {
        all.extend(seen??);
    }
    let took_ms = u64::try_from(begun.elapsed().as_millis())?.max(1);
    let calls = u64::try_from(all.len())?;
    let per_second = calls.saturating_mul(1000).checked_div(took_ms).unwrap_or(0);
    all.sort_unstable();
    println!(
        "{{\"calls\":{calls},\"events\":{},\"per_s\":{per_second},\"p50_ns\":{},\"p99_ns\":{}}}",
        EVENTS.saturating_add(1),
        percentile(&all, 50),
        percentile(&all, 99),
    );
    Ok(())
}

/// How long each call took, in nanoseconds.
async fn call_until(
    mut stream: TcpStream,
    request: Vec<u8>,
    until: Instant,
) -> Result<Vec<u64>, Failure> {
    let mut took_ns = Vec::new();
    let mut received = Vec::with_capacity(128 << 10);
    while Instant::now() < until {
        let begun = Instant::now();
        stream.write_all(&request).await?;
        received.clear();
        while !is_whole(&received)? {
            if stream.read_buf(&mut received).await? == 0 {
                return Err("the proxy closed the connection".into());
            }
        }
        took_ns.push(u64::try_from(begun.elapsed().as_nanos())?);
        if !received.starts_with(b"HTTP/1.1 200") {
            return Err(String::from_utf8_lossy(&received).into_owned().into());
        }
    }
    Ok(took_ns)
}
