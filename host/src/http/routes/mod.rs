//! The routes, and the description made from them.

mod admin_backtests;
mod admin_bindings;
mod admin_budgets;
mod admin_faults;
mod admin_keys;
mod admin_money;
mod admin_orgs;
pub(super) mod admin_policies;
mod admin_repairs;
mod admin_trials;
mod admin_unpriced;
mod admin_usage;
mod audit;
mod calls;
mod data_queries;
mod history;
mod jobs;
mod leases;
mod listing;
pub(super) mod operations;
mod rate_card;
mod receipts;
mod reports;
mod transactions;
mod usage;
mod usage_events;
mod usage_groups;
mod usage_lookup;
mod wallet;

use super::Api;
use super::problem::{Kind, Problem};
use crate::service::Service;
use crate::service::policy::Digest;
use axum::extract::DefaultBodyLimit;
use std::sync::Arc;
use utoipa::openapi::OpenApi;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// Every route; what each says of itself joins `description`.
pub fn router(description: OpenApi) -> OpenApiRouter<Arc<Api>> {
    OpenApiRouter::with_openapi(description)
        .routes(routes!(calls::quote))
        .routes(routes!(calls::hold))
        .routes(routes!(calls::show_hold))
        .routes(routes!(calls::renew))
        .routes(routes!(calls::release))
        .routes(routes!(leases::grant))
        .routes(routes!(leases::renew))
        .routes(routes!(leases::take_back))
        .routes(routes!(usage::report, history::usage))
        .routes(routes!(usage::batch))
        .routes(routes!(usage_lookup::lookup))
        .routes(routes!(usage::show))
        .routes(routes!(data_queries::record, data_queries::list))
        .routes(routes!(wallet::wallet))
        .routes(routes!(wallet::wallet_alias))
        .routes(routes!(rate_card::rate_card))
        .routes(routes!(rate_card::rate_card_alias))
        .routes(routes!(transactions::transactions))
        .routes(routes!(history::key_usage))
        .routes(routes!(audit::audit))
        .routes(routes!(receipts::receipt))
        .routes(routes!(receipts::replay))
        .routes(routes!(admin_orgs::create, admin_orgs::list))
        .routes(routes!(admin_orgs::show))
        .routes(routes!(admin_orgs::set_plan))
        .routes(routes!(admin_orgs::set_credit_limit))
        .routes(routes!(admin_orgs::erase_personal))
        .routes(routes!(admin_keys::create, admin_keys::list))
        .routes(routes!(admin_keys::revoke))
        .routes(routes!(admin_usage::settle))
        .merge(pushes())
        .routes(routes!(admin_policies::show))
        .routes(routes!(admin_policies::file))
        .routes(routes!(admin_policies::book))
        .routes(routes!(admin_policies::revoke))
        .routes(routes!(admin_backtests::start))
        .routes(routes!(admin_backtests::show, admin_backtests::stop))
        .routes(routes!(admin_repairs::start))
        .routes(routes!(admin_repairs::show, admin_repairs::stop))
        .routes(routes!(admin_bindings::list))
        .routes(routes!(admin_bindings::history))
        .routes(routes!(admin_bindings::activate))
        .routes(routes!(admin_bindings::rollback))
        .routes(routes!(admin_trials::start, admin_trials::list))
        .routes(routes!(admin_trials::show))
        .routes(routes!(admin_trials::stop))
        .routes(routes!(admin_trials::promote))
        .routes(routes!(admin_faults::list))
        .routes(routes!(admin_unpriced::list))
        .routes(routes!(admin_unpriced::settle))
        .routes(routes!(admin_money::grant))
        .routes(routes!(admin_money::adjust))
        .routes(routes!(admin_money::refund))
        .routes(routes!(admin_money::absorb))
        .routes(routes!(admin_budgets::create, admin_budgets::list))
        .routes(routes!(admin_budgets::replace, admin_budgets::remove))
        .routes(routes!(operations::heads))
        .routes(routes!(operations::healthz))
        .routes(routes!(operations::readyz))
        .routes(routes!(operations::metrics))
        .routes(routes!(operations::description))
        .routes(routes!(operations::problems))
        .routes(routes!(operations::problem))
}

/// Releases are larger than other bodies: their route has a limit of its own.
fn pushes() -> OpenApiRouter<Arc<Api>> {
    OpenApiRouter::new()
        .routes(routes!(admin_policies::push, admin_policies::list))
        .routes(routes!(admin_backtests::start_file))
        .layer(DefaultBodyLimit::max(admin_policies::FILE_BYTES_MAX))
}

/// Runs a read that may take long on a thread that may block.
async fn blocking<T, E>(
    api: &Arc<Api>,
    read: impl FnOnce(&Service) -> Result<T, E> + Send + 'static,
) -> Result<T, Problem>
where
    T: Send + 'static,
    E: Into<Problem> + Send + 'static,
{
    let service = Arc::clone(&api.service);
    tokio::task::spawn_blocking(move || read(&service))
        .await
        .map_err(|_| Problem::new(Kind::Internal, "a read failed"))?
        .map_err(Into::into)
}

/// The longest text of a name or label, in bytes.
const TEXT_BYTES_MAX: usize = 256;

/// A text that people or reports will read: 1 to 256 bytes, without control characters.
fn text(field: &str, text: Option<String>) -> Result<Option<Box<str>>, Problem> {
    match text {
        Some(text)
            if text.is_empty()
                || text.len() > TEXT_BYTES_MAX
                || text.chars().any(char::is_control) =>
        {
            Err(Problem::new(
                Kind::InvalidRequest,
                format!("`{field}` must be 1 to {TEXT_BYTES_MAX} bytes without control characters"),
            ))
        }
        text => Ok(text.map(Into::into)),
    }
}

/// A SHA-256 in hexadecimal.
fn digest(field: &str, text: Option<&str>) -> Result<Option<Digest>, Problem> {
    let Some(text) = text else {
        return Ok(None);
    };
    let mut digest = [0; 32];
    hex::decode_to_slice(text, &mut digest).map_err(|_| {
        let detail = format!("`{field}` must be 64 hexadecimal digits");
        Problem::new(Kind::InvalidRequest, detail)
    })?;
    Ok(Some(Digest(digest)))
}

/// An amount of credits that is not negative.
fn nanos(
    field: &str,
    amount: super::amount::Amount,
) -> Result<farebox_pricing::money::Nanos, Problem> {
    farebox_pricing::money::Nanos::from_credits(amount.0).map_err(|_| {
        Problem::new(
            Kind::InvalidAmount,
            format!(
                "`{field}` is `{}`, but must be at least 0, below 2^63 nano-credits, with at most \
                 nine decimal places",
                crate::wire::plain(amount.0)
            ),
        )
    })
}
