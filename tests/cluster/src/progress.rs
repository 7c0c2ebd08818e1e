//! What a person sees while something takes long: one line a step, and where it stands every few seconds.

use std::io::Write as _;
use std::time::{Duration, Instant};

/// How often a long step says that it is alive.
pub const INTERVAL: Duration = Duration::from_secs(10);

/// Prints one line to stderr; stdout is for results only.
pub fn say(text: &str) {
    // A closed stderr must not end the work.
    let _ = writeln!(std::io::stderr(), "dev-cluster: {text}");
}

/// A step with a beginning, signs of life, and an end.
#[derive(Debug)]
pub struct Step {
    name: String,
    begun: Instant,
    said: Instant,
}

impl Step {
    /// Says that the step begins.
    #[must_use]
    pub fn begin(name: impl Into<String>) -> Self {
        let name = name.into();
        say(&format!("{name} …"));
        let now = Instant::now();
        Self { name, begun: now, said: now }
    }

    /// Says how far the step is, if nothing was said for a while.
    pub fn tick(&mut self, how_far: impl FnOnce() -> String) {
        if self.said.elapsed() >= INTERVAL {
            self.said = Instant::now();
            say(&format!("{}: {} ({} s)", self.name, how_far(), self.begun.elapsed().as_secs()));
        }
    }

    /// Says that the step is done, and how long it took.
    pub fn done(self) {
        say(&format!("{}: done in {:.1} s", self.name, self.begun.elapsed().as_secs_f64()));
    }
}
