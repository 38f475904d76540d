//! The plots.

use anyhow::Result;
use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use super::speed;
use crate::conformance::{Cells, Group, PEERS, Row, Verdict};
use crate::paired::Outcome;

/// Wide enough for a page of text.
const WIDTH: u32 = 1000;
const LINE: i32 = 16;
const FONT: &str = "sans-serif";

fn colour(verdict: Verdict) -> RGBColor {
    match verdict {
        Verdict::Works => RGBColor(0x2e, 0x8b, 0x57),
        Verdict::Differs => RGBColor(0xe0, 0xb0, 0x40),
        Verdict::Refused => RGBColor(0x6c, 0x8e, 0xbf),
        Verdict::Wrong => RGBColor(0xc8, 0x50, 0x40),
        Verdict::Crashed => RGBColor(0x5a, 0x20, 0x50),
        Verdict::Hung => RGBColor(0x30, 0x30, 0x30),
        Verdict::Absent => RGBColor(0xd8, 0xd8, 0xd8),
        Verdict::Unasked => RGBColor(0xf2, 0xf2, 0xf2),
    }
}

/// A square for each cell; pale where the peer is not made for it.
pub fn conformance(rows: &[(&'static Row, Cells)]) -> Result<String> {
    const LEFT: i32 = 320;
    const TOP: i32 = 150;
    let groups: Vec<Group> =
        Group::ALL.into_iter().filter(|group| rows.iter().any(|(row, _)| row.group == *group)).collect();
    let height = TOP + LINE * (rows.len() + 2 * groups.len() + 3) as i32;
    let step = (WIDTH as i32 - LEFT - 20) / PEERS.len() as i32;
    drawn(height as u32, |area| {
        for (column, peer) in PEERS.iter().enumerate() {
            let style = text(12).transform(FontTransform::Rotate270).pos(Pos::new(HPos::Left, VPos::Center));
            area.draw_text(peer.name, &style, (LEFT + step * column as i32 + step / 2, TOP - 8))?;
        }
        let mut top = TOP;
        for group in groups {
            top += LINE;
            area.draw_text(group.title(), &text(13).color(&RGBColor(0x50, 0x50, 0x50)), (10, top))?;
            top += LINE;
            for (row, cells) in rows.iter().filter(|(row, _)| row.group == group) {
                area.draw_text(row.name, &text(12), (20, top + 1))?;
                for (column, cell) in cells.iter().enumerate() {
                    let left = LEFT + step * column as i32;
                    let pale = if cell.claimed { 1.0 } else { 0.35 };
                    let style = colour(cell.verdict).mix(pale).filled();
                    area.draw(&Rectangle::new([(left, top), (left + step - 2, top + LINE - 2)], style))?;
                }
                top += LINE;
            }
        }
        let mut left = 20;
        for verdict in Verdict::ALL {
            let square = [(left, top + LINE), (left + LINE, top + 2 * LINE - 2)];
            area.draw(&Rectangle::new(square, colour(verdict).filled()))?;
            area.draw_text(verdict.word(), &text(12), (left + LINE + 6, top + LINE + 1))?;
            left += 110;
        }
        Ok(())
    })
}

/// A bar for each peer in each operation, on a logarithmic axis of times of native.
pub fn speed(rows: &[speed::Row]) -> Result<String> {
    const LEFT: i32 = 400;
    /// The axis: from a tenth of native's time to a hundred times that.
    const LOW: f64 = 0.1;
    const HIGH: f64 = 100.0;
    let bars = |row: &speed::Row| -> Vec<(&'static str, f64)> {
        let (operation, outcomes) = row;
        let measured = operation
            .among
            .peers()
            .iter()
            .zip(outcomes)
            .skip(1)
            .filter(|(peer, _)| operation.is_served_by(peer));
        measured
            .filter_map(|(peer, outcome)| match outcome {
                Outcome::Measured { ratio, .. } => Some((peer.name, ratio.median)),
                _ => None,
            })
            .collect()
    };
    let lines: usize = rows.iter().map(|row| bars(row).len() + 1).sum();
    let height = LINE * (lines as i32 + 4);
    let scale = |ratio: f64| {
        let part = (ratio.clamp(LOW, HIGH) / LOW).log10() / (HIGH / LOW).log10();
        LEFT + (part * f64::from(WIDTH as i32 - LEFT - 70)) as i32
    };
    drawn(height as u32, |area| {
        for tick in [0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0] {
            let style = if tick == 1.0 { BLACK.mix(0.8) } else { BLACK.mix(0.12) };
            let line = vec![(scale(tick), LINE * 2), (scale(tick), height - LINE)];
            area.draw(&PathElement::new(line, style.stroke_width(1)))?;
            let style = text(12).pos(Pos::new(HPos::Center, VPos::Top));
            area.draw_text(&format!("{tick}"), &style, (scale(tick), LINE / 2))?;
        }
        let mut top = LINE * 2;
        for row in rows {
            area.draw_text(row.0.name, &text(13), (10, top))?;
            for (name, ratio) in bars(row) {
                let ours = name.starts_with("shim") || name.starts_with("gate");
                let fill = if ours { RGBColor(0x2e, 0x8b, 0x57) } else { RGBColor(0xa8, 0xb4, 0xc0) };
                let style = text(12).pos(Pos::new(HPos::Right, VPos::Top));
                area.draw_text(name, &style, (LEFT - 8 - 70, top + 1))?;
                let (from, to) =
                    (scale(1.0).min(scale(ratio)), scale(1.0).max(scale(ratio)).max(scale(1.0) + 1));
                area.draw(&Rectangle::new([(from, top + 2), (to, top + LINE - 2)], fill.filled()))?;
                area.draw_text(&format!("{ratio:.2}"), &text(11), (to + 4, top + 2))?;
                top += LINE;
            }
            top += LINE;
        }
        Ok(())
    })
}

fn text(size: i32) -> TextStyle<'static> {
    TextStyle::from((FONT, size).into_font()).color(&BLACK)
}

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

/// A white page of this height that `draw` draws on.
fn drawn(height: u32, draw: impl FnOnce(&Area) -> Result<()>) -> Result<String> {
    let mut page = String::new();
    {
        let area = SVGBackend::with_string(&mut page, (WIDTH, height)).into_drawing_area();
        area.fill(&WHITE)?;
        draw(&area)?;
        area.present()?;
    }
    Ok(page)
}
