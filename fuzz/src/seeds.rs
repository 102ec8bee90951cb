//! What a target starts from: the repository's own cases, books and recordings.
//!
//! Nothing is made up here and nothing is committed: `cargo xtask fuzz` has the seeds written into
//! a corpus below the target directory, and an ordinary test runs every target on all of its own.

use farebox_book::{Format, compile, parse, to_json};
use flate2::read::GzDecoder;
use serde_json::Value;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

/// Larger ones are left out: the fuzzer would mutate nothing but their middle.
pub const BYTES_MAX: usize = 16 << 10;
/// Every so many recorded answers one is a seed; they resemble each other.
const RECORDED_STEP: usize = 9;
/// Models of a price file that are seeds, evenly spread over it.
const PRICED_MODELS: usize = 64;

/// The seeds of a target, by its name.
///
/// # Errors
/// A file of the repository at `root` cannot be read.
pub fn of(root: &Path, target: &str) -> io::Result<Vec<Vec<u8>>> {
    let mut seeds = match target {
        "usage_answer" => answers(root, "response")?,
        "usage_stream" => answers(root, "sse")?,
        "usage_frames" => frames(root)?,
        "usage_headers" => headed(root)?,
        "usage_batch" => batches(root)?,
        "usage_request" => requests(root)?,
        "usage_number" | "book_amount" => texts(&["0", "12.5", "1e-7", "-3", "1_000", "0.1e+5"]),
        "book_toml" => books(root)?,
        "book_json" => books(root)?
            .iter()
            .filter_map(|toml| as_json(toml))
            .collect(),
        "book_litellm" => litellm(root)?,
        "book_genai_prices" => genai_prices(root)?,
        "book_canonical" => books(root)?
            .iter()
            .filter_map(|toml| as_canonical(toml))
            .collect(),
        "ledger_ids" => ids(),
        "ledger_zone" => zones(),
        #[cfg(feature = "host")]
        of_host => host(root, of_host)?,
        #[cfg(not(feature = "host"))]
        _ => Vec::new(),
    };
    seeds.retain(|seed| seed.len() <= BYTES_MAX);
    Ok(seeds)
}

/// The seeds of the host's targets.
#[cfg(feature = "host")]
fn host(root: &Path, target: &str) -> io::Result<Vec<Vec<u8>>> {
    Ok(match target {
        "host_rate_line" => lines(root)?,
        "host_key" => keys()?,
        "host_config" => texts(&[
            "listen = \"0.0.0.0:80\"\ndeployment = \"self-hosted\"",
            "credit_usd = \"0.10\"\ncommodity = \"credit\"",
            "hold_ttl_ms = 1000\nhold_ttl_max_ms = 2000\nskew_max_ms = 0",
            "queue_max = 1\nbody_bytes_max = 1024\nlog = \"info\"",
        ]),
        "host_package" => packages(root)?,
        "engine_admission" => admissions(root)?,
        "engine_answer" => answers_of_puppets(),
        _ => Vec::new(),
    })
}

/// Recorded lines, and a few in the shorter forms.
#[cfg(feature = "host")]
fn lines(root: &Path) -> io::Result<Vec<Vec<u8>>> {
    let recorded = recorded(root)?;
    let mut lines: Vec<Vec<u8>> = recorded
        .iter()
        .map(|call| call.to_string().into_bytes())
        .collect();
    lines.extend(texts(&[
        r#"{"provider":"openai","model":"gpt-4o","usage":{"input":1000,"output":"100"},"occurred_at":"2026-11-21T00:00:00Z"}"#,
        r#"{"provider":"apify","feature":"enrich","provider_cost_usd":"0.0123"}"#,
    ]));
    Ok(lines)
}

#[cfg(feature = "host")]
fn keys() -> io::Result<Vec<Vec<u8>>> {
    use farebox::service::secret::KeyText;
    use farebox_ledger::ids::KeyId;
    let key = |number| KeyText::generate(KeyId::new(number)).map_err(io::Error::other);
    [0, 7, 1 << 100, u128::MAX]
        .map(|number| Ok(key(number)?.reveal().as_bytes().to_vec()))
        .into_iter()
        .collect()
}

#[cfg(feature = "host")]
fn packages(root: &Path) -> io::Result<Vec<Vec<u8>>> {
    use farebox::engine::package::Package;
    let component = crate::engine::puppet();
    let mut packages = vec![component.clone(), b"\0asm\x01\0\0\0".to_vec()];
    for source in books(root)? {
        let package = Package {
            component: component.clone(),
            book: as_canonical(&source),
            book_source: Some(source),
            ..Package::default()
        };
        packages.push(package.to_file());
    }
    Ok(packages)
}

/// Bytes that look random and are the same in every run: those of a compressed file.
#[cfg(feature = "host")]
fn noise(root: &Path, bytes: usize) -> io::Result<Vec<Vec<u8>>> {
    let file = fs::read(root.join("tests/data/responses.jsonl.gz"))?;
    Ok(file
        .chunks_exact(bytes)
        .take(32)
        .map(<[u8]>::to_vec)
        .collect())
}

#[cfg(feature = "host")]
fn admissions(root: &Path) -> io::Result<Vec<Vec<u8>>> {
    let mut seeds = vec![[&[0], &crate::engine::puppet()[..]].concat()];
    for (way, noise) in (1_u8..3).cycle().zip(noise(root, 2048)?) {
        seeds.push([&[way], &noise[..]].concat());
    }
    Ok(seeds)
}

#[cfg(feature = "host")]
fn answers_of_puppets() -> Vec<Vec<u8>> {
    (0_u8..4)
        .map(|call| [&[call], &crate::engine::honest_answer()[..]].concat())
        .collect()
}

fn texts(texts: &[&str]) -> Vec<Vec<u8>> {
    texts.iter().map(|text| text.as_bytes().to_vec()).collect()
}

/// The files of a folder with this extension, in order.
fn files(folder: &Path, extension: &str) -> io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.extension() == Some(OsStr::new(extension)) {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

fn json(bytes: &[u8]) -> io::Result<Value> {
    serde_json::from_slice(bytes).map_err(io::Error::other)
}

/// Every case of usage there is.
fn cases(root: &Path) -> io::Result<Vec<Value>> {
    let mut cases = Vec::new();
    for path in files(&root.join("tests/cases/usage"), "json")? {
        if let Value::Array(list) = json(&fs::read(path)?)? {
            cases.extend(list);
        }
    }
    Ok(cases)
}

/// Some of the recorded calls.
fn recorded(root: &Path) -> io::Result<Vec<Value>> {
    let mut lines = String::new();
    GzDecoder::new(File::open(root.join("tests/data/responses.jsonl.gz"))?)
        .read_to_string(&mut lines)?;
    lines
        .lines()
        .step_by(RECORDED_STEP)
        .map(|line| json(line.as_bytes()))
        .collect()
}

/// The first line of a usage target's input, and what follows.
fn told(case: &Value, chunk_bytes: usize, body: &str) -> Vec<u8> {
    let word = |name: &str| case[name].as_str().unwrap_or("-");
    let (provider, api) = (word("provider"), word("api"));
    format!("{provider} {api} {chunk_bytes}\n{body}").into_bytes()
}

/// What a call was answered with under `field`: a body, or a stream as one text or as lines.
fn answer(call: &Value, field: &str) -> Option<String> {
    match &call[field] {
        Value::Null => None,
        Value::String(text) => Some(text.clone()),
        Value::Array(lines) if field == "sse" => {
            let lines: Option<Vec<&str>> = lines.iter().map(Value::as_str).collect();
            lines.map(|lines| lines.join("\n"))
        }
        body => Some(body.to_string()),
    }
}

fn calls(root: &Path) -> io::Result<Vec<Value>> {
    let mut calls = cases(root)?;
    calls.extend(recorded(root)?);
    Ok(calls)
}

fn answers(root: &Path, field: &str) -> io::Result<Vec<Vec<u8>>> {
    let calls = calls(root)?;
    let answers = calls
        .iter()
        .filter_map(|call| Some(told(call, 7, &answer(call, field)?)));
    Ok(answers.collect())
}

/// Converse's and InvokeModel's events, in the frames in which they come.
fn frames(root: &Path) -> io::Result<Vec<Vec<u8>>> {
    let mut seeds = Vec::new();
    for case in cases(root)?
        .iter()
        .filter(|case| case["provider"] == "bedrock")
    {
        let Some(stream) = answer(case, "sse") else {
            continue;
        };
        let mut lines = String::new();
        for line in stream.lines() {
            let line = line.strip_prefix("data:").unwrap_or(line).trim();
            let Ok(Value::Object(event)) = serde_json::from_str::<Value>(line) else {
                continue;
            };
            for (kind, payload) in event {
                lines.push_str(&format!("{kind} {payload}\n"));
            }
        }
        seeds.push(told(case, 7, &lines));
    }
    seeds.extend(texts(&[
        "bedrock - 7\n!throttlingException {\"message\":\"slow down\"}",
    ]));
    Ok(seeds)
}

fn headed(root: &Path) -> io::Result<Vec<Vec<u8>>> {
    let mut seeds = Vec::new();
    for case in cases(root)? {
        let headers = match &case["headers"] {
            Value::Object(headers) => headers.clone(),
            _ => continue,
        };
        let mut head = String::new();
        for (name, value) in headers {
            head.push_str(&format!("{name}: {}\n", value.as_str().unwrap_or_default()));
        }
        let body = answer(&case, "response").unwrap_or_default();
        seeds.push(told(&case, 1, &format!("{head}\n{body}")));
    }
    Ok(seeds)
}

fn batches(root: &Path) -> io::Result<Vec<Vec<u8>>> {
    let lines = |case: &Value| answer(case, "response").map(|line| told(case, 1, &line));
    let cases = cases(root)?;
    Ok(cases
        .iter()
        .filter(|case| case["api"] == "batch")
        .filter_map(lines)
        .collect())
}

fn requests(root: &Path) -> io::Result<Vec<Vec<u8>>> {
    let recorded = recorded(root)?;
    Ok(recorded
        .iter()
        .map(|call| call["request"].to_string().into_bytes())
        .collect())
}

/// Every small book of the repository.
fn books(root: &Path) -> io::Result<Vec<Vec<u8>>> {
    let mut books = Vec::new();
    for folder in ["tests/cases/rate", "guest/standard/books"] {
        for path in files(&root.join(folder), "toml")? {
            books.push(fs::read(path)?);
        }
    }
    Ok(books)
}

fn as_json(toml: &[u8]) -> Option<Vec<u8>> {
    let book = parse(std::str::from_utf8(toml).ok()?, Format::Toml).ok()?;
    to_json(&book).ok().map(String::into_bytes)
}

fn as_canonical(toml: &[u8]) -> Option<Vec<u8>> {
    let book = compile(std::str::from_utf8(toml).ok()?, Format::Toml).ok()?;
    Some(book.canonical)
}

/// The price file of a source; its name has its version.
fn price_file(root: &Path, source: &str) -> io::Result<Value> {
    let folder = root.join("tests/data/prices");
    let is_of = |path: &PathBuf| path.to_string_lossy().contains(source);
    let path = files(&folder, "gz")?
        .into_iter()
        .find(is_of)
        .ok_or_else(|| io::Error::other(format!("no price file of {source}")))?;
    let mut text = Vec::new();
    GzDecoder::new(File::open(path)?).read_to_end(&mut text)?;
    json(&text)
}

fn litellm(root: &Path) -> io::Result<Vec<Vec<u8>>> {
    let Value::Object(models) = price_file(root, "litellm")? else {
        return Ok(Vec::new());
    };
    let step = models.len().div_ceil(PRICED_MODELS).max(1);
    let one = |(name, model): (&String, &Value)| serde_json::json!({ name: model }).to_string();
    Ok(models
        .iter()
        .step_by(step)
        .map(|model| one(model).into_bytes())
        .collect())
}

fn genai_prices(root: &Path) -> io::Result<Vec<Vec<u8>>> {
    let Value::Array(providers) = price_file(root, "genai")? else {
        return Ok(Vec::new());
    };
    let mut files = Vec::new();
    for provider in providers {
        let models = provider["models"].as_array().cloned().unwrap_or_default();
        for model in models.into_iter().step_by(PRICED_MODELS / 8) {
            let mut small = provider.clone();
            small["models"] = Value::Array(vec![model]);
            files.push(Value::Array(vec![small]).to_string().into_bytes());
        }
    }
    Ok(files)
}

fn ids() -> Vec<Vec<u8>> {
    let of = |prefix: &str| format!("{prefix}0192f0c8b7a67c1e9f3a5d2b4c6e8f01");
    [
        "org_", "txn_", "hold_", "grant_", "evt_", "chg_", "refund_", "key_", "budget_", "com_",
    ]
    .map(|prefix| of(prefix).into_bytes())
    .to_vec()
}

/// Zones whose days begin or end in odd ways.
fn zones() -> Vec<Vec<u8>> {
    [
        "UTC",
        "Europe/Berlin",
        "America/Sao_Paulo",
        "America/St_Johns",
        "Pacific/Apia",
        "Africa/Cairo",
        "Asia/Gaza",
        "Antarctica/Troll",
    ]
    .map(|zone| [&1_320_548_000_000_i64.to_be_bytes()[..], zone.as_bytes()].concat())
    .to_vec()
}
