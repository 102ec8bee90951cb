//! Generated terms of sale.

use super::prices::{NAMES, PROVIDERS};
use super::*;

/// A pattern that some generated models fit.
fn pattern() -> impl Strategy<Value = ModelPattern> {
    let model = prop_oneof![
        2 => Just(ModelName::Any),
        1 => text(&NAMES).prop_map(ModelName::Is),
        1 => "[a-c]{1,2}".prop_map(|name| ModelName::Begins(name.into())),
    ];
    (of(text(&PROVIDERS)), model).prop_map(|(provider, model)| ModelPattern { provider, model })
}

fn patterns() -> impl Strategy<Value = Vec<ModelPattern>> {
    prop::collection::vec(pattern(), 1..3)
}

fn narrowing() -> impl Strategy<Value = Option<Box<Narrowing>>> {
    let minute = 0_u16..1440;
    let fields = (
        of(text(&["acme", "globex"])),
        prop_oneof![Just(Vec::new()), patterns()],
        of(-1_i64..2),
        of(1_i64..3),
        weighted(0.2, (minute.clone(), minute)),
    );
    weighted(0.3, fields).prop_map(|fields| {
        let (org, models, from, until, minutes) = fields?;
        let narrowing = Narrowing {
            org,
            models,
            from_ms: from.map(|shift| NOW_MS + shift),
            until_ms: until.map(|shift| NOW_MS + shift),
            minutes: minutes.filter(|(from, until)| from != until),
        };
        let empty = narrowing == Narrowing::default();
        let dates = narrowing.from_ms.zip(narrowing.until_ms);
        let never = dates.is_some_and(|(from, until)| from >= until);
        (!empty && !never).then(|| Box::new(narrowing))
    })
}

pub fn scope() -> impl Strategy<Value = Scope> {
    (
        weighted(0.3, any::<bool>()),
        weighted(0.3, any::<bool>()),
        weighted(0.3, text(&["free", "pro"])),
        weighted(0.3, text(&["f", "g"])),
        narrowing(),
    )
        .prop_map(|(hosted, managed, plan, feature, narrowing)| Scope {
            deployment: hosted.map(deployment),
            key_source: managed.map(key_source),
            plan,
            feature,
            narrowing,
        })
}

fn entries() -> impl Strategy<Value = Vec<SheetEntry>> {
    let prices = prop::collection::btree_map(meter(), price(), 0..3);
    let entry = (patterns(), factor(), prices).prop_map(|(models, factor, prices)| SheetEntry {
        models,
        factor,
        prices: prices.into_iter().collect(),
    });
    prop::collection::vec(entry, 0..3)
}

fn steps() -> impl Strategy<Value = Vec<VolumeStep>> {
    prop::collection::btree_map(1_i64..400, 20_i64..130, 1..4).prop_map(|steps| {
        steps
            .into_iter()
            .map(|(above, percent)| VolumeStep {
                above_usd: Decimal::new(above, 2).normalize(),
                factor: Decimal::new(percent, 2).normalize(),
            })
            .collect()
    })
}

const PERIODS: [Per; 3] = [Per::Call, Per::Day, Per::Month];

/// Terms beyond markups; of some books only. With `losses`, some rules declare a loss.
pub fn sale(losses: bool) -> impl Strategy<Value = Option<Box<Sale>>> {
    let declared = move || any::<bool>().prop_map(move |declared| declared && losses);
    let named = |kind: &'static str| move |number: usize| Box::from(format!("{kind}:{number}"));
    let quota = (scope(), meter(), 0_u32..3000, any::<bool>(), declared()).prop_map(
        |(scope, meter, quantity, day, loss_leader)| FreeQuota {
            name: "".into(),
            scope,
            meter,
            quantity: quantity.into(),
            per: if day { Per::Day } else { Per::Month },
            loss_leader,
        },
    );
    let volume = (scope(), any::<bool>(), steps(), declared()).prop_map(
        |(scope, whole, steps, loss_leader)| Volume {
            name: "".into(),
            scope,
            whole,
            steps,
            loss_leader,
        },
    );
    let maximum = (scope(), price(), select(PERIODS.to_vec()), declared()).prop_map(
        |(scope, usd, per, loss_leader)| Maximum {
            name: "".into(),
            scope,
            usd,
            per,
            loss_leader,
        },
    );
    let access = (scope(), patterns()).prop_map(|(scope, models)| Access {
        name: "models".into(),
        scope,
        models,
    });
    let preflight = (scope(), price()).prop_map(|(scope, usd)| Minimum {
        name: "preflight".into(),
        scope,
        usd,
    });
    let sale = (
        entries(),
        entries(),
        weighted(0.1, access),
        prop::collection::vec(quota, 0..3),
        prop::collection::vec(volume, 0..2),
        weighted(0.3, maximum),
        weighted(0.3, preflight),
        weighted(0.3, select(vec!["0.01", "0.0001", "0.3"])),
    );
    weighted(0.6, sale).prop_map(move |sale| {
        let (costs, sheet, access, mut free_quotas, mut volumes, most, preflight, step) = sale?;
        for (number, quota) in free_quotas.iter_mut().enumerate() {
            quota.name = named("free")(number);
        }
        for (number, volume) in volumes.iter_mut().enumerate() {
            volume.name = named("volume")(number);
        }
        let mut maximums: Vec<Maximum> = most.into_iter().collect();
        for (number, most) in maximums.iter_mut().enumerate() {
            most.name = named("most")(number);
        }
        Some(Box::new(Sale {
            costs,
            sheets: vec![Sheet {
                name: "retail".into(),
                entries: sheet,
            }],
            access: access.into_iter().collect(),
            free_quotas,
            volumes,
            maximums,
            preflights: preflight.into_iter().collect(),
            step_usd: step.map(|step| step.parse().unwrap()),
        }))
    })
}

/// What the host may have counted for the rules of a generated book.
pub fn counts() -> impl Strategy<Value = Vec<Attribute>> {
    let count = || (0_i64..600).prop_map(|count| Decimal::new(count, 2).to_string());
    (count(), count(), count()).prop_map(|(free, most, volume)| {
        let fact = |name: &str, value: String| Attribute {
            name: name.into(),
            value: value.into(),
        };
        vec![
            fact("count:free:0", free),
            fact("count:most:0", most),
            fact("count:volume:0", volume),
        ]
    })
}

/// Whether any rule of the book may sell below cost.
pub fn declares_a_loss(book: &Book) -> bool {
    let rules = &book.charge_rules;
    let of_sale = |sale: &Sale| {
        sale.free_quotas.iter().any(|free| free.loss_leader)
            || sale.volumes.iter().any(|volume| volume.loss_leader)
            || sale.maximums.iter().any(|most| most.loss_leader)
    };
    book.loss_leader
        || rules
            .iter()
            .any(|r| r.loss_leader || r.charge == Charge::Free)
        || book.sale.as_deref().is_some_and(of_sale)
}
