// SPDX-License-Identifier: Apache-2.0
//! Looks at one run of one service, again and again.

use std::time::Duration;

use kubermesh_node::channel::Watch;
use kubermesh_node::time::Span;
use tokio::time::Instant;

use crate::judgement::{Judgement, Verdict};

/// Asks by `ask`, `watch.every` from start to start ([`Watch::EAGER`] until the first good answer),
/// and tells news by `tell`. Ends only by being dropped.
pub(crate) async fn look(
    watch: &Watch,
    mut ask: impl AsyncFnMut() -> Result<String, String>,
    mut tell: impl FnMut(Verdict),
) {
    let mut judgement = Judgement::new(watch.failures);
    loop {
        let started = Instant::now();
        let answer = match tokio::time::timeout(duration(watch.timeout), ask()).await {
            Ok(answer) => answer,
            Err(_) => Err(silent(watch)),
        };
        if let Some(verdict) = judgement.hear(answer) {
            tell(verdict);
        }
        let pace = if judgement.was_healthy() { watch.every } else { Watch::EAGER };
        tokio::time::sleep_until(later(started, duration(pace))).await;
    }
}

fn silent(watch: &Watch) -> String {
    format!("{} did not answer within {}", crate::check::target(&watch.check), watch.timeout)
}

pub(crate) const fn duration(span: Span) -> Duration {
    Duration::from_millis(span.as_millis())
}

/// `start` and `pace` later; where that would overflow, at once.
pub(crate) fn later(start: Instant, pace: Duration) -> Instant {
    start.checked_add(pace).unwrap_or(start)
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use kubermesh_node::service::Check;

    use super::*;

    const HANGS: &str = "hangs";

    fn watch() -> Watch {
        Watch {
            service: "kubelet".parse().unwrap(),
            instance: 1,
            check: Check::Http("http://[::1]:10248/healthz".into()),
            every: Span::from_secs(10),
            timeout: Span::from_secs(5),
            failures: 3,
        }
    }

    /// What `look` does in `lasts` of paused time when it gets these answers and then good ones:
    /// `<ms>?` a try, `<ms>+` or `<ms>-sentence` news.
    async fn tell(watch: &Watch, lasts: Duration, answers: &[&'static str]) -> Vec<String> {
        let start = Instant::now();
        let story = RefCell::new(Vec::new());
        let note = |what: String| {
            story.borrow_mut().push(format!("{}{what}", start.elapsed().as_millis()));
        };
        let mut answers = answers.iter();
        let ask = async || {
            note("?".into());
            match answers.next().copied().unwrap_or("+") {
                "+" => Ok("fine".to_owned()),
                HANGS => std::future::pending().await,
                words => Err(words.to_owned()),
            }
        };
        let news = |verdict: Verdict| {
            let sign = if verdict.healthy { '+' } else { '-' };
            note(format!("{sign}{}", verdict.sentence));
        };
        assert!(tokio::time::timeout(lasts, look(watch, ask, news)).await.is_err());
        story.into_inner()
    }

    #[tokio::test(start_paused = true)]
    async fn it_is_eager_until_the_first_good_answer_and_steady_afterwards() {
        let story = tell(&watch(), Duration::from_secs(15), &["no", "no", "+", "+"]).await;
        assert_eq!(story, ["0?", "200?", "400?", "400+fine", "10400?"]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_try_that_hangs_is_a_failure_with_words_and_the_next_one_follows_at_once() {
        let watch = Watch { failures: 1, ..watch() };
        let story = tell(&watch, Duration::from_secs(6), &[HANGS]).await;
        let words = "5000-http://[::1]:10248/healthz did not answer within 5s";
        assert_eq!(story, ["0?", words, "5000?", "5000+fine"]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_service_that_was_healthy_is_not_asked_eagerly_when_it_fails() {
        let story = tell(&watch(), Duration::from_secs(45), &["+", "no", "no", HANGS, "+"]).await;
        let words = "35000-http://[::1]:10248/healthz did not answer within 5s";
        assert_eq!(
            story,
            ["0?", "0+fine", "10000?", "20000?", "30000?", words, "40000?", "40000+fine"]
        );
    }
}
