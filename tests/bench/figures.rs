// SPDX-License-Identifier: Apache-2.0
//! Figures as they were taken, and what is made of many: median, p99, how one grows.

use std::collections::BTreeMap;

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum What {
    /// Of PID 1: pages that nobody else maps, KiB.
    Private,
    /// Of these, those that no file backs.
    Anonymous,
    /// The private pages of all that supervises, KiB.
    AllPrivate,
    /// Processes that supervise.
    Processes,
    /// From the exec of PID 1 to that of the last service, ms.
    Start,
    /// From SIGKILL to the exec of the next run, ms.
    Restart,
    /// System calls for a restart, until the exec of the next run.
    Calls,
    /// Until the last of 20,000 zombies of one process group is gone, ms.
    Zombies,
    /// The same where each has a process group of its own.
    ZombiesApart,
    /// The longest answer of the control socket meanwhile, ms.
    Answer,
    /// The longest that the kernel kept somebody else meanwhile who asked for a child's end, ms.
    Lock,
    /// Context switches of all that supervises in a second of idleness.
    Wakeups,
    /// From a SIGSEGV of PID 1 to an answered request, ms.
    Recovery,
    /// From the request that it panic, ms.
    Panic,
    /// From the wish to the end of the last service, ms.
    Stop,
}

/// What even the short trial of the bench takes of every init.
pub(crate) const SMOKE: &[What] =
    &[What::Private, What::AllPrivate, What::Start, What::Restart, What::Wakeups, What::Stop];

/// All samples.
#[derive(Default)]
pub(crate) struct Figures {
    samples: BTreeMap<(String, usize, What), Vec<f64>>,
    refusals: BTreeMap<(String, usize), String>,
}

impl Figures {
    pub(crate) fn take(&mut self, init: &str, services: usize, what: What, sample: f64) {
        self.samples.entry((init.to_owned(), services, what)).or_default().push(sample);
    }

    /// A figure that cannot be had, in words.
    pub(crate) fn fails(&mut self, init: &str, services: usize, why: &str) {
        self.refusals.insert((init.to_owned(), services), why.to_owned());
    }

    pub(crate) fn refusals(&self) -> &BTreeMap<(String, usize), String> {
        &self.refusals
    }

    pub(crate) fn samples(&self, init: &str, services: usize, what: What) -> &[f64] {
        self.samples.get(&(init.to_owned(), services, what)).map_or(&[], Vec::as_slice)
    }

    pub(crate) fn samples_of_any(&self, init: &str, what: What) -> Vec<f64> {
        let of = |((name, _, which), samples): (&(String, usize, What), &Vec<f64>)| {
            (name == init && *which == what).then(|| samples.clone())
        };
        self.samples.iter().filter_map(of).flatten().collect()
    }

    pub(crate) fn median(&self, init: &str, services: usize, what: What) -> Option<f64> {
        part(self.samples(init, services, what), 0.5)
    }

    pub(crate) fn p99(&self, init: &str, services: usize, what: What) -> Option<f64> {
        part(self.samples(init, services, what), 0.99)
    }

    /// All medians of an init with so many services, for who watches.
    pub(crate) fn in_short(&self, init: &str, services: usize) -> String {
        let its = self.samples.iter().filter(|(key, _)| key.0 == init && key.1 == services);
        let words = its.map(|((_, _, what), samples)| {
            let (median, p99) = (part(samples, 0.5), part(samples, 0.99));
            format!("{what:?} {:.2} (p99 {:.2})", median.unwrap_or(0.0), p99.unwrap_or(0.0))
        });
        words.collect::<Vec<_>>().join(", ")
    }

    /// The numbers of services for which there is this figure, with its median.
    pub(crate) fn curve(&self, init: &str, what: What) -> Vec<(usize, f64)> {
        let keys = self.samples.keys().filter(|(name, _, which)| name == init && *which == what);
        keys.filter_map(|(_, services, _)| Some((*services, self.median(init, *services, what)?)))
            .collect()
    }
}

/// The sample below which this part of all lies.
fn part(samples: &[f64], part: f64) -> Option<f64> {
    let mut sorted = samples.to_vec();
    sorted.sort_by(f64::total_cmp);
    let last = sorted.len().checked_sub(1)?;
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "between 0 and the length"
    )]
    let at = (last as f64 * part).round() as usize;
    sorted.get(at).copied()
}

/// How a figure grows with the number of services.
pub(crate) struct Growth {
    /// For each service more, by least squares.
    pub(crate) each: f64,
    /// The exponent between the largest two numbers, what there is without services (by the fit, where that was not measured) taken off.
    pub(crate) word: &'static str,
}

/// This part of the largest figure, and it is called constant.
const SMALL: f64 = 0.4;

/// Fits `figure = base + each × services`, and names how it grows.
pub(crate) fn growth(curve: &[(usize, f64)]) -> Option<Growth> {
    let points: Vec<(f64, f64)> = curve.iter().map(|(x, y)| (*x as f64, *y)).collect();
    let [first, .., before, last] = points.as_slice() else { return None };
    let count = points.len() as f64;
    let mean = |of: fn(&(f64, f64)) -> f64| points.iter().map(of).sum::<f64>() / count;
    let (x, y) = (mean(|point| point.0), mean(|point| point.1));
    let (mut above, mut below) = (0.0, 0.0);
    for point in &points {
        above += (point.0 - x) * (point.1 - y);
        below += (point.0 - x).powi(2);
    }
    let each = above / below;
    let base = if first.0 == 0.0 { first.1 } else { y - each * x };
    let (small, large) = (before.1 - base, last.1 - base);
    let exponent = (large / small).ln() / (last.0 / before.0).ln();
    let word = match exponent {
        _ if each * last.0 < SMALL * last.1 || small <= 0.0 => "constant",
        low if low < 0.3 => "constant",
        low if low < 0.8 => "less than linear",
        middle if middle < 1.25 => "linear",
        high if high < 1.75 => "more than linear",
        _ => "quadratic",
    };
    Some(Growth { each, word })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_the_one_in_the_middle_and_p99_the_last_of_few() {
        let samples = [5.0, 1.0, 3.0];
        assert_eq!((part(&samples, 0.5), part(&samples, 0.99)), (Some(3.0), Some(5.0)));
        assert_eq!(part(&[], 0.5), None);
    }

    #[test]
    fn growth_is_named_by_its_largest_step() {
        let word = |curve: &[(usize, f64)]| growth(curve).unwrap().word;
        assert_eq!(word(&[(0, 500.0), (10, 510.0), (100, 600.0), (1000, 1500.0)]), "linear");
        assert_eq!(word(&[(10, 1.0), (100, 1.0), (1000, 1.1)]), "constant");
        assert_eq!(word(&[(0, 0.0), (10, 1.0), (100, 100.0), (1000, 10_000.0)]), "quadratic");
        // A second at first, for however many.
        assert_eq!(word(&[(10, 1015.0), (100, 1105.0), (1000, 2110.0)]), "linear");
        let each = growth(&[(0, 500.0), (10, 510.0), (100, 600.0)]).unwrap().each;
        assert!((each - 1.0).abs() < 1e-9);
    }
}
