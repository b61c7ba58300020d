//! Rows that take turns, and the table of their ratios to the first.

/// How often rows take turns. Odd, so that the median was measured.
pub const ROUNDS: usize = 21;

/// Something that is measured, once a round.
pub struct Row<'a> {
    name: String,
    round: Box<dyn FnMut() -> f64 + 'a>,
}

impl<'a> Row<'a> {
    /// A row of this name; `round` returns the seconds that one round took.
    pub fn new(name: impl Into<String>, round: impl FnMut() -> f64 + 'a) -> Self {
        Self { name: name.into(), round: Box::new(round) }
    }
}

impl std::fmt::Debug for Row<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Row").field("name", &self.name).finish_non_exhaustive()
    }
}

/// What a row came to.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Figure {
    /// The row's name.
    pub name: String,
    /// The median time in seconds. Not a `Duration`, which would round nanoseconds.
    pub seconds: f64,
    /// The median of the ratios to the first row **of the same round**: a machine that is slow for a while slows both.
    pub ratio: f64,
    /// Three rounds of four were below this ratio.
    pub upper_quartile: f64,
}

/// Lets the rows take turns, and compares each with the first.
pub fn alternate(mut rows: Vec<Row<'_>>) -> Vec<Figure> {
    for row in &mut rows {
        // The first round fills caches and pools.
        (row.round)();
    }
    let mut rounds: Vec<Vec<f64>> = rows.iter().map(|_| Vec::with_capacity(ROUNDS)).collect();
    let count = rows.len();
    for round in 0..ROUNDS {
        // Another row is first each time: what a row leaves behind in caches and on the heap meets every other one.
        for turn in 0..count {
            let n = (round + turn) % count;
            rounds[n].push((rows[n].round)());
        }
    }
    let floor = &rounds[0];
    let figure = |(row, times): (&Row<'_>, &Vec<f64>)| {
        let ratios: Vec<f64> = times.iter().zip(floor).map(|(time, floor)| time / floor).collect();
        Figure {
            name: row.name.clone(),
            seconds: median(times),
            ratio: median(&ratios),
            upper_quartile: quantile(&ratios, 0.75),
        }
    };
    rows.iter().zip(&rounds).map(figure).collect()
}

/// The middle value.
pub fn median(values: &[f64]) -> f64 {
    quantile(values, 0.5)
}

/// The value below which this part of the values lies.
fn quantile(values: &[f64], part: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "an index into a short list"
    )]
    let index = ((sorted.len() - 1) as f64 * part).round() as usize;
    sorted[index]
}

/// Prints a table: the columns' names, then the rows' cells. The first column is on the left, the others on the right.
pub fn print(title: &str, columns: &[&str], rows: &[Vec<String>]) {
    let width = |column: usize| {
        let cells = rows.iter().map(|row| row[column].chars().count());
        cells.chain([columns[column].chars().count()]).max().unwrap_or_default()
    };
    let widths: Vec<usize> = (0..columns.len()).map(width).collect();
    let line = |cells: &mut dyn Iterator<Item = &str>| {
        for (n, (cell, width)) in cells.zip(&widths).enumerate() {
            if n == 0 {
                print!("  {cell:<width$}");
            } else {
                print!("  {cell:>width$}");
            }
        }
        println!();
    };
    println!("\n{title}");
    line(&mut columns.iter().copied());
    for row in rows {
        line(&mut row.iter().map(String::as_str));
    }
}

/// A time as a person reads it.
pub fn time(seconds: f64) -> String {
    match seconds {
        seconds if seconds >= 1e-3 => format!("{:.2} ms", seconds * 1e3),
        seconds if seconds >= 1e-6 => format!("{:.2} µs", seconds * 1e6),
        seconds => format!("{:.1} ns", seconds * 1e9),
    }
}

/// A number of allocations for one of many operations, to two places.
pub fn allocations(each: f64) -> String {
    // Adding zero turns the "-0.00" of a rounded difference into "0.00".
    format!("{:.2}", (each * 100.0).round() / 100.0 + 0.0)
}

/// A ratio and, behind it, its upper quartile.
pub fn ratio(figure: &Figure) -> String {
    format!("{:.2} (≤ {:.2})", figure.ratio, figure.upper_quartile)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_that_takes_twice_as_long_in_every_round_has_the_ratio_two() {
        let row = |factor: f64| {
            let mut pace = 0.0;
            Row::new("", move || {
                pace += 1.0;
                factor * pace
            })
        };
        let figures = alternate(vec![row(1.0), row(2.0)]);
        assert!((figures[0].ratio - 1.0).abs() < 1e-9);
        assert!((figures[1].ratio - 2.0).abs() < 1e-9);
        // The first round is not counted: the median of 2..=22.
        assert!((figures[0].seconds - 12.0).abs() < 1e-9);
    }

    #[test]
    fn the_median_is_the_middle_value() {
        assert!((median(&[9.0, 1.0, 5.0]) - 5.0).abs() < 1e-9);
    }
}
