//! What works, as tables.

use std::fmt::Write as _;

use serde_json::{Value, json};

use crate::conformance::{Answer, Cell, Cells, Group, PEERS, Row, Verdict};

type Rows = [(&'static Row, Cells)];

/// How many rows of a group work under each peer; none where it is not there.
pub fn works(rows: &Rows, group: Group) -> Vec<Option<usize>> {
    let rows: Vec<&Cells> =
        rows.iter().filter(|(row, _)| row.group == group).map(|(_, cells)| cells).collect();
    (0..PEERS.len())
        .map(|peer| {
            let mut verdicts = rows.iter().map(|cells| cells[peer].verdict);
            let there =
                rows.iter().any(|cells| !matches!(cells[peer].verdict, Verdict::Absent | Verdict::Unasked));
            there.then(|| verdicts.by_ref().filter(|verdict| *verdict == Verdict::Works).count())
        })
        .collect()
}

/// How many rows a group has.
pub fn total(rows: &Rows, group: Group) -> usize {
    rows.iter().filter(|(row, _)| row.group == group).count()
}

fn head(first: &str) -> String {
    let names: Vec<&str> = PEERS.iter().map(|peer| peer.name).collect();
    format!("| {first} | {} |\n|---|{}\n", names.join(" | "), "---|".repeat(PEERS.len()))
}

/// How many rows of each group work, in brackets where the peer is not made for it.
pub fn summary(rows: &Rows) -> String {
    let mut text = head("how many rows work");
    for group in Group::ALL.into_iter().filter(|group| total(rows, *group) > 0) {
        // Writing to a string does not fail.
        let _ = write!(text, "| {} ({}) |", group.title(), total(rows, group));
        for (peer, works) in PEERS.iter().zip(works(rows, group)) {
            let works = works.map_or("–".into(), |works| works.to_string());
            let _ = match peer.claims.contains(&group) {
                true => write!(text, " **{works}** |"),
                false => write!(text, " ({works}) |"),
            };
        }
        text.push('\n');
    }
    text
}

/// What the words mean.
pub fn legend() -> String {
    let mut text = String::new();
    for verdict in Verdict::ALL {
        let _ = writeln!(text, "- *{}*: {}.", verdict.word(), verdict.meaning());
    }
    text + "\nIn brackets: the peer is not made for this, and the program simply ran under it.\n"
}

/// All cells.
pub fn table(rows: &Rows) -> String {
    let mut text = String::new();
    for group in Group::ALL.into_iter().filter(|group| total(rows, *group) > 0) {
        text += &head(group.title());
        for (row, cells) in rows.iter().filter(|(row, _)| row.group == group) {
            let _ = write!(text, "| {} |", row.name);
            for cell in cells {
                let _ = match (cell.verdict, cell.claimed) {
                    (Verdict::Works, _) => write!(text, " **works** |"),
                    (verdict, true) => write!(text, " {} |", verdict.word()),
                    (verdict, false) => write!(text, " ({}) |", verdict.word()),
                };
            }
            text.push('\n');
        }
        text.push('\n');
    }
    text
}

/// All cells with what was promised and answered.
pub fn json(rows: &Rows) -> Value {
    let cell = |cell: &Cell| {
        let answer = match &cell.answer {
            None => json!(null),
            Some(Answer::Said(text)) => json!({ "said": text }),
            Some(Answer::Complained(text)) => json!({ "complained": text }),
            Some(Answer::Died(how)) => json!({ "died": how }),
            Some(Answer::Hung) => json!("hung"),
        };
        json!({ "verdict": cell.verdict.word(), "promise": cell.promise, "answer": answer, "claimed": cell.claimed })
    };
    let rows = rows.iter().map(|(row, cells)| {
        let cells: serde_json::Map<String, Value> =
            PEERS.iter().zip(cells).map(|(peer, found)| (peer.name.to_owned(), cell(found))).collect();
        json!({ "group": row.group.title(), "row": row.name, "steps": row.steps, "peers": cells })
    });
    json!(rows.collect::<Vec<Value>>())
}
