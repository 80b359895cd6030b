//! What a process costs, as the system tells.

use std::time::Duration;

/// Of a process, since its start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProcessCost {
    /// Processor time, its own and the system's for it.
    pub cpu: Duration,
    /// Resident memory, bytes.
    pub resident: u64,
    /// The part of it that no file is behind, bytes.
    pub anonymous: u64,
    /// Written to the disk, bytes.
    pub written: u64,
}

impl ProcessCost {
    /// Of the process with this id; `None` where the system does not tell.
    pub fn of(pid: u32) -> Option<Self> {
        let read = |file| std::fs::read_to_string(format!("/proc/{pid}/{file}")).ok();
        let (status, io) = (read("status")?, read("io")?);
        Some(Self {
            cpu: cpu(&read("stat")?)?,
            resident: number(&status, "VmRSS:")? * 1024,
            anonymous: number(&status, "RssAnon:")? * 1024,
            written: number(&io, "write_bytes:")?,
        })
    }
}

fn number(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace().next()?.parse().ok()
}

/// The 14th and 15th field, in ticks of the system's clock; the second is a name, perhaps with
/// spaces.
fn cpu(stat: &str) -> Option<Duration> {
    let (_, fields) = stat.rsplit_once(')')?;
    let mut ticks = fields.split_whitespace().skip(11);
    let mut next = || ticks.next()?.parse::<u64>().ok();
    let ticks = next()? + next()?;
    let a_second = rustix::param::clock_ticks_per_second();
    Some(Duration::from_secs_f64(ticks as f64 / a_second as f64))
}

/// Lets this process and those that it starts have so many files open.
///
/// # Errors
/// How many it may have at most.
pub fn open_files(wanted: u64) -> Result<(), u64> {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    let may = |limit: Option<u64>| limit.is_none_or(|limit| limit >= wanted);
    if may(limit.current) {
        return Ok(());
    }
    let raised = Rlimit {
        current: Some(wanted),
        maximum: limit.maximum,
    };
    match may(limit.maximum) && setrlimit(Resource::Nofile, raised).is_ok() {
        true => Ok(()),
        false => Err(limit.maximum.or(limit.current).unwrap_or(0)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_spaces_and_brackets_hides_no_processor_time() {
        let stat = "7 (a) b (c)) S 1 7 7 0 -1 4194560 120 0 0 0 150 50 0 0 20 0 9 0 1 2 3";
        let a_second = rustix::param::clock_ticks_per_second() as f64;
        assert_eq!(cpu(stat), Some(Duration::from_secs_f64(200.0 / a_second)));
        assert_eq!(cpu("7 (a) S 1"), None);
    }

    #[test]
    fn this_process_has_memory_and_no_other_has_its_id() {
        let own = ProcessCost::of(std::process::id()).unwrap();
        assert!(own.resident > own.anonymous && own.anonymous > 0, "{own:?}");
        assert_eq!(ProcessCost::of(u32::MAX), None);
    }

    #[test]
    fn nobody_gets_more_files_than_there_may_be() {
        assert_eq!(open_files(1), Ok(()));
        assert!(open_files(u64::MAX).is_err());
    }
}
