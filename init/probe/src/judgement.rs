// SPDX-License-Identifier: Apache-2.0
//! From single answers to what is worth telling: a verdict only when it changes.

/// A verdict that is news.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Verdict {
    pub(crate) healthy: bool,
    pub(crate) sentence: String,
}

/// What has been heard from one run of one service.
#[derive(Debug)]
pub(crate) struct Judgement {
    /// So many failures in a row make it unhealthy.
    limit: u32,
    failed_in_row: u32,
    same_in_row: u32,
    last_failure: String,
    told: Option<Verdict>,
    was_healthy: bool,
}

impl Judgement {
    pub(crate) fn new(limit: u32) -> Self {
        Self {
            limit: limit.max(1),
            failed_in_row: 0,
            same_in_row: 0,
            last_failure: String::new(),
            told: None,
            was_healthy: false,
        }
    }

    /// Whether it has ever answered well.
    pub(crate) const fn was_healthy(&self) -> bool {
        self.was_healthy
    }

    /// Takes one answer, good or bad, in words. Returns a verdict where that is news: the first
    /// one, a change, or another reason for the same failure that has come as often in a row as
    /// makes a failure (two reasons that take turns are not worth a message each time).
    pub(crate) fn hear(&mut self, answer: Result<String, String>) -> Option<Verdict> {
        let verdict = match answer {
            Ok(sentence) => {
                self.was_healthy = true;
                self.failed_in_row = 0;
                self.same_in_row = 0;
                self.last_failure.clear();
                Verdict { healthy: true, sentence }
            }
            Err(sentence) => self.failed(sentence)?,
        };
        let is_news = match &self.told {
            None => true,
            Some(told) if verdict.healthy => !told.healthy,
            Some(told) => *told != verdict,
        };
        is_news.then(|| {
            self.told = Some(verdict.clone());
            verdict
        })
    }

    fn failed(&mut self, sentence: String) -> Option<Verdict> {
        self.failed_in_row = self.failed_in_row.saturating_add(1);
        let repeats = self.last_failure == sentence;
        self.same_in_row = if repeats { self.same_in_row.saturating_add(1) } else { 1 };
        self.last_failure.clone_from(&sentence);
        let already_bad = self.told.as_ref().is_some_and(|told| !told.healthy);
        let in_row = if already_bad { self.same_in_row } else { self.failed_in_row };
        (in_row >= self.limit).then_some(Verdict { healthy: false, sentence })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Tells a story of answers (`+` good, a word: a failure for that reason); each line of news as
    /// `<number of the answer><+ or -><sentence>`.
    fn tell(limit: u32, answers: &str) -> String {
        let mut judgement = Judgement::new(limit);
        let mut news = Vec::new();
        for (at, word) in answers.split(' ').enumerate() {
            let answer = if word == "+" { Ok("fine".into()) } else { Err(word.to_owned()) };
            if let Some(verdict) = judgement.hear(answer) {
                let sign = if verdict.healthy { '+' } else { '-' };
                news.push(format!("{at}{sign}{}", verdict.sentence));
            }
        }
        news.join(" ")
    }

    #[test]
    fn the_first_good_answer_is_news_and_the_next_are_not() {
        assert_eq!(tell(3, "+ + +"), "0+fine");
        assert_eq!(tell(3, "no no + +"), "2+fine");
    }

    #[test]
    fn failures_count_only_in_a_row() {
        assert_eq!(tell(3, "+ no no + no no +"), "0+fine");
        assert_eq!(tell(3, "+ no no no no + +"), "0+fine 3-no 5+fine");
        assert_eq!(tell(1, "no + no +"), "0-no 1+fine 2-no 3+fine");
    }

    #[test]
    fn any_reasons_make_a_failure_together() {
        assert_eq!(tell(3, "+ refused silent refused"), "0+fine 3-refused");
    }

    #[test]
    fn another_reason_is_news_once_it_stays() {
        assert_eq!(tell(2, "no no silent no silent no"), "1-no");
        assert_eq!(tell(2, "no no silent silent silent"), "1-no 3-silent");
    }
}
