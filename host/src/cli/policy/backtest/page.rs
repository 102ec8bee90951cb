//! A backtest as one page for a browser: tables, and bars drawn in the page itself. No script, no
//! font, no picture from elsewhere; it prints, and a reader without JavaScript misses nothing.

use crate::wire::{BacktestJson, BacktestReportJson, GroupJson, MoneyJson};
use rust_decimal::Decimal;

/// How many bars a chart has.
const BARS: usize = 12;

/// How many rows a table has.
const ROWS: usize = 100;

const STYLE: &str = "\
body{font:15px/1.5 system-ui,sans-serif;color:#1c1c28;max-width:64rem;margin:2rem auto;padding:0 1rem}\
h1{font-size:1.5rem}h2{font-size:1.1rem;margin-top:2.2rem}\
table{border-collapse:collapse;width:100%;font-variant-numeric:tabular-nums}\
th,td{padding:.25rem .6rem;text-align:right;border-bottom:1px solid #e3e3ea}\
th:first-child,td:first-child{text-align:left;overflow-wrap:anywhere}\
th{font-weight:600;color:#55556a}svg{width:100%;height:auto;display:block;margin:.6rem 0}\
.less{fill:#2a7f62}.more{fill:#b4472e}.was{fill:#8c8ca3}.would{fill:#3a5bc7}\
text{font:12px system-ui,sans-serif;fill:#1c1c28}.note{color:#55556a}\
@media(prefers-color-scheme:dark){body{background:#15151c;color:#e8e8f0}text{fill:#e8e8f0}\
th,td{border-color:#33333f}th,.note{color:#a0a0b4}}";

/// The page.
pub fn page(job: &BacktestJson, report: &BacktestReportJson) -> String {
    let mut page = String::with_capacity(32 * 1024);
    page.push_str("<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n");
    page.push_str("<meta name=\"viewport\" content=\"width=device-width\">\n");
    page.push_str(&format!(
        "<title>Backtest of {}</title>\n<style>{STYLE}</style>\n<h1>Backtest</h1>\n",
        escaped(&job.release_id)
    ));
    page.push_str(&facts(job, report));
    page.push_str(&totals(report));
    let sections = [
        ("Customers whose bills shrink most", &report.winners, 0),
        ("Customers whose bills grow most", &report.losers, 0),
        ("By customer", &report.by_org.items, report.by_org.left_off),
        (
            "By feature",
            &report.by_feature.items,
            report.by_feature.left_off,
        ),
        ("By model", &report.by_model.items, report.by_model.left_off),
        ("By plan", &report.by_plan.items, report.by_plan.left_off),
        (
            "By the release that priced them",
            &report.by_release.items,
            report.by_release.left_off,
        ),
    ];
    for (name, groups, left_off) in sections {
        page.push_str(&section(name, groups, left_off));
    }
    page.push_str(&problems(report));
    page.push_str("</html>\n");
    page
}

fn facts(job: &BacktestJson, report: &BacktestReportJson) -> String {
    let or = |text: &Option<String>, none: &str| escaped(text.as_deref().unwrap_or(none));
    let whole = match (report.whole, &report.last_posted_at) {
        (true, _) => String::new(),
        (false, Some(last)) => format!(
            "<p><strong>Stopped: all that was posted up to {} is in here.</strong></p>\n",
            escaped(last)
        ),
        (false, None) => "<p><strong>Stopped before the first charge.</strong></p>\n".to_owned(),
    };
    let recounted = if report.recounted {
        "<p class=\"note\">This release counts units or amounts per month or day: charges were rated \
         in the order they were posted, each with what the release had counted until then.</p>\n"
    } else {
        ""
    };
    format!(
        "<p>{} charges, posted from {} to {}, as they were charged and as release <code>{}</code> \
         rates them. Nothing was charged by this.</p>\n{whole}{recounted}",
        report.total.charges,
        or(&report.first_posted_at, "–"),
        or(&report.last_posted_at, "–"),
        escaped(&job.release_id),
    )
}

fn totals(report: &BacktestReportJson) -> String {
    let total = &report.total;
    let (was, would) = (&total.charged, &total.rated);
    type Amount = fn(&MoneyJson) -> &str;
    let kinds: [(&str, Amount); 3] = [
        ("Revenue", |money| &money.revenue_usd),
        ("Cost", |money| &money.cost_usd),
        ("Margin", |money| &money.margin_usd),
    ];
    let mut rows = String::new();
    let mut bars: Vec<(String, &str, &str)> = Vec::new();
    for (name, of) in kinds {
        let change = minus(of(would), of(was));
        rows.push_str(&format!(
            "<tr><td>{name}, USD<td>{}<td>{}<td>{change}</tr>\n",
            of(was),
            of(would)
        ));
        bars.push((format!("{name} charged"), of(was), "was"));
        bars.push((format!("{name} rated"), of(would), "would"));
    }
    let percent = total.change_percent.as_deref().unwrap_or("–");
    format!(
        "<h2>In all</h2>\n{}<table><tr><th><th>charged<th>rated<th>change</tr>\n{rows}</table>\n\
         <p>Customers would pay {} USD more ({percent} %).</p>\n",
        chart(&bars),
        total.change_usd
    )
}

fn section(name: &str, groups: &[GroupJson], left_off: u64) -> String {
    if groups.is_empty() {
        return String::new();
    }
    let bars: Vec<(String, &str, &str)> = groups
        .iter()
        .take(BARS)
        .map(|group| {
            let way = if group.change_usd.starts_with('-') {
                "less"
            } else {
                "more"
            };
            (label(group), group.change_usd.as_str(), way)
        })
        .collect();
    let mut rows = String::new();
    for group in groups.iter().take(ROWS) {
        let percent = group.change_percent.as_deref().unwrap_or("–");
        rows.push_str(&format!(
            "<tr><td>{}<td>{}<td>{}<td>{}<td>{}<td>{percent}<td>{}<td>{}</tr>\n",
            escaped(&label(group)),
            group.charges,
            group.charged.revenue_usd,
            group.rated.revenue_usd,
            group.change_usd,
            group.charged.margin_usd,
            group.rated.margin_usd,
        ));
    }
    let more = u64::try_from(groups.len().saturating_sub(ROWS)).unwrap_or(u64::MAX);
    let more = match more.saturating_add(left_off) {
        0 => String::new(),
        more => format!("<p class=\"note\">and {more} more, which change less</p>\n"),
    };
    format!(
        "<h2>{name}: change in USD</h2>\n{}<table><tr><th><th>charges<th>charged<th>rated<th>change\
         <th>%<th>margin<th>margin rated</tr>\n{rows}</table>\n{more}",
        chart(&bars)
    )
}

fn label(group: &GroupJson) -> String {
    let key = group.key.as_deref().unwrap_or("(none)");
    match &group.name {
        Some(name) => format!("{name} ({key})"),
        None => key.to_owned(),
    }
}

fn problems(report: &BacktestReportJson) -> String {
    let mut text = String::new();
    let losses = &report.losses;
    if losses.declared.charges > 0 || losses.floors_broken > 0 {
        text.push_str(&format!(
            "<h2>Below cost</h2>\n<p>{} charges as the release declares: {} USD for what costs {} \
             USD. {} charges that cost {} USD lie below cost undeclared: they would be left without a \
             price.</p>\n",
            losses.declared.charges,
            losses.declared.rated.revenue_usd,
            losses.declared.rated.cost_usd,
            losses.floors_broken,
            losses.floors_broken_cost_usd
        ));
    }
    if !report.missed.is_empty() {
        text.push_str(
            "<h2>Without a price</h2>\n<table><tr><th>reason<th>charges<th>charged<th>cost</tr>\n",
        );
        for missed in report.missed.iter().take(ROWS) {
            let what = missed.example.as_deref().unwrap_or_default();
            text.push_str(&format!(
                "<tr><td>{} <span class=\"note\">{}</span><td>{}<td>{}<td>{}</tr>\n",
                escaped(&missed.reason),
                escaped(what),
                missed.charges,
                missed.charged_usd,
                missed.cost_usd
            ));
        }
        text.push_str("</table>\n");
    }
    if !report.waiting.is_empty() {
        text.push_str("<h2>Still waits for a price, left out</h2>\n<table>");
        for (reason, events) in &report.waiting {
            text.push_str(&format!("<tr><td>{}<td>{events}</tr>\n", escaped(reason)));
        }
        text.push_str("</table>\n");
    }
    text
}

/// Bars from a common zero, each with its label and amount. Lengths are whole thousandths of the
/// longest: they are drawn from the amounts' digits, never from a float.
fn chart(bars: &[(String, &str, &str)]) -> String {
    const ROW: usize = 22;
    const LEFT: u64 = 330;
    const WIDTH: u64 = 500;
    let size = |text: &str| text.parse::<Decimal>().unwrap_or_default().abs();
    let longest = bars.iter().map(|(_, amount, _)| size(amount)).max();
    let longest = longest.unwrap_or_default();
    let height = bars.len().saturating_mul(ROW);
    let mut svg =
        format!("<svg viewBox=\"0 0 1000 {height}\" role=\"img\" aria-label=\"chart\">\n");
    for (place, (label, amount, class)) in bars.iter().enumerate() {
        let share = size(amount).checked_div(longest).unwrap_or_default();
        let width = share.checked_mul(Decimal::from(WIDTH)).unwrap_or_default();
        let width = width.round().normalize();
        let top = place.saturating_mul(ROW);
        let (base, inset) = (top.saturating_add(15), top.saturating_add(3));
        let after = width.checked_add(Decimal::from(LEFT)).unwrap_or_default();
        let after = after.checked_add(Decimal::from(16)).unwrap_or_default();
        svg.push_str(&format!(
            "<text x=\"320\" y=\"{base}\" text-anchor=\"end\">{}</text>\
             <rect class=\"{class}\" x=\"{LEFT}\" y=\"{inset}\" width=\"{width}\" height=\"16\"/>\
             <text x=\"{after}\" y=\"{base}\">{}</text>\n",
            escaped(&shortened(label)),
            escaped(amount)
        ));
    }
    svg.push_str("</svg>\n");
    svg
}

/// The beginning of a text, as much as fits beside a bar.
fn shortened(text: &str) -> String {
    const FITS: usize = 44;
    if text.chars().count() <= FITS {
        return text.to_owned();
    }
    let mut short: String = text.chars().take(FITS.saturating_sub(1)).collect();
    short.push('…');
    short
}

fn minus(a: &str, b: &str) -> String {
    let number = |text: &str| text.parse::<Decimal>().unwrap_or_default();
    let difference = number(a).checked_sub(number(b)).unwrap_or_default();
    crate::wire::plain(difference)
}

/// A text that means nothing to a browser: labels are written by callers.
fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            other => safe.push(other),
        }
    }
    safe
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{ComparedJson, GroupsJson};

    fn money(revenue: &str) -> MoneyJson {
        MoneyJson {
            revenue_usd: revenue.to_owned(),
            cost_usd: "1".to_owned(),
            margin_usd: minus(revenue, "1"),
        }
    }

    #[test]
    fn labels_of_callers_are_text_and_nothing_comes_from_elsewhere() {
        let group = |key: &str, change: &str| GroupJson {
            key: Some(key.to_owned()),
            name: None,
            charges: 2,
            charged: money("10"),
            rated: money("7.5"),
            change_usd: change.to_owned(),
            change_percent: Some("-25".to_owned()),
        };
        let report = BacktestReportJson {
            whole: false,
            last_posted_at: Some("2026-11-21T00:00:00.000Z".to_owned()),
            total: ComparedJson {
                charges: 2,
                charged: money("10"),
                rated: money("7.5"),
                change_usd: "-2.5".to_owned(),
                change_percent: Some("-25".to_owned()),
            },
            by_feature: GroupsJson {
                items: vec![
                    group("<script>alert(1)</script>", "-2.5"),
                    group("b", "1.25"),
                ],
                left_off: 3,
            },
            ..BacktestReportJson::default()
        };
        let job = BacktestJson {
            id: "backtest_1".to_owned(),
            status: "stopped".to_owned(),
            release_id: "rel_1".to_owned(),
            since: None,
            until: None,
            priced_by: None,
            begun_at: "2026-11-21T00:00:00.000Z".to_owned(),
            charges_seen: 2,
            permille: 500,
            took_ms: Some(1),
            failure: None,
            report: None,
        };
        let page = page(&job, &report);
        assert!(page.contains("&lt;script&gt;alert(1)&lt;/script&gt;"));
        for foreign in [
            "<script", "http:", "https:", "src=", "href=", "@import", "url(",
        ] {
            assert!(!page.contains(foreign), "{foreign}");
        }
        // The longest bar is the whole width, the other one half of it.
        assert!(page.contains("class=\"less\" x=\"330\" y=\"3\" width=\"500\""));
        assert!(page.contains("class=\"more\" x=\"330\" y=\"25\" width=\"250\""));
        assert!(page.contains("Stopped: all that was posted up to 2026-11-21"));
        assert!(page.contains("and 3 more"));
    }
}
