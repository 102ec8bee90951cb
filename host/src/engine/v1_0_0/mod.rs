//! Contract version 1.0.0: the only module that knows its bindings.
//!
//! [`Policy`] speaks the domain's types on one side and the contract's on the other. Arguments are
//! borrowed on the way in ([`lower`]); whatever comes out is checked to be a value of the contract
//! ([`lift`]) before anything else looks at it. Rating is on the path of every event, so its
//! requests and answers have no types in between: [`ask`] writes and [`answer`] reads the guest's
//! memory.

mod answer;
mod ask;
mod bindings;
mod lift;
mod lower;
mod place;
mod room;

use super::contract::{AT_PLACE, Answer, Called, Contract, Guard, Linked, Loaded, PLACE_OF};
use crate::service::policy::RateRequest;
use bindings::exports::farebox::policy::policy as wit;
use farebox_pricing::answer::{Quote, Rating};
use farebox_pricing::card::{RateCardPage, RateCardRequest};
use farebox_pricing::event::{Facts, QuoteRequest, UsageEvent};
use farebox_pricing::load::{ConfigError, Description};
use wasmtime::component::{ComponentExportIndex, Instance, InstancePre, ResourceAny, TypedFunc};
use wasmtime::{Result, Store, bail, format_err};

/// The interface that a policy of this version exports.
const INTERFACE: &str = "farebox:policy/policy@1.0.0";

/// The version.
pub struct V1_0_0;

/// A component that exports the interface, type-checked.
struct Pre {
    instance: InstancePre<Guard>,
    bindings: bindings::FareboxPolicyIndices,
    rate: ComponentExportIndex,
    rate_batch: ComponentExportIndex,
}

impl Contract for V1_0_0 {
    fn version(&self) -> &'static str {
        "1.0.0"
    }

    fn link(&self, instance: InstancePre<Guard>) -> Result<Box<dyn Linked>> {
        Ok(Box::new(Pre::new(instance)?))
    }

    fn load_for_good(
        &self,
        component: InstancePre<Guard>,
        store: &mut Store<Guard>,
        canonical_book: &[u8],
    ) -> Result<(Instance, u32)> {
        let (instance, guest) = Pre::new(component)?.instantiate(store)?;
        let policy = match load(&guest, store, canonical_book)? {
            Ok(policy) => policy,
            Err(error) => bail!("it refuses the book: {:?}", lift::config_error(error)),
        };
        let place_of = instance.get_typed_func::<(ResourceAny,), (u32,)>(&mut *store, PLACE_OF)?;
        let (place,) = place_of.call(&mut *store, (policy,))?;
        Ok((instance, place))
    }

    fn link_prepared(&self, component: InstancePre<Guard>, place: u32) -> Result<Box<dyn Linked>> {
        let at_place = component.component().get_export_index(None, AT_PLACE);
        Ok(Box::new(Prepared {
            at_place: at_place.ok_or_else(|| format_err!("no export `{AT_PLACE}`"))?,
            pre: Pre::new(component)?,
            place,
        }))
    }
}

/// A component whose instances have their book: where the policy lies, and how to reach it.
struct Prepared {
    pre: Pre,
    at_place: ComponentExportIndex,
    place: u32,
}

impl Pre {
    fn new(instance: InstancePre<Guard>) -> Result<Self> {
        let bindings = bindings::FareboxPolicyIndices::new(&instance)?;
        let component = instance.component();
        let interface = component.get_export_index(None, INTERFACE);
        let method = |name| {
            let found = component.get_export_index(interface.as_ref(), name);
            found.ok_or_else(|| format_err!("no export `{name}`"))
        };
        Ok(Self {
            rate: method("[method]policy.rate")?,
            rate_batch: method("[method]policy.rate-batch")?,
            instance,
            bindings,
        })
    }

    fn instantiate(&self, store: &mut Store<Guard>) -> Result<(Instance, bindings::FareboxPolicy)> {
        let instance = self.instance.instantiate(&mut *store)?;
        let guest = self.bindings.load(&mut *store, &instance)?;
        Ok((instance, guest))
    }

    fn policy(
        &self,
        store: &mut Store<Guard>,
        (instance, guest): (Instance, bindings::FareboxPolicy),
        resource: ResourceAny,
    ) -> Result<Box<dyn Loaded>> {
        let rate = instance.get_func(&mut *store, self.rate);
        let rate_batch = instance.get_func(&mut *store, self.rate_batch);
        let (Some(rate), Some(rate_batch)) = (rate, rate_batch) else {
            bail!("a method of the policy is no function")
        };
        Ok(Box::new(Policy {
            rate: rate.typed(&*store)?,
            rate_batch: rate_batch.typed(&*store)?,
            guest,
            resource,
        }))
    }
}

fn load(
    guest: &bindings::FareboxPolicy,
    store: &mut Store<Guard>,
    canonical_book: &[u8],
) -> Result<std::result::Result<ResourceAny, wit::ConfigError>> {
    let methods = guest.farebox_policy_policy().policy();
    methods.call_load(store, canonical_book)
}

/// A policy with its book loaded, inside a store.
struct Policy {
    guest: bindings::FareboxPolicy,
    rate: Rate,
    rate_batch: RateBatch,
    resource: ResourceAny,
}

type Rate = TypedFunc<(ResourceAny, ask::Request<'static>), (answer::Answer,)>;
type RateBatch =
    TypedFunc<(ResourceAny, ask::Callers<'static>, ask::Requests<'static>), (answer::Answers,)>;

impl Linked for Pre {
    fn load(
        &self,
        store: &mut Store<Guard>,
        canonical_book: &[u8],
    ) -> Result<std::result::Result<Box<dyn Loaded>, ConfigError>> {
        let (instance, guest) = self.instantiate(store)?;
        match load(&guest, store, canonical_book)? {
            Ok(resource) => Ok(Ok(self.policy(store, (instance, guest), resource)?)),
            Err(error) => Ok(Err(lift::config_error(error))),
        }
    }
}

impl Linked for Prepared {
    fn load(
        &self,
        store: &mut Store<Guard>,
        _canonical_book: &[u8],
    ) -> Result<std::result::Result<Box<dyn Loaded>, ConfigError>> {
        let (instance, guest) = self.pre.instantiate(store)?;
        let at_place =
            instance.get_typed_func::<(u32,), (ResourceAny,)>(&mut *store, self.at_place)?;
        let (resource,) = at_place.call(&mut *store, (self.place,))?;
        Ok(Ok(self.pre.policy(store, (instance, guest), resource)?))
    }
}

impl Policy {
    fn methods(&self) -> wit::GuestPolicy<'_> {
        self.guest.farebox_policy_policy().policy()
    }
}

impl Loaded for Policy {
    fn quote(
        &self,
        store: &mut Store<Guard>,
        request: &QuoteRequest,
        facts: &Facts,
    ) -> Called<Answer<Quote>> {
        let attributes = lower::pool_attributes(request.declared.iter());
        let pools = lower::pools(request.declared.iter(), &attributes);
        let other = lower::attributes(&facts.other);
        let request = lower::quote_request(request, &pools, lower::facts(facts, &other));
        let answer = self.methods().call_quote(store, self.resource, request)?;
        Ok(lift::answer(answer, lift::quote))
    }

    fn rate(
        &self,
        store: &mut Store<Guard>,
        event: &UsageEvent,
        facts: &Facts,
    ) -> Called<Answer<Rating>> {
        let request = ask::Request {
            request: (event, facts),
            arguments: store.data().arguments(),
        };
        let (answer,) = self.rate.call(store, (self.resource, request))?;
        Ok(answer.0)
    }

    /// Neighbours with the same caller share it.
    fn rate_batch(
        &self,
        store: &mut Store<Guard>,
        requests: &[RateRequest<'_>],
    ) -> Called<Vec<Answer<Rating>>> {
        let of_callers = requests.chunk_by(|(_, a), (_, b)| lower::is_same_caller(a, b));
        let (callers, of_callers): (Vec<_>, Vec<_>) = of_callers
            .filter_map(|events| Some((events.first()?.1, events.len())))
            .unzip();
        let arguments = store.data().arguments();
        let callers = ask::Callers {
            callers: &callers,
            arguments,
        };
        let requests = ask::Requests {
            requests,
            of_callers: &of_callers,
            arguments,
        };
        let (answers,) = self
            .rate_batch
            .call(store, (self.resource, callers, requests))?;
        Ok(answers.0)
    }

    fn rate_card(
        &self,
        store: &mut Store<Guard>,
        request: &RateCardRequest,
        facts: &Facts,
    ) -> Called<Answer<RateCardPage>> {
        let other = lower::attributes(&facts.other);
        let request = lower::rate_card_request(request, lower::facts(facts, &other));
        let answer = self
            .methods()
            .call_rate_card(store, self.resource, request)?;
        Ok(lift::answer(answer, lift::rate_card_page))
    }

    fn describe(&self, store: &mut Store<Guard>) -> Called<Description> {
        let description = self.methods().call_describe(store, self.resource)?;
        Ok(Ok(lift::description(description)))
    }
}
