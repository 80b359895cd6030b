//! `sremp timer`: messages that disappear.

use sremp_client::view::Action;

use super::{Ending, context::Context, send::Delivery};

/// What was typed.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  sremp timer ben 1d                   also 30s, 90m, 12h, 4w, or a number of seconds
  sremp timer ben off

Messages that either of you writes from then on disappear: yours so long after they were sent, the
contact's so long after you read them. `sremp contacts --json` shows the timer.")]
pub(crate) struct Args {
    /// Alias, unique name, or at least 6 digits of the id
    contact: String,
    /// How long messages stay, at least 30 seconds; off: for ever
    #[arg(value_name = "DURATION|off", value_parser = seconds)]
    duration: u32,
    #[command(flatten)]
    delivery: Delivery,
}

impl Args {
    pub(crate) fn run(self, context: &Context) -> Ending {
        let action = Action::Timer {
            contact: self.contact,
            seconds: self.duration,
        };
        self.delivery.act(context, action)
    }
}

/// Seconds of a duration: a number and a unit; 0 for `off`.
fn seconds(typed: &str) -> Result<u32, String> {
    if typed == "off" {
        return Ok(0);
    }
    let end = typed.find(|c: char| !c.is_ascii_digit());
    let (number, unit) = typed.split_at(end.unwrap_or(typed.len()));
    let unit: u32 = match unit {
        "" | "s" => 1,
        "m" => 60,
        "h" => 60 * 60,
        "d" => 24 * 60 * 60,
        "w" => 7 * 24 * 60 * 60,
        _ => return Err("give a number and s, m, h, d or w; or off".to_owned()),
    };
    let number: u32 = number
        .parse()
        .map_err(|_| "give a number and s, m, h, d or w; or off".to_owned())?;
    match number.checked_mul(unit) {
        Some(0) => Err("to let messages stay: off".to_owned()),
        Some(seconds) => Ok(seconds),
        None => Err("that is longer than 136 years; to let messages stay: off".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_is_a_number_with_a_unit_or_off() {
        let right = [
            ("off", 0),
            ("30", 30),
            ("45s", 45),
            ("90m", 5_400),
            ("12h", 43_200),
        ];
        for (typed, meant) in right.into_iter().chain([("1d", 86_400), ("4w", 2_419_200)]) {
            assert_eq!(seconds(typed), Ok(meant), "{typed}");
        }
        for typed in [
            "", "0", "0d", "d", "-1", "1.5h", "1y", "1 d", "9999w", "OFF", "1١",
        ] {
            assert!(seconds(typed).is_err(), "{typed}");
        }
    }
}
