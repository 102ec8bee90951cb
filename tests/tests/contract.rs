//! The contract itself: it parses, it is documented, and the built guests keep its first promises.

use farebox::app::shipped;
use farebox::engine::limits::{LimitClass, Trust};
use farebox::engine::{Engine, LoadError};
use farebox::service::policy::{PolicyEngine as _, ReleaseId, rate_requests};
use farebox_pricing::answer::LineKind;
use farebox_pricing::card::RateCardRequest;
use farebox_pricing::event::KeySource;
use farebox_pricing::meter::{Attribute, Meter};
use farebox_sdk::component::v1_0_0::{COMPONENT_TYPE, abi};
use farebox_tests::books::{event, facts, quote_request, two_models};
use farebox_tests::later_contract::Later;
use farebox_tests::{compiled, guests};
use sha2::{Digest as _, Sha256};
use std::collections::BTreeSet;
use std::mem::offset_of;
use std::path::Path;
use wit_parser::{Docs, Resolve, SizeAlign, Type, TypeDefKind, WorldItem};

fn contract() -> Resolve {
    let mut resolve = Resolve::default();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../wit/1.0.0");
    resolve.push_dir(folder).unwrap();
    resolve
}

#[test]
fn the_world_imports_nothing_and_exports_the_policy() {
    let resolve = contract();
    let (_, world) = resolve.worlds.iter().next().unwrap();
    assert_eq!(world.name, "farebox-policy");
    assert!(world.imports.is_empty());
    let exports: Vec<String> = world
        .exports
        .iter()
        .map(|(key, item)| {
            assert!(matches!(item, WorldItem::Interface { .. }));
            resolve.name_world_key(key)
        })
        .collect();
    assert_eq!(exports, ["farebox:policy/policy@1.0.0"]);
}

#[test]
fn everything_a_stranger_must_implement_is_documented() {
    let resolve = contract();
    let (_, interface) = resolve.interfaces.iter().next().unwrap();
    let mut bare = Vec::new();
    let mut look = |name: &str, docs: &Docs| {
        if docs.contents.is_none() {
            bare.push(name.to_owned());
        }
    };
    for (name, function) in &interface.functions {
        look(name, &function.docs);
    }
    for (name, id) in &interface.types {
        let ty = &resolve.types[*id];
        look(name, &ty.docs);
        if let TypeDefKind::Variant(variant) = &ty.kind {
            for case in &variant.cases {
                look(&format!("{name}.{}", case.name), &case.docs);
            }
        }
    }
    assert!(bare.is_empty(), "without documentation: {bare:?}");
}

#[test]
fn the_standard_policy_is_small_and_imports_nothing() {
    let bytes = guests::component(guests::STANDARD);
    assert!(bytes.len() < 512 << 10, "{} bytes", bytes.len());
    let decoded = wit_component::decode(&bytes).unwrap();
    let resolve = decoded.resolve();
    let (_, world) = resolve.worlds.iter().next().unwrap();
    assert!(world.imports.is_empty(), "{:?}", world.imports);
}

/// The form of the contract that the SDK puts into every module. It is generated, so it is compared
/// and not reviewed; `INSTA_UPDATE=always` writes it anew.
#[test]
fn the_sdk_carries_the_contract() {
    let mut resolve = Resolve::default();
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let (package, _) = resolve.push_dir(root.join("wit/1.0.0")).unwrap();
    let world = resolve.select_world(&[package], None).unwrap();
    let utf8 = wit_component::StringEncoding::UTF8;
    let encoded = wit_component::metadata::encode(&resolve, world, utf8, None, false).unwrap();
    if std::env::var_os("INSTA_UPDATE").is_some_and(|update| update == "always") {
        let path = root.join("guest/sdk/src/component/v1_0_0/component-type.bin");
        std::fs::write(path, &encoded).unwrap();
    }
    assert!(
        encoded == *COMPONENT_TYPE,
        "run this test with INSTA_UPDATE=always"
    );
}

/// Every type of the SDK's adapter, its size and its fields' places, against the WIT.
#[test]
fn the_sdk_reads_and_writes_where_the_contract_says() {
    let resolve = contract();
    let (_, interface) = resolve.interfaces.iter().next().unwrap();
    let mut sizes = SizeAlign::default();
    sizes.fill(&resolve).unwrap();
    let mut compared = BTreeSet::new();
    let mut compare = |name: &'static str, size: usize, offsets: &[usize]| {
        let id = interface.types[name];
        let ty = Type::Id(id);
        // Pointers are as wide as this machine's; the layout's rules are the same.
        assert_eq!(size, sizes.size(&ty).size_wasm64(), "size of `{name}`");
        let wanted: Vec<usize> = match &resolve.types[id].kind {
            TypeDefKind::Record(record) => {
                let offsets = sizes.field_offsets(record.fields.iter().map(|field| &field.ty));
                offsets.iter().map(|(at, _)| at.size_wasm64()).collect()
            }
            TypeDefKind::Variant(variant) => {
                let cases = variant.cases.iter().map(|case| case.ty.as_ref());
                vec![0, sizes.payload_offset(variant.tag(), cases).size_wasm64()]
            }
            other => panic!("`{name}` is {other:?}"),
        };
        assert_eq!(offsets, wanted, "places in `{name}`");
        compared.insert(name);
    };
    macro_rules! compare {
        ($($name:literal => $ty:ty { $($field:ident),+ };)+) => {
            $(compare($name, size_of::<$ty>(), &[$(offset_of!($ty, $field)),+]);)+
        };
    }
    compare! {
        "decimal" => abi::Decimal { negative, coefficient_high, coefficient_low, scale };
        "attribute" => abi::Attribute { name, value };
        "meter" => abi::Meter { case, other };
        "pool" => abi::Pool { meter, quantity, attributes };
        "caller" => abi::Caller {
            deployment, key_source, plan, org, project, user, agent, other
        };
        "facts" => abi::Facts { caller, occurred_at_ms, month_to_date_usd };
        "usage-event" => abi::UsageEvent {
            provider, model_asked, model_served, service_tier, region, feature, pools,
            provider_cost_usd
        };
        "rate-request" => abi::RateRequest { event, facts };
        "batch-request" => abi::BatchRequest { event, caller, occurred_at_ms, month_to_date_usd };
        "quote-request" => abi::QuoteRequest {
            provider, model, service_tier, region, feature, body_bytes, max_output_tokens,
            declared, provider_cost_max_usd, facts
        };
        "rate-reason" => abi::RateReason {
            model, service_tier, context_above, fallback, conditions
        };
        "custom-reason" => abi::CustomReason { code, parameters };
        "reason" => abi::Reason { case, of };
        "line" => abi::Line { kind, meter, quantity, unit_price_usd, amount_usd, reason };
        "rating" => abi::Rating { model, lines, total_usd };
        "quote" => abi::Quote { model, lines, total_usd, max_output_tokens };
        "refusal" => abi::Refusal { case, first };
        "rate-card-request" => abi::RateCardRequest { provider, model_prefix, after, limit, facts };
        "rate-card-rate" => abi::RateCardRate {
            meter, attributes, service_tier, region, context_above, unit_price_usd, market_usd
        };
        "rate-card-entry" => abi::RateCardEntry { provider, model, rates };
        "rate-card-page" => abi::RateCardPage { entries, next };
        "description" => abi::Description { name, version, summary, book_name, book_as_of };
        "config-error" => abi::ConfigError { case, of };
    }
    // Enumerations are one byte; the records of `refusal` lie in its two texts.
    let others = [
        "deployment",
        "key-source",
        "line-kind",
        "unknown-model",
        "not-priced",
        "policy",
    ];
    let all: BTreeSet<&str> = interface.types.keys().map(String::as_str).collect();
    compared.extend(others);
    assert_eq!(compared, all);
}

/// A released version never changes: policies that were built for it are priced by it for years.
/// `wit/RELEASED` has the form of `sha256sum`, so a shell can check it too.
#[test]
fn a_released_contract_is_never_edited() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../wit");
    let released = std::fs::read_to_string(folder.join("RELEASED")).unwrap();
    let mut files = BTreeSet::new();
    for line in released.lines() {
        let (digest, file) = line.split_once("  ").unwrap();
        let text = std::fs::read(folder.join(file)).unwrap();
        let now: String = Sha256::digest(&text)
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        assert_eq!(
            now, digest,
            "{file} is released and frozen: add a version beside it"
        );
        files.insert(file.to_owned());
    }
    assert!(files.contains("1.0.0/policy.wit"));
    // Nor does anything join it: every file of a released version is listed.
    for file in &files {
        let (version, _) = file.split_once('/').unwrap();
        for entry in std::fs::read_dir(folder.join(version)).unwrap() {
            let name = entry.unwrap().file_name().into_string().unwrap();
            assert!(
                files.contains(&format!("{version}/{name}")),
                "{version}/{name}"
            );
        }
    }
}

fn load(engine: &Engine, component: &[u8]) -> Result<ReleaseId, LoadError> {
    let book = two_models("any").canonical;
    engine.load_release(component, book, LimitClass::Native, Trust::Trusted)
}

/// One engine, a policy of each version, asked in turns: the version is nobody's concern after the
/// component was linked. Every table of cases goes through both (`cases.rs`, by `pricer::all`).
#[test]
fn two_versions_of_the_contract_are_served_at_once() {
    let engine = Engine::new(compiled::folder().to_owned()).unwrap();
    let engine = engine.serving(&Later);
    let released = load(&engine, shipped::STANDARD_COMPONENT).unwrap();
    let later = load(&engine, &guests::component(guests::LATER_CONTRACT)).unwrap();
    assert_ne!(released.component, later.component);
    let card = RateCardRequest {
        limit: 10,
        ..RateCardRequest::default()
    };
    let named = |release| engine.describe(release).unwrap().name;
    assert_eq!(&*named(&later), "farebox-later-contract");
    assert_eq!(&*named(&released), "farebox-standard");
    for key_source in [KeySource::Managed, KeySource::Own] {
        let facts = facts(key_source);
        let asked = |release: &ReleaseId| {
            let events = ["gpt-4o", "gpt-4o-mini", "unheard-of"].map(event);
            let one_by_one = events
                .iter()
                .map(|event| engine.rate(release, event, &facts));
            let batch = events.each_ref().map(|event| (event, &facts));
            (
                one_by_one.collect::<Vec<_>>(),
                engine.rate_batch(release, &batch),
                engine.quote(release, &quote_request("gpt-4o"), &facts),
                engine.quote(release, &quote_request("unheard-of"), &facts),
                engine.rate_card(release, &card, &facts),
            )
        };
        let (one_by_one, batch, ..) = asked(&released);
        assert!(one_by_one[0].is_ok() && one_by_one[2].is_err());
        assert_eq!(one_by_one, batch);
        // Of decimals, `Debug` shows the scale, which equality passes over.
        assert_eq!(
            format!("{:?}", asked(&later)),
            format!("{:?}", asked(&released))
        );
    }
}

/// The SDK's guests free nothing of what they are asked and say so; the host then asks their allocator
/// once for all texts and lists of an argument. One that does not say so is asked text by text.
#[test]
fn what_is_asked_in_one_block_is_answered_as_what_is_asked_piece_by_piece() {
    const SECTION: &[u8] = b"farebox:arguments";
    let engine = Engine::new(compiled::folder().to_owned()).unwrap();
    let says_so = shipped::STANDARD_COMPONENT;
    let mut says_nothing = says_so.to_vec();
    let named = |bytes: &[u8]| bytes == SECTION;
    let at = says_nothing.windows(SECTION.len()).position(named).unwrap();
    says_nothing[at] = b'F';
    let in_one_block = load(&engine, says_so).unwrap();
    let by_pieces = load(&engine, &says_nothing).unwrap();
    assert_ne!(in_one_block.component, by_pieces.component);
    let attribute = |name: &str, value: &str| Attribute {
        name: name.into(),
        value: value.into(),
    };
    let facts = |number: usize| {
        let mut facts = facts(KeySource::Managed);
        let texts = [&mut facts.plan, &mut facts.org, &mut facts.project];
        let texts = texts.into_iter().chain([&mut facts.user, &mut facts.agent]);
        for (bit, text) in texts.enumerate() {
            // Some are there, some are empty, some long, in every mixture.
            *text = (number >> bit & 1 == 1).then(|| "é".repeat(number * bit).into());
        }
        if number.is_multiple_of(3) {
            let value = "x".repeat(number);
            facts.other = vec![attribute("a", ""), attribute("region", &value)];
        }
        facts
    };
    let asked: Vec<_> = (0..200)
        .map(|number| {
            let mut event = event(["gpt-4o", "gpt-4o-mini", "unheard-of"][number % 3]);
            event.region = (number.is_multiple_of(5)).then(|| "r".repeat(number).into());
            event.feature = (number.is_multiple_of(7)).then(Box::default);
            if number.is_multiple_of(11) {
                event.pools[0].attributes = vec![attribute("tier", "flex")];
            }
            if number.is_multiple_of(13) {
                event.pools.clear();
            }
            (event, facts(number))
        })
        .collect();
    let mut priced = 0;
    for (event, facts) in &asked {
        let rate = |release| engine.rate(release, event, facts);
        let (one, other) = (rate(&in_one_block), rate(&by_pieces));
        priced += usize::from(one.is_ok());
        // Of decimals, `Debug` shows the scale, which equality passes over.
        assert_eq!(format!("{one:?}"), format!("{other:?}"), "{event:?}");
    }
    assert!(priced > 50, "{priced}");
    let requests = rate_requests(&asked);
    let in_batch = |release| format!("{:?}", engine.rate_batch(release, &requests));
    assert_eq!(in_batch(&in_one_block), in_batch(&by_pieces));
    // It is what the guest does less: calls of its allocator.
    let fuel = |release| engine.fuel_of(release, &requests[..64]).unwrap();
    let (less, more) = (fuel(&in_one_block), fuel(&by_pieces));
    assert!(less < more, "{less}, {more}");
    assert!(engine.faults().iter().all(|(_, faults)| *faults == 0));
}

#[test]
fn a_version_that_is_not_served_is_refused_by_name() {
    let engine = Engine::new(compiled::folder().to_owned()).unwrap();
    let refused = load(&engine, &guests::component(guests::LATER_CONTRACT)).unwrap_err();
    let LoadError::Component(refused) = refused else {
        panic!("{refused:?}")
    };
    assert_eq!(
        refused.to_string(),
        "it speaks version `1.900.0` of the contract; this host serves 1.0.0"
    );
    let engine = engine.serving(&Later);
    assert!(load(&engine, &guests::component(guests::LATER_CONTRACT)).is_ok());
}

/// The numbers of the cases cross the wall, so their order is the contract's, and the domain's lists
/// of the same things must have it.
#[test]
fn cases_have_the_numbers_that_the_domain_gives_them() {
    let resolve = contract();
    let (_, interface) = resolve.interfaces.iter().next().unwrap();
    let cases = |name: &str| -> Vec<String> {
        match &resolve.types[interface.types[name]].kind {
            TypeDefKind::Variant(variant) => {
                variant.cases.iter().map(|case| case.name.clone()).collect()
            }
            TypeDefKind::Enum(kinds) => kinds.cases.iter().map(|case| case.name.clone()).collect(),
            other => panic!("`{name}` is {other:?}"),
        }
    };
    let mut meters: Vec<String> = Meter::NAMED
        .iter()
        .map(|meter| meter.name().replace('_', "-"))
        .collect();
    meters.push("other".to_owned());
    assert_eq!(cases("meter"), meters);
    assert_eq!(cases("deployment"), ["hosted", "self-hosted"]);
    assert_eq!(cases("key-source"), ["managed", "own"]);
    let kinds = [
        LineKind::Usage,
        LineKind::ProviderCost,
        LineKind::Markup,
        LineKind::PlatformFee,
        LineKind::Minimum,
        LineKind::Discount,
    ];
    let names = kinds.map(|kind| format!("{kind:?}"));
    let camel = |name: &String| {
        let words = name.split('-');
        let word = |word: &str| word[..1].to_uppercase() + &word[1..];
        words.map(word).collect::<String>()
    };
    let in_contract: Vec<String> = cases("line-kind").iter().map(camel).collect();
    assert_eq!(in_contract, names);
    assert_eq!(kinds.map(|kind| kind as usize), [0, 1, 2, 3, 4, 5]);
}
