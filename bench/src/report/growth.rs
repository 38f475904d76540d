//! How costs grow, as tables.

use std::fmt::Write as _;

use serde_json::{Value, json};

use crate::growth::Growth;

/// A table for each kind of cost.
pub fn tables(grown: &[Growth]) -> String {
    let mut text = String::new();
    let mut last = "";
    for growth in grown {
        if growth.what != last {
            last = growth.what;
            let sizes = grown.iter().find(|other| other.what == last).map_or(&[][..], |first| &first.costs);
            // Writing to a string does not fail.
            let _ = write!(text, "{}| {last} |", if text.is_empty() { "" } else { "\n" });
            for (size, _) in sizes {
                let _ = write!(text, " {size} |");
            }
            let _ = writeln!(
                text,
                " grows as the size to the power of |\n|---|{}--:|",
                "--:|".repeat(sizes.len())
            );
        }
        let _ = write!(text, "| {} |", growth.peer);
        for (_, cost) in &growth.costs {
            let _ = write!(text, " {cost:.0} |");
        }
        // No growth is nought, and not less than it.
        let rounded = |exponent: f64| (exponent * 100.0).round() / 100.0 + 0.0;
        let exponent = growth.exponent().map_or("–".into(), |exponent| format!("{:.2}", rounded(exponent)));
        let _ = writeln!(text, " {exponent} |");
    }
    text
}

/// The same for programs.
pub fn json(grown: &[Growth]) -> Value {
    let grown = grown.iter().map(|growth| {
        let costs: Vec<Value> =
            growth.costs.iter().map(|(size, cost)| json!({ "size": size, "cost": cost })).collect();
        json!({ "what": growth.what, "peer": growth.peer, "costs": costs, "exponent": growth.exponent() })
    });
    json!(grown.collect::<Vec<Value>>())
}
