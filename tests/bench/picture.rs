// SPDX-License-Identifier: Apache-2.0
//! docs/figures-init.svg: private memory and time to start by the number of services, both axes
//! logarithmic, a line for each init.

use std::path::Path;

use anyhow::{Result, anyhow};
use plotters::prelude::{
    ChartBuilder, Circle, Color, IntoDrawingArea, IntoLogRange, LineSeries, Palette, Palette99,
    PathElement, SVGBackend, WHITE,
};

use crate::figures::{Figures, What};
use crate::inits::Init;

type Area<'a> = plotters::prelude::DrawingArea<SVGBackend<'a>, plotters::coord::Shift>;

/// Draws it.
pub(crate) fn draw(figures: &Figures, inits: &[Init], path: &Path) -> Result<()> {
    let root = SVGBackend::new(path, (1200, 480)).into_drawing_area();
    root.fill(&WHITE).map_err(refused)?;
    let (left, right) = root.split_horizontally(600);
    chart(&left, "Private memory of all that supervises, KiB", What::AllPrivate, figures, inits)?;
    chart(&right, "Start of all services, ms", What::Start, figures, inits)?;
    root.present().map_err(refused)
}

fn chart(
    area: &Area<'_>,
    title: &str,
    what: What,
    figures: &Figures,
    inits: &[Init],
) -> Result<()> {
    let lines: Vec<(&str, Vec<(f64, f64)>)> = inits
        .iter()
        .filter(|init| init.most > 1)
        .map(|init| (init.name, points(&figures.curve(init.name, what))))
        .collect();
    let all = || lines.iter().flat_map(|(_, points)| points.iter());
    let least = all().map(|point| point.1).fold(f64::INFINITY, f64::min) / 2.0;
    let most = all().map(|point| point.1).fold(0.0, f64::max) * 2.0;
    if !least.is_finite() {
        return Ok(());
    }
    let mut chart = ChartBuilder::on(area)
        .caption(title, ("sans-serif", 18))
        .margin(10)
        .x_label_area_size(36)
        .y_label_area_size(60)
        .build_cartesian_2d((8.0..1300.0).log_scale(), (least..most).log_scale())
        .map_err(refused)?;
    chart.configure_mesh().x_desc("services").draw().map_err(refused)?;
    for (number, (name, points)) in lines.into_iter().enumerate() {
        let color = Palette99::pick(number).stroke_width(2);
        let series = chart.draw_series(LineSeries::new(points.clone(), color)).map_err(refused)?;
        series.label(name).legend(move |(x, y)| PathElement::new([(x, y), (x + 16, y)], color));
        let dots = points.into_iter().map(|point| Circle::new(point, 3, color.filled()));
        chart.draw_series(dots).map_err(refused)?;
    }
    chart.configure_series_labels().background_style(WHITE.mix(0.8)).draw().map_err(refused)
}

/// A logarithmic axis has no place for zero services.
fn points(curve: &[(usize, f64)]) -> Vec<(f64, f64)> {
    curve.iter().filter(|(x, y)| *x > 0 && *y > 0.0).map(|(x, y)| (*x as f64, *y)).collect()
}

fn refused(refusal: impl std::fmt::Display) -> anyhow::Error {
    anyhow!("draw the picture: {refusal}")
}
