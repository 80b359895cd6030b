//! What people notice of a network that is cut, loses, stays idle or changes, and of servers that
//! die: measured with real processes in namespaces, against limits.

mod cuts;
mod dead;
mod idle;
mod lossy;
mod moved;
mod people;
mod world;

use std::{
    path::PathBuf,
    time::{Duration, SystemTime},
};

use crate::{
    namespaces,
    process::{Outcome, root},
};

/// Says that this process is the one in the private world.
const INSIDE: &str = "--inside";
/// Programs that are needed, and Debian's packages with them.
const PROGRAMS: [(&str, &str); 2] = [("bridge", "iproute2"), ("python3", "python3")];

/// What is measured, and how long.
struct Plan {
    what: Vec<&'static str>,
    /// Cuts of each kind.
    rounds: usize,
    /// How long idle clients are watched.
    idle: Duration,
    seed: u64,
    /// The program under test.
    sremp: Option<PathBuf>,
}

const PARTS: [&str; 5] = ["cuts", "lossy", "dead", "moved", "idle"];

impl Plan {
    fn parse(args: &[String]) -> Result<Self, String> {
        let seed = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        let mut plan = Self {
            what: Vec::new(),
            rounds: 50,
            idle: Duration::from_secs(300),
            seed: seed.map_or(1, |time| time.as_secs()),
            sremp: None,
        };
        let mut args = args.iter();
        while let Some(arg) = args.next() {
            if let Some(part) = PARTS.iter().find(|part| *part == arg) {
                plan.what.push(part);
                continue;
            }
            let mut value = || args.next().ok_or(format!("{arg} has no value"));
            let number = |text: &String| {
                let number = text.parse::<u64>();
                number.map_err(|_| format!("{arg}: {text} is no number"))
            };
            match arg.as_str() {
                "--rounds" => {
                    let rounds = number(value()?)?.clamp(1, 10_000);
                    plan.rounds = usize::try_from(rounds).unwrap_or(1);
                }
                "--idle" => plan.idle = Duration::from_secs(number(value()?)?),
                "--seed" => plan.seed = number(value()?)?,
                "--program" => {
                    let path = root().join(value()?).canonicalize();
                    plan.sremp = Some(path.map_err(|e| format!("--program: {e}"))?);
                }
                INSIDE => {}
                _ => return Err(format!("net-test knows no {arg}")),
            }
        }
        if plan.what.is_empty() {
            plan.what = PARTS.to_vec();
        }
        Ok(plan)
    }
}

/// Builds what is run, then measures in a world of its own.
pub(crate) fn test(args: &[String]) -> Outcome {
    let plan = Plan::parse(args)?;
    if args.first().is_some_and(|arg| arg == INSIDE) {
        return inside(&plan);
    }
    namespaces::ensure(&PROGRAMS)?;
    let task = ["net-test".to_owned(), INSIDE.to_owned()];
    namespaces::enter(&[&task, args].concat())
}

fn inside(plan: &Plan) -> Outcome {
    namespaces::prepare()?;
    let sremp = match &plan.sremp {
        Some(path) => path.clone(),
        None => namespaces::program("sremp")?,
    };
    eprintln!("net-test: seed {}", plan.seed);
    let mut missed = Vec::new();
    for part in &plan.what {
        let done = match *part {
            "cuts" => cuts::measure(&sremp, plan.rounds, plan.seed),
            "lossy" => lossy::measure(&sremp, plan.seed),
            "dead" => dead::measure(&sremp),
            "moved" => moved::measure(&sremp),
            _ => idle::measure(&sremp, plan.idle),
        };
        missed.extend(done.err());
    }
    match missed.is_empty() {
        true => Ok(()),
        false => Err(missed.join("\n")),
    }
}

/// Says what came of a measurement; an error if it is over its limit.
fn judge(what: &str, figure: f64, unit: &str, limit: f64) -> Outcome {
    let line = format!("{what}: {figure:.2} {unit} (limit {limit})");
    eprintln!("net-test: {line}");
    match figure <= limit {
        true => Ok(()),
        false => Err(format!("too much: {line}")),
    }
}

/// Numbers that repeat from a seed (xorshift64*).
struct Chance(u64);

impl Chance {
    const fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    const fn number(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33
    }

    fn between(&mut self, least: Duration, most: Duration) -> Duration {
        let span = u64::try_from((most - least).as_millis()).unwrap_or(1);
        least + Duration::from_millis(self.number() % span.max(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_known_or_has_no_value_is_refused() {
        for wrong in [&["cut"][..], &["--rounds"], &["--idle", "long"]] {
            let args: Vec<String> = wrong.iter().map(ToString::to_string).collect();
            assert!(Plan::parse(&args).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn everything_is_measured_unless_something_is_named() {
        assert_eq!(Plan::parse(&[]).unwrap().what, PARTS);
        let plan = Plan::parse(&["idle".into(), "--idle".into(), "9".into()]).unwrap();
        assert_eq!(
            (plan.what, plan.idle),
            (vec!["idle"], Duration::from_secs(9))
        );
    }
}
