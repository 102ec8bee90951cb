//! The terms of sale as TOML: one line a fact, in the order of the reference.

use super::{Toml, inline, key, quoted};
use crate::amount::Amount;
use crate::text::{BookText, FreeText, PerText, PriceText, StepText, Terms, WhenText};

impl Toml {
    /// Routes, costs, sheets and rules.
    pub(super) fn further(&mut self, book: &BookText) {
        if !book.routes.is_empty() {
            self.heading("[routes]");
            for (name, upstreams) in &book.routes {
                self.pair(&key(name), texts(upstreams));
            }
        }
        for prices in &book.costs {
            self.prices("costs", prices);
        }
        for (name, entries) in &book.sheets {
            for prices in entries {
                self.prices(&format!("sheets.{}", key(name)), prices);
            }
        }
        for rule in &book.rules {
            self.heading("[[rules]]");
            self.pair("name", quoted(&rule.name));
            if !rule.when.is_empty() {
                self.pair("when", when(&rule.when));
            }
            self.terms("rules.terms", &rule.terms);
        }
    }

    fn prices(&mut self, heading: &str, prices: &PriceText) {
        self.heading(&format!("[[{heading}]]"));
        self.pair("models", texts(&prices.models));
        self.amount("factor", prices.factor);
        self.amounts("per_million", &prices.per_million);
        self.amounts("per_unit", &prices.per_unit);
    }

    pub(super) fn terms(&mut self, heading: &str, terms: &Terms) {
        self.heading(&format!("[{heading}]"));
        self.optional("managed_keys", terms.managed_keys);
        self.what_is_paid(terms);
        if let Some(own) = &terms.own_keys {
            self.own_keys(&format!("{heading}.own_keys"), own);
        }
    }

    /// What calls on managed keys pay.
    pub(super) fn what_is_paid(&mut self, terms: &Terms) {
        self.amount("markup", terms.markup);
        self.amount("share_of_market", terms.share_of_market);
        self.optional("sheet", terms.sheet.as_deref().map(quoted));
        self.amount("share_of_sheet", terms.share_of_sheet);
        self.optional("billed", terms.billed);
        if terms.loss_leader {
            self.pair("loss_leader", true);
        }
        self.amount("minimum_usd", terms.minimum_usd);
        self.amount("preflight_usd", terms.preflight_usd);
        self.amount("maximum_usd", terms.maximum_usd);
        self.amount("maximum_per_day_usd", terms.maximum_per_day_usd);
        self.amount("maximum_per_month_usd", terms.maximum_per_month_usd);
        if !terms.free.is_empty() {
            self.pair("free", list(&terms.free, free));
        }
        if let Some(volume) = &terms.volume {
            let parts = [("graduated", &volume.graduated), ("whole", &volume.whole)];
            let parts = parts.into_iter().filter(|(_, steps)| !steps.is_empty());
            let parts = parts.map(|(name, steps)| format!("{name} = {}", list(steps, step)));
            let parts = parts.collect::<Vec<_>>().join(", ");
            self.pair("volume", format_args!("{{ {parts} }}"));
        }
        if !terms.models.is_empty() {
            self.pair("models", texts(&terms.models));
        }
    }
}

fn when(when: &WhenText) -> String {
    let said = [
        ("deployment", &when.deployment),
        ("plan", &when.plan),
        ("feature", &when.feature),
        ("org", &when.org),
        ("from", &when.from),
        ("until", &when.until),
        ("hours", &when.hours),
    ];
    let mut parts: Vec<String> = said
        .into_iter()
        .filter_map(|(name, text)| Some(format!("{name} = {}", quoted(text.as_deref()?))))
        .collect();
    if !when.models.is_empty() {
        parts.push(format!("models = {}", texts(&when.models)));
    }
    format!("{{ {} }}", parts.join(", "))
}

fn free(free: &FreeText) -> String {
    let per = match free.per {
        PerText::Day => "day",
        PerText::Month => "month",
    };
    format!(
        "{{ meter = {}, quantity = \"{}\", per = \"{per}\" }}",
        quoted(&free.meter),
        free.quantity
    )
}

fn step(step: &StepText) -> String {
    let pair = |name: &str, amount: Amount| (name.to_owned(), amount);
    let pairs = [
        pair("above_usd", step.above_usd),
        pair("factor", step.factor),
    ];
    inline(pairs.iter().map(|(name, amount)| (name, amount)))
}

fn texts(texts: &[String]) -> String {
    list(texts, |text| quoted(text))
}

fn list<T>(items: &[T], write: impl Fn(&T) -> String) -> String {
    let items: Vec<String> = items.iter().map(write).collect();
    format!("[{}]", items.join(", "))
}
