//! The rows for people.

use super::Row;
use std::fmt::Write;

const HEAD: [&str; 7] = ["case", "what", "closed form", "simulated", "parameter", "needs / has", "holds"];

/// A Markdown section for each attack, as docs/economics.md keeps it.
#[must_use]
pub fn markdown(rows: &[Row]) -> String {
    let mut out = String::new();
    let mut attack = "";
    for row in rows {
        if row.attack != attack {
            attack = row.attack;
            let _ = write!(out, "\n**{attack}**\n\n| {} |\n|{}\n", HEAD.join(" | "), " --- |".repeat(HEAD.len()));
        }
        let _ = writeln!(out, "| {} |", cells(row).join(" | "));
    }
    out
}

/// The same for a terminal.
#[must_use]
pub fn text(rows: &[Row]) -> String {
    let mut out = String::new();
    let mut attack = "";
    for row in rows {
        if row.attack != attack {
            attack = row.attack;
            let _ = writeln!(out, "\n{attack}");
        }
        let [case, what, exact, simulated, parameter, bound, holds] = cells(row);
        let _ = writeln!(out, "  {holds:<4} {case}: {what} {exact} (simulated {simulated})");
        if !parameter.is_empty() {
            let _ = writeln!(out, "       {parameter}: needs / has {bound}");
        }
    }
    out
}

fn cells(row: &Row) -> [String; 7] {
    let bound = row.bound.as_ref();
    [
        row.case.clone(),
        row.measure.to_owned(),
        number(row.exact),
        format!("{} ± {}", number(row.simulated), number(row.error)),
        bound.map_or_else(String::new, |b| b.parameter.to_owned()),
        bound.map_or_else(String::new, |b| {
            format!("{} {} / {}", if b.most { "≤" } else { "≥" }, number(b.needs), number(b.has))
        }),
        if row.holds { "yes" } else { "NO" }.to_owned(),
    ]
}

/// Three digits that mean something, more for what is near 0.
fn number(x: f64) -> String {
    let size = x.abs();
    let digits = match size {
        _ if size < 5e-7 => return "0".to_owned(),
        _ if size >= 100.0 => 0,
        _ if size >= 10.0 => 1,
        _ if size >= 1.0 => 2,
        _ if size >= 0.1 => 3,
        _ if size >= 0.01 => 4,
        _ => 6,
    };
    format!("{x:.digits$}")
}
