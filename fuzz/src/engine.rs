//! The engine before components and answers that nobody wrote: admission and lifting.
//!
//! [`engine_admission`] shows it components: the bytes themselves or, with the feature `wasm`, those
//! made of wasm-smith's modules and of wasm-mutate's damage to an honest one. [`engine_answer`] makes answers: a puppet, admitted like
//! any policy, gives back as its answer whatever memory the input describes.

use crate::Named;
#[cfg(feature = "wasm")]
use arbitrary::Unstructured;
use farebox::engine::limits::{LimitClass, Trust};
use farebox::engine::{Engine, LoadError};
use farebox::service::policy::{
    Fault, PolicyEngine as _, PolicyError, Priced, ReleaseId, rate_requests,
};
use farebox_book::{Format, compile};
use farebox_pricing::card::RateCardRequest;
use farebox_pricing::event::{Deployment, Facts, KeySource, QuoteRequest, UsageEvent};
use farebox_pricing::meter::{Meter, Pool};
use rust_decimal::Decimal;
use std::cell::RefCell;
use std::fmt::Write as _;
use std::sync::OnceLock;
use tempfile::TempDir;
#[cfg(feature = "wasm")]
use wasm_mutate::WasmMutate;
use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};
use wit_parser::{Resolve, WorldId};

/// The targets of this module.
pub const TARGETS: [Named; 2] = [
    ("engine_admission", engine_admission),
    ("engine_answer", engine_answer),
];

/// The policy that answers with what it is told, in the text format.
const PUPPET: &str = include_str!("puppet.wat");

/// After so many components an engine is thrown away: it keeps each that it admitted.
const COMPONENTS_MAX: u32 = 64;

/// 2026-11-21T00:00:00Z.
const NOW_MS: i64 = 1_795_219_200_000;

/// A book of one model, of which a million tokens cost USD 2.5 in and 10 out.
fn book() -> Vec<u8> {
    let text = r#"
name = "fuzz"
as_of = "2026-11-21"
[[models]]
provider = "openai"
model = "gpt-4o"
max_output_tokens = 1000
per_million = { input = "2.5", output = "10" }
"#;
    compile(text, Format::Toml)
        .expect("the book is valid")
        .canonical
}

fn event() -> UsageEvent {
    UsageEvent {
        provider: "openai".into(),
        model_asked: Some("gpt-4o".into()),
        model_served: None,
        service_tier: None,
        region: None,
        feature: None,
        pools: vec![
            Pool::new(Meter::Input, 1000.into()),
            Pool::new(Meter::Output, 100.into()),
        ],
        provider_cost_usd: None,
    }
}

/// What [`event`] costs: 1,000 × 2.5 + 100 × 10, in millionths of a dollar.
fn cost() -> Decimal {
    Decimal::new(3_500, 6)
}

fn quote_request() -> QuoteRequest {
    QuoteRequest {
        provider: "openai".into(),
        model: Some("gpt-4o".into()),
        service_tier: None,
        region: None,
        feature: None,
        body_bytes: 4000,
        max_output_tokens: Some(100),
        declared: Vec::new(),
        provider_cost_max_usd: None,
    }
}

/// A price keeps what the host promises of every policy's; a fault has a name.
fn is_priced_or_refused(answer: &Result<Priced, PolicyError>) {
    match answer {
        Ok(priced) => {
            let sum: Decimal = priced.lines.iter().map(|line| line.amount_usd).sum();
            assert_eq!(sum, priced.price_usd, "{priced:?}");
            assert_eq!(priced.provider_cost_usd, cost(), "{priced:?}");
            assert!(priced.price_usd >= cost(), "{priced:?}");
        }
        Err(PolicyError::Fault(fault)) => is_short(fault),
        Err(PolicyError::Refused(_)) => {}
        Err(other) => panic!("neither a price, a refusal nor a fault: {other:?}"),
    }
}

fn is_short(fault: &Fault) {
    assert!(
        fault.to_string().len() < 64 << 10,
        "{} bytes",
        fault.to_string().len()
    );
}

/// An engine, how many components it was shown, and where it keeps what it compiled.
struct Bench {
    engine: Engine,
    shown: u32,
    _cache: TempDir,
}

impl Bench {
    fn new() -> Self {
        let cache = TempDir::new().expect("a temporary folder");
        Self {
            engine: Engine::new(cache.path().to_owned()).expect("the sandbox starts"),
            shown: 0,
            _cache: cache,
        }
    }
}

/// A component is refused with its reason, or priced with under every check; neither takes long.
pub fn engine_admission(data: &[u8]) {
    thread_local! {
        static BENCH: RefCell<Option<Bench>> = const { RefCell::new(None) };
    }
    let Some(component) = component(data) else {
        return;
    };
    BENCH.with_borrow_mut(|bench| {
        drop(bench.take_if(|bench| bench.shown >= COMPONENTS_MAX));
        let bench = bench.get_or_insert_with(Bench::new);
        bench.shown += 1;
        let loaded =
            bench
                .engine
                .load_release(&component, book(), LimitClass::Native, Trust::Untrusted);
        match loaded {
            Ok(release) => {
                let facts = Facts::new(Deployment::Hosted, KeySource::Managed, NOW_MS);
                is_priced_or_refused(&bench.engine.rate(&release, &event(), &facts));
            }
            Err(LoadError::Component(error)) => {
                assert!(error.to_string().len() < 64 << 10, "{error}");
            }
            Err(LoadError::Fault(fault)) => is_short(&fault),
            Err(LoadError::Config(_)) => {}
            Err(other @ (LoadError::Book(_) | LoadError::Busy)) => panic!("{other:?}"),
        }
    });
}

/// A component out of bytes, in a way that the first of them picks; 0 is the rest of them as it is.
pub fn component(data: &[u8]) -> Option<Vec<u8>> {
    let (way, rest) = data.split_first()?;
    match way % 3 {
        0 => Some(rest.to_vec()),
        #[cfg(feature = "wasm")]
        way => encode(module(way, rest)?),
        #[cfg(not(feature = "wasm"))]
        _ => None,
    }
}

/// A core module that wasm-mutate made of the puppet, or wasm-smith of nothing.
#[cfg(feature = "wasm")]
fn module(way: u8, bytes: &[u8]) -> Option<Vec<u8>> {
    match way {
        1 => {
            let (seed, rest) = bytes.split_first_chunk::<8>()?;
            let mut mutate = WasmMutate::default();
            mutate
                .seed(u64::from_le_bytes(*seed))
                .preserve_semantics(false)
                .fuel(1_000);
            let puppet = &contract().puppet;
            let mut module = mutate.run(puppet).ok()?.next()?.ok()?;
            // A few more steps away from it, one for each further byte.
            for step in rest.iter().take(8) {
                let mut mutate = WasmMutate::default();
                mutate
                    .seed((*step).into())
                    .preserve_semantics(false)
                    .fuel(1_000);
                let next = mutate
                    .run(&module)
                    .ok()
                    .and_then(|mut all| all.next()?.ok());
                module = next.unwrap_or(module);
            }
            Some(module)
        }
        _ => {
            // Other imports and exports would make no component at all.
            let config = wasm_smith::Config {
                module_shape: Some(dummy()),
                max_memories: 1,
                ..wasm_smith::Config::default()
            };
            let module = wasm_smith::Module::new(config, &mut Unstructured::new(bytes)).ok()?;
            Some(module.to_bytes())
        }
    }
}

/// The contract, and the puppet's core module.
struct Contract {
    resolve: Resolve,
    world: WorldId,
    puppet: Vec<u8>,
}

fn contract() -> &'static Contract {
    static CONTRACT: OnceLock<Contract> = OnceLock::new();
    CONTRACT.get_or_init(|| {
        let mut resolve = Resolve::default();
        let text = include_str!("../../wit/1.0.0/policy.wit");
        let package = resolve
            .push_str("policy.wit", text)
            .expect("the contract is read");
        let world = resolve
            .select_world(&[package], Some("farebox-policy"))
            .expect("the contract has its world");
        Contract {
            resolve,
            world,
            puppet: wat::parse_str(PUPPET).expect("the puppet is a module"),
        }
    })
}

/// A module of the contract's shape.
#[cfg(feature = "wasm")]
fn dummy() -> Vec<u8> {
    let Contract { resolve, world, .. } = contract();
    let abi = wit_parser::ManglingAndAbi::Legacy(wit_parser::LiftLowerAbi::Sync);
    wit_component::dummy_module(resolve, *world, abi)
}

/// The component of a core module; `None` where it has not the contract's shape.
fn encode(mut module: Vec<u8>) -> Option<Vec<u8>> {
    let Contract { resolve, world, .. } = contract();
    embed_component_metadata(&mut module, resolve, *world, StringEncoding::UTF8, false).ok()?;
    ComponentEncoder::default()
        .module(&module)
        .ok()?
        .encode()
        .ok()
}

/// The puppet's component: what [`engine_admission`]'s inputs of bytes start from.
pub fn puppet() -> Vec<u8> {
    encode(contract().puppet.clone()).expect("the puppet has the contract's shape")
}

/// Whatever memory a policy answers with, the answer is a fault with a name, a refusal, or a price
/// that passed every check. The first byte says what is asked.
pub fn engine_answer(data: &[u8]) {
    thread_local! {
        static STAGE: (Bench, ReleaseId) = {
            let bench = Bench::new();
            let release = bench
                .engine
                .load_release(&puppet(), book(), LimitClass::Native, Trust::Untrusted)
                .expect("the puppet is admitted");
            (bench, release)
        };
    }
    let Some((call, memory)) = data.split_first() else {
        return;
    };
    let mut facts = Facts::new(Deployment::Hosted, KeySource::Managed, NOW_MS);
    facts.agent = Some(hex(memory).into());
    STAGE.with(|(Bench { engine, .. }, release)| match call % 4 {
        0 => is_priced_or_refused(&engine.rate(release, &event(), &facts)),
        1 => {
            let requests = vec![(event(), facts); 2];
            let answers = engine.rate_batch(release, &rate_requests(&requests));
            assert_eq!(answers.len(), requests.len());
            answers.iter().for_each(is_priced_or_refused);
        }
        2 => match engine.quote(release, &quote_request(), &facts) {
            Ok(quote) => assert!(quote.total_usd >= cost(), "{quote:?}"),
            Err(error) => is_typed(&error),
        },
        _ => {
            let request = RateCardRequest {
                provider: None,
                model_prefix: None,
                after: None,
                limit: 10,
            };
            if let Err(error) = engine.rate_card(release, &request, &facts) {
                is_typed(&error);
            }
        }
    });
}

fn is_typed(error: &PolicyError) {
    match error {
        PolicyError::Fault(fault) => is_short(fault),
        PolicyError::Refused(_) => {}
        other => panic!("neither a refusal nor a fault: {other:?}"),
    }
}

fn hex(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(2 * bytes.len());
    for byte in bytes {
        let _written = write!(text, "{byte:02x}");
    }
    text
}

/// The memory of an honest answer to `rate`, in the layout of the canonical ABI: a line for the input
/// and one for the output. What [`engine_answer`] starts from.
pub fn honest_answer() -> Vec<u8> {
    const LINES: usize = 64;
    const LINE_BYTES: usize = 168;
    let mut memory = Memory(vec![0; LINES + 2 * LINE_BYTES]);
    memory.text(8, "gpt-4o");
    memory.number(20, LINES as u64, 4);
    memory.number(24, 2, 4);
    memory.decimal(32, Decimal::new(35, 4));
    for (line, meter, quantity, unit, amount) in [
        (
            LINES,
            0,
            Decimal::from(1000),
            Decimal::new(25, 7),
            Decimal::new(25, 4),
        ),
        (
            LINES + LINE_BYTES,
            4,
            Decimal::from(100),
            Decimal::new(1, 5),
            Decimal::new(1, 3),
        ),
    ] {
        memory.number(line + 4, 1, 1);
        memory.number(line + 8, meter, 1);
        memory.decimal(line + 24, quantity);
        memory.decimal(line + 48, unit);
        memory.decimal(line + 72, amount);
        memory.text(line + 104, "gpt-4o");
    }
    memory.0
}

/// Memory that is written as a guest's compiler would.
struct Memory(Vec<u8>);

impl Memory {
    fn number(&mut self, at: usize, number: u64, bytes: usize) {
        self.0[at..at + bytes].copy_from_slice(&number.to_le_bytes()[..bytes]);
    }

    /// `some` of a text that stands at the end of what there is.
    fn text(&mut self, at: usize, text: &str) {
        let place = self.0.len();
        self.0.extend(text.as_bytes());
        self.number(at, 1, 1);
        self.number(at + 4, place as u64, 4);
        self.number(at + 8, text.len() as u64, 4);
    }

    fn decimal(&mut self, at: usize, decimal: Decimal) {
        let parts = decimal.unpack();
        let low = (u64::from(parts.mid) << 32) | u64::from(parts.lo);
        self.number(at, parts.negative.into(), 1);
        self.number(at + 4, parts.hi.into(), 4);
        self.number(at + 8, low, 8);
        self.number(at + 16, parts.scale.into(), 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Else the fuzzer would only ever see the puppet fail.
    #[test]
    fn the_puppet_is_admitted_and_its_honest_answer_is_a_price() {
        let bench = Bench::new();
        let release = bench
            .engine
            .load_release(&puppet(), book(), LimitClass::Native, Trust::Untrusted)
            .unwrap();
        let mut facts = Facts::new(Deployment::Hosted, KeySource::Managed, NOW_MS);
        facts.agent = Some(hex(&honest_answer()).into());
        let priced = bench.engine.rate(&release, &event(), &facts).unwrap();
        assert_eq!(priced.price_usd, cost());
        assert_eq!(priced.lines.len(), 2);
    }

    #[cfg(feature = "wasm")]
    #[test]
    fn each_way_makes_components() {
        let bytes: Vec<u8> = (0_u32..4096)
            .map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8)
            .collect();
        for way in 0..3 {
            // Not all damage leaves the contract's shape.
            let made = bytes
                .chunks(256)
                .filter_map(|part| component(&[&[way], part].concat()));
            assert!(made.count() > 0, "way {way}");
        }
    }
}
