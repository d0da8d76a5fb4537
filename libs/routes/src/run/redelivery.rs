//! When a failed step is tried again.

use crate::check::Element;

/// How often and after which delays a failed step is tried again.
#[derive(Debug, Clone, PartialEq)]
pub struct Redelivery {
    /// How often; without a limit if nothing.
    pub attempts_max: Option<u32>,
    /// The first delay, and every one if they do not grow.
    pub delay_ms: u64,
    /// The longest delay.
    pub delay_max_ms: u64,
    /// Whether delays grow.
    pub is_exponential: bool,
    /// By how much they grow.
    pub multiplier: f64,
    /// By which part a delay may be longer or shorter, by chance; 0 for none.
    pub spread: f64,
    /// Delays from an attempt on, in order: `1:1000;5:5000`.
    pub pattern: Vec<(u32, u64)>,
}

impl Default for Redelivery {
    fn default() -> Self {
        Self {
            attempts_max: Some(0),
            delay_ms: 1_000,
            delay_max_ms: 60_000,
            is_exponential: false,
            multiplier: 2.0,
            spread: 0.0,
            pattern: Vec::new(),
        }
    }
}

/// Camel's part by which delays vary if nothing else is said.
const SPREAD: f64 = 0.15;

impl Redelivery {
    /// The same with what an element says, or what is wrong with it.
    pub(crate) fn overlaid(&self, element: &Element) -> Result<Self, String> {
        let mut policy = self.clone();
        if let Some(attempts) = element.integer("maximumRedeliveries") {
            policy.attempts_max = u32::try_from(attempts).ok();
        }
        if let Some(ms) = element.duration_ms("redeliveryDelay") {
            policy.delay_ms = ms;
        }
        if let Some(ms) = element.duration_ms("maximumRedeliveryDelay") {
            policy.delay_max_ms = ms;
        }
        if let Some(is_exponential) = element.flag("useExponentialBackOff") {
            policy.is_exponential = is_exponential;
        }
        if let Some(multiplier) = element.decimal("backOffMultiplier") {
            policy.multiplier = multiplier;
        }
        match element.flag("useCollisionAvoidance") {
            Some(true) => policy.spread = element.decimal("collisionAvoidanceFactor").unwrap_or(SPREAD),
            Some(false) => policy.spread = 0.0,
            None => {}
        }
        if let Some(text) = element.text("delayPattern") {
            policy.pattern = pattern(text)?;
        }
        if element.is_on("disableRedelivery") {
            policy.attempts_max = Some(0);
        }
        Ok(policy)
    }

    /// Whether there may be an attempt at all.
    pub fn is_on(&self) -> bool {
        self.attempts_max != Some(0)
    }

    /// Whether the attempt of this number, from 1, may be made.
    pub fn allows(&self, attempt: u32) -> bool {
        self.attempts_max.is_none_or(|max| attempt <= max)
    }

    /// The delay before an attempt, after the one before it; `chance` is from 0 to 1.
    pub fn delay_ms(&self, attempt: u32, previous_ms: u64, chance: f64) -> u64 {
        if !self.pattern.is_empty() {
            let reached = self.pattern.iter().rev().find(|(from, _)| attempt >= *from);
            return reached.map_or(self.delay_ms, |(_, ms)| *ms);
        }
        let mut ms = self.delay_ms;
        if self.is_exponential && previous_ms > 0 {
            ms = scaled(previous_ms, self.multiplier);
        }
        if self.spread > 0.0 {
            ms = scaled(ms, 1.0 + self.spread * (2.0 * chance - 1.0));
        }
        if self.delay_max_ms > 0 { ms.min(self.delay_max_ms) } else { ms }
    }
}

#[expect(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a delay")]
fn scaled(ms: u64, by: f64) -> u64 {
    (ms as f64 * by).round().max(0.0) as u64
}

fn pattern(text: &str) -> Result<Vec<(u32, u64)>, String> {
    let mut found: Vec<(u32, u64)> = Vec::new();
    for group in text.split(';').map(str::trim).filter(|group| !group.is_empty()) {
        let numbers = group
            .split_once(':')
            .and_then(|(from, ms)| Some((from.trim().parse::<u32>().ok()?, ms.trim().parse::<u64>().ok()?)));
        let Some(numbers) = numbers else {
            return Err(format!("`delayPattern` is like `1:1000;5:5000`, and not `{text}`"));
        };
        found.push(numbers);
    }
    found.sort_by_key(|(from, _)| *from);
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_grow_to_their_limit() {
        let policy = Redelivery { delay_ms: 100, delay_max_ms: 300, is_exponential: true, ..Redelivery::default() };
        let delays: Vec<_> = (1..5)
            .scan(0, |previous, attempt| {
                *previous = policy.delay_ms(attempt, *previous, 0.5);
                Some(*previous)
            })
            .collect();
        assert_eq!(delays, [100, 200, 300, 300]);
    }

    #[test]
    fn delays_vary_by_their_part() {
        let policy = Redelivery { delay_ms: 100, spread: 0.5, ..Redelivery::default() };
        let delays = [0.0, 0.5, 1.0].map(|chance| policy.delay_ms(1, 0, chance));
        assert_eq!(delays, [50, 100, 150]);
    }

    #[test]
    fn a_pattern_counts_from_its_attempts() {
        let policy = Redelivery { pattern: pattern("3:30; 5:50").unwrap(), delay_ms: 1, ..Redelivery::default() };
        let delays: Vec<_> = (1..7).map(|attempt| policy.delay_ms(attempt, 0, 0.5)).collect();
        assert_eq!(delays, [1, 1, 30, 30, 50, 50]);
        assert!(pattern("x:1").is_err());
    }
}
