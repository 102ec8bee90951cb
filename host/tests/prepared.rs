//! Untrusted policies get a fresh instance per batch, which begins with its book in memory: what it
//! answers is what a plain one does, and nothing that a call does stays. These run the real binary as
//! the compiler's process, where the book is loaded.

use farebox::app::shipped;
use farebox::engine::Engine;
use farebox::engine::compiler::Compiler;
use farebox::engine::limits::{LimitClass, Trust};
use farebox::engine::package::Package;
use farebox::service::policy::{Instances, PolicyEngine as _, ReleaseId, rate_requests};
use farebox_pricing::card::RateCardRequest;
use farebox_pricing::event::{Deployment, Facts, KeySource, QuoteRequest, UsageEvent};
use farebox_pricing::meter::{Meter, Pool, Quantity};
use std::path::{Path, PathBuf};

fn guest(name: &str) -> Vec<u8> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/guests");
    let path = path.join(name).with_extension("wasm");
    std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn compiled_by_farebox() -> Compiler {
    Compiler::Process {
        program: PathBuf::from(env!("CARGO_BIN_EXE_farebox")),
        limits: None,
    }
}

fn untrusted(engine: &Engine, component: &[u8], book: Vec<u8>) -> ReleaseId {
    engine
        .load_release(component, book, LimitClass::Native, Trust::Untrusted)
        .unwrap()
}

fn facts() -> Facts {
    let facts = Facts::new(Deployment::Hosted, KeySource::Managed, 1_795_000_000_000);
    Facts {
        // One that the policy with a committed spend knows.
        plan: Some("committed-1k".into()),
        ..facts
    }
}

fn event(model: &str, units: u32) -> UsageEvent {
    let pool = |meter, units: u32| Pool::new(meter, Quantity::new(units.into()).unwrap());
    UsageEvent {
        provider: "openai".into(),
        model_asked: Some(model.into()),
        model_served: None,
        service_tier: None,
        region: None,
        feature: None,
        pools: vec![pool(Meter::Input, units), pool(Meter::Output, units / 3)],
        provider_cost_usd: None,
    }
}

fn request(model: &str) -> QuoteRequest {
    QuoteRequest {
        provider: "openai".into(),
        model: Some(model.into()),
        service_tier: None,
        region: None,
        feature: None,
        body_bytes: 4_000,
        max_output_tokens: Some(500),
        declared: Vec::new(),
        provider_cost_max_usd: None,
    }
}

const MODELS: [&str; 4] = ["gpt-4o", "gpt-4o-mini", "gpt-4.1", "no-such-model"];

/// Everything that a policy is asked, of each of the models.
fn asked(engine: &Engine, release: &ReleaseId) -> String {
    let mut answers = Vec::new();
    let batch: Vec<_> = (0..64)
        .map(|number: u32| {
            let model = MODELS[number as usize % MODELS.len()];
            (event(model, 1_000 + 37 * number), facts())
        })
        .collect();
    for answer in engine.rate_batch(release, &rate_requests(&batch)) {
        answers.push(format!("{answer:?}"));
    }
    for model in MODELS {
        let quote = engine.quote(release, &request(model), &facts());
        answers.push(format!("{quote:?}"));
        let card = RateCardRequest {
            model_prefix: Some(model.into()),
            limit: 5,
            ..RateCardRequest::default()
        };
        answers.push(format!("{:?}", engine.rate_card(release, &card, &facts())));
    }
    answers.push(format!("{:?}", engine.describe(release)));
    answers.join("\n")
}

#[test]
fn a_prepared_policy_answers_as_one_that_loads_its_book() {
    for name in ["farebox_standard", "farebox_committed_spend"] {
        let component = guest(name);
        let book = match name {
            "farebox_standard" => shipped::default_book().unwrap().canonical,
            _ => small_book(name),
        };
        let folders = [(); 2].map(|()| tempfile::tempdir().unwrap());
        let plain = Engine::new(folders[0].path().to_owned()).unwrap();
        let prepared = Engine::new(folders[1].path().to_owned())
            .unwrap()
            .compiling(compiled_by_farebox());
        let ids = [&plain, &prepared].map(|engine| untrusted(engine, &component, book.clone()));
        assert_eq!(ids[0], ids[1]);
        assert_eq!(plain.instances(&ids[0]), Some(Instances::Loading));
        assert_eq!(prepared.instances(&ids[0]), Some(Instances::Prepared));
        let expected = asked(&plain, &ids[0]);
        assert!(expected.contains("total_usd"), "{expected}");
        assert_eq!(asked(&prepared, &ids[0]), expected, "{name}");
        assert!(prepared.faults().iter().all(|(_, faults)| *faults == 0));
    }
}

fn small_book(name: &str) -> Vec<u8> {
    let text = format!(
        r#"
name = "{name}"
as_of = "2026-11-21"

[[models]]
provider = "openai"
model = "gpt-4o"
max_output_tokens = 16384
per_million = {{ input = "2.5", output = "10" }}

[[models]]
provider = "openai"
model = "gpt-4o-mini"
max_output_tokens = 16384
per_million = {{ input = "0.15", output = "0.6" }}

# What the policy with a committed spend reports.
[[models]]
provider = "contract"
model = "true-up"
per_unit = {{ request = "0" }}
"#
    );
    let compiled = farebox_book::compile(&text, farebox_book::Format::Toml).unwrap();
    compiled.canonical
}

/// The hostile guest takes its orders from the name of its book.
#[test]
fn nothing_stays_in_a_prepared_policy_and_what_differs_is_not_prepared() {
    let folder = tempfile::tempdir().unwrap();
    let engine = Engine::new(folder.path().to_owned())
        .unwrap()
        .compiling(compiled_by_farebox());
    let hostile = guest("farebox_hostile");
    let honest = untrusted(&engine, &hostile, small_book("honest"));
    assert_eq!(engine.instances(&honest), Some(Instances::Prepared));
    let rate = |release: &ReleaseId| -> Result<String, String> {
        let priced = engine.rate(release, &event("gpt-4o", 1_000), &facts());
        priced
            .map(|priced| priced.price_usd.to_string())
            .map_err(|error| error.to_string())
    };
    let right = rate(&honest).unwrap();
    // One that remembers is no function of what it is asked: it is not prepared, and prices as it is.
    let remembers = untrusted(&engine, &hostile, small_book("remember"));
    assert_eq!(engine.instances(&remembers), Some(Instances::Loading));
    let first = rate(&remembers);
    assert_eq!(rate(&remembers), first);
    // One that fails on a model fails alone, and the next instance begins anew.
    let traps = untrusted(&engine, &hostile, small_book("trap_on_mini"));
    for _ in 0..20 {
        let trapped = engine.rate(&traps, &event("gpt-4o-mini", 1_000), &facts());
        assert!(trapped.unwrap_err().to_string().contains("trapped"));
        assert_eq!(rate(&traps).as_ref(), Ok(&right));
        assert_eq!(rate(&honest).as_ref(), Ok(&right));
    }
}

#[test]
fn a_restart_takes_what_was_prepared_from_disk() {
    let folder = tempfile::tempdir().unwrap();
    let (component, book) = (guest("farebox_committed_spend"), small_book("kept"));
    let files = || {
        let files = std::fs::read_dir(folder.path()).unwrap();
        let mut files: Vec<_> = files
            .map(|file| {
                let file = file.unwrap();
                (
                    file.file_name(),
                    file.metadata().unwrap().modified().unwrap(),
                )
            })
            .collect();
        files.sort();
        files
    };
    let start = |compiler| {
        let engine = Engine::new(folder.path().to_owned()).unwrap();
        let engine = engine.compiling(compiler);
        let id = untrusted(&engine, &component, book.clone());
        assert_eq!(engine.instances(&id), Some(Instances::Prepared));
        (asked(&engine, &id), id)
    };
    let (first, id) = start(compiled_by_farebox());
    let made = files();
    assert_eq!(made.len(), 2);
    // Whoever starts again needs no compiler.
    assert_eq!(start(Compiler::Here), (first.clone(), id));
    assert_eq!(files(), made);
    // A file that was damaged is made anew.
    let (prepared, _) = made
        .iter()
        .find(|(name, _)| name.to_string_lossy().contains(&hex_of(&id)))
        .unwrap();
    let path = folder.path().join(prepared);
    let mut bytes = std::fs::read(&path).unwrap();
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    std::fs::write(&path, bytes).unwrap();
    assert_eq!(start(compiled_by_farebox()), (first, id));
}

/// How the file of what was prepared names the book.
fn hex_of(id: &ReleaseId) -> String {
    id.book.0.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A trusted policy keeps its instance, and an engine without a process of its own prepares nothing.
#[test]
fn only_what_gets_fresh_instances_is_prepared() {
    let folder = tempfile::tempdir().unwrap();
    let engine = Engine::new(folder.path().to_owned())
        .unwrap()
        .compiling(compiled_by_farebox());
    let package = |trust| {
        let package = Package {
            component: guest("farebox_committed_spend"),
            book: Some(small_book("trusted")),
            ..Package::default()
        };
        let admitted = engine.admit(&package.to_file(), Some(trust)).unwrap();
        (admitted.id, engine.instances(&admitted.id))
    };
    let (id, instances) = package(Trust::Trusted);
    assert_eq!(instances, Some(Instances::Kept));
    engine.forget(&id);
    let (_, instances) = package(Trust::Untrusted);
    assert_eq!(instances, Some(Instances::Prepared));
}
