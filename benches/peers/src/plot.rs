//! A picture of the ratios: a line for each workload, a mark for each contender.
//!
//! The marks have colours that are seen on light and on dark ground; text and lines change with
//! the reader's setting, by a style sheet that is put into the picture.

use std::error::Error;

use plotters::coord::Shift;
use plotters::element::{Circle, Cross, PathElement, Polygon, Rectangle, Text};
use plotters::prelude::{DrawingArea, IntoDrawingArea, RGBColor, SVGBackend};
use plotters::style::text_anchor::{HPos, Pos, VPos};
use plotters::style::{Color, IntoFont, TextStyle};

use crate::harness::{Results, Spread};

const WIDTH: i32 = 920;
const LEFT: i32 = 400;
const RIGHT: i32 = 40;
const TOP: i32 = 116;
const LINE: i32 = 26;
const BOTTOM: i32 = 54;

const TEXT: RGBColor = RGBColor(0x1F, 0x23, 0x28);
const FAINT: RGBColor = RGBColor(0x59, 0x63, 0x6E);
const GRID: RGBColor = RGBColor(0xD1, 0xD9, 0xE0);
/// What these become on dark ground.
const DARK: [(RGBColor, &str); 3] = [(TEXT, "#F0F6FC"), (FAINT, "#9198A1"), (GRID, "#3D444D")];

const PINK: RGBColor = RGBColor(0xDB, 0x3A, 0x96);
const ORANGE: RGBColor = RGBColor(0xE0, 0x82, 0x14);
const BLUE: RGBColor = RGBColor(0x3B, 0x82, 0xD6);
const GREEN: RGBColor = RGBColor(0x1A, 0x9E, 0x77);
const PURPLE: RGBColor = RGBColor(0x8F, 0x6B, 0xD8);
const RED: RGBColor = RGBColor(0xD6, 0x45, 0x45);
const GREY: RGBColor = RGBColor(0x8A, 0x91, 0x9A);

#[derive(Clone, Copy)]
enum Shape {
    Disc,
    Square,
    Triangle,
    Cross,
}

/// How the contenders are drawn of which the label begins so: a colour for each kind.
const MARKS: &[(&str, RGBColor, Shape)] = &[
    ("brooklet", PINK, Shape::Disc),
    ("disruptor", ORANGE, Shape::Disc),
    ("rtrb", ORANGE, Shape::Square),
    ("crossbeam-channel", BLUE, Shape::Disc),
    ("flume", BLUE, Shape::Square),
    ("kanal", BLUE, Shape::Triangle),
    ("std mpsc", BLUE, Shape::Cross),
    ("tokio broadcast", GREEN, Shape::Disc),
    ("async-broadcast", GREEN, Shape::Square),
    ("bus", GREEN, Shape::Triangle),
    ("Mutex log by hand", PURPLE, Shape::Disc),
    ("RwLock log by hand", PURPLE, Shape::Square),
    ("boxcar", PURPLE, Shape::Triangle),
    ("ferrokinesis", RED, Shape::Disc),
    ("the machine", GREY, Shape::Square),
];

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;
type Drawn = Result<(), Box<dyn Error>>;

/// From ratios to places: a logarithmic scale.
struct Scale {
    lower: f64,
    upper: f64,
}

impl Scale {
    /// A scale that holds all medians, brooklet's 1.0 among them.
    fn of(all: &[Results]) -> Self {
        let (mut lower, mut upper) = (0.5_f64, 2.0_f64);
        for results in all {
            for row in drawn(results) {
                let median = results.ratio(row).median;
                (lower, upper) = (lower.min(median), upper.max(median));
            }
        }
        Self {
            lower: lower / 1.2,
            upper: upper * 1.2,
        }
    }

    fn x(&self, ratio: f64) -> i32 {
        let ratio = ratio.clamp(self.lower, self.upper);
        let share = (ratio / self.lower).ln() / (self.upper / self.lower).ln();
        LEFT + (share * f64::from(WIDTH - RIGHT - LEFT)).round() as i32
    }

    fn ticks(&self) -> impl Iterator<Item = (f64, String)> {
        let ticks = [
            0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0,
        ];
        let (lower, upper) = (self.lower, self.upper);
        let inside = ticks
            .into_iter()
            .filter(move |tick| (lower..=upper).contains(tick));
        inside.map(|tick| (tick, format!("{tick}x")))
    }
}

pub fn svg(all: &[Results]) -> Result<String, Box<dyn Error>> {
    let lines = i32::try_from(all.len())?;
    let height = TOP + lines * LINE + BOTTOM;
    let mut svg = String::new();
    {
        let size = (u32::try_from(WIDTH)?, u32::try_from(height)?);
        let area = SVGBackend::with_string(&mut svg, size).into_drawing_area();
        let scale = Scale::of(all);
        title(&area)?;
        legend(&area)?;
        axis(&area, &scale, TOP + lines * LINE)?;
        for (index, results) in all.iter().enumerate() {
            let y = TOP + i32::try_from(index)? * LINE + LINE / 2;
            line(&area, &scale, results, y)?;
        }
        area.present()?;
    }
    Ok(with_style(&svg))
}

/// Who is drawn: brooklet's main contender is the line at 1x itself, and a baseline that carries no
/// record is none.
fn drawn(results: &Results) -> impl Iterator<Item = &crate::harness::Row> {
    let others = results.rows.iter().skip(1);
    others.filter(|row| mark(row.label).is_some())
}

fn mark(label: &str) -> Option<(RGBColor, Shape)> {
    let found = MARKS.iter().find(|(begin, ..)| label.starts_with(begin));
    found.map(|(_, colour, shape)| (*colour, *shape))
}

fn title(area: &Area<'_>) -> Drawn {
    text(
        area,
        "What others cost in brooklet's cost, per record",
        (16, 24),
        (HPos::Left, 17, TEXT),
    )?;
    let by =
        "1x is brooklet; to the right of it brooklet is ahead; bars: the quartiles of the rounds";
    text(area, by, (16, 46), (HPos::Left, 12, FAINT))
}

fn legend(area: &Area<'_>) -> Drawn {
    let (columns, width) = (8, 111);
    for (index, (name, colour, shape)) in (0..).zip(MARKS) {
        let (x, y) = (22 + index % columns * width, 70 + index / columns * 20);
        draw_mark(area, (x, y), *colour, *shape)?;
        let name = name.trim_end_matches(" by hand");
        text(area, name, (x + 10, y), (HPos::Left, 11, FAINT))?;
    }
    Ok(())
}

fn axis(area: &Area<'_>, scale: &Scale, bottom: i32) -> Drawn {
    for (tick, label) in scale.ticks() {
        let x = scale.x(tick);
        let is_one = (tick - 1.0).abs() < f64::EPSILON;
        let style = if is_one {
            PINK.stroke_width(2)
        } else {
            GRID.stroke_width(1)
        };
        area.draw(&PathElement::new([(x, TOP), (x, bottom)], style))?;
        let colour = if is_one { PINK } else { FAINT };
        text(area, &label, (x, bottom + 14), (HPos::Center, 12, colour))?;
    }
    let (one, y) = (scale.x(1.0), bottom + 36);
    text(
        area,
        "brooklet costs more",
        (one - 14, y),
        (HPos::Right, 12, FAINT),
    )?;
    text(
        area,
        "brooklet costs less",
        (one + 14, y),
        (HPos::Left, 12, FAINT),
    )
}

fn line(area: &Area<'_>, scale: &Scale, results: &Results, y: i32) -> Drawn {
    let left = [(16, y + LINE / 2), (WIDTH - RIGHT, y + LINE / 2)];
    area.draw(&PathElement::new(left, GRID.stroke_width(1)))?;
    text(area, &results.title, (16, y), (HPos::Left, 12, TEXT))?;
    for row in drawn(results) {
        let Some((colour, shape)) = mark(row.label) else {
            continue;
        };
        let Spread {
            lower,
            median,
            upper,
            ..
        } = results.ratio(row);
        let quartiles = [(scale.x(lower), y), (scale.x(upper), y)];
        area.draw(&PathElement::new(quartiles, colour.stroke_width(2)))?;
        draw_mark(area, (scale.x(median), y), colour, shape)?;
    }
    Ok(())
}

fn draw_mark(area: &Area<'_>, (x, y): (i32, i32), colour: RGBColor, shape: Shape) -> Drawn {
    match shape {
        Shape::Disc => area.draw(&Circle::new((x, y), 5, colour.filled()))?,
        Shape::Square => {
            area.draw(&Rectangle::new(
                [(x - 4, y - 4), (x + 4, y + 4)],
                colour.filled(),
            ))?;
        }
        Shape::Triangle => {
            let corners = [(x - 5, y + 4), (x + 5, y + 4), (x, y - 5)];
            area.draw(&Polygon::new(corners, colour.filled()))?;
        }
        Shape::Cross => area.draw(&Cross::new((x, y), 4, colour.stroke_width(2)))?,
    }
    Ok(())
}

fn text(
    area: &Area<'_>,
    text: &str,
    at: (i32, i32),
    (anchor, size, colour): (HPos, i32, RGBColor),
) -> Drawn {
    let style = TextStyle::from(("sans-serif", size).into_font())
        .color(&colour)
        .pos(Pos::new(anchor, VPos::Center));
    area.draw(&Text::new(text, at, style))?;
    Ok(())
}

/// Puts the colours for dark ground into the picture.
fn with_style(svg: &str) -> String {
    let mut rules = String::new();
    for (RGBColor(r, g, b), dark) in DARK {
        let light = format!("#{r:02X}{g:02X}{b:02X}");
        rules.push_str(&format!(
            "text[fill=\"{light}\"]{{fill:{dark}}}\n[stroke=\"{light}\"]{{stroke:{dark}}}\n"
        ));
    }
    let style = format!("<style>\n@media (prefers-color-scheme: dark){{\n{rules}}}\n</style>\n");
    // Right after the tag that opens the picture.
    match svg
        .find("<svg")
        .and_then(|at| Some(at + svg[at..].find('>')? + 1))
    {
        Some(at) => format!("{}\n{style}{}", &svg[..at], svg[at..].trim_start()),
        None => svg.to_owned(),
    }
}
