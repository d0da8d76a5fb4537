//! What Linux tells of a process: its memory and the time it spent on processors.

use std::path::Path;

use anyhow::Context;

const KIB_PER_MIB: f64 = 1024.0;

/// The memory of the process that is in RAM, in MiB.
pub(crate) fn rss_mib(process_id: u32) -> anyhow::Result<f64> {
    memory_of(&read(process_id, "status")?, "VmRSS:").context("no VmRSS in /proc")
}

/// The most that it ever had in RAM, in MiB.
pub(crate) fn rss_peak_mib(process_id: u32) -> anyhow::Result<f64> {
    memory_of(&read(process_id, "status")?, "VmHWM:").context("no VmHWM in /proc")
}

/// The processor time of all its threads so far, in its own code and in the kernel, in seconds.
pub(crate) fn cpu_seconds(process_id: u32) -> anyhow::Result<f64> {
    let ticks = ticks_of(&read(process_id, "stat")?).context("no times in /proc")?;
    Ok(f64::from(ticks) / f64::from(u32::try_from(rustix::param::clock_ticks_per_second())?))
}

fn read(process_id: u32, file: &str) -> anyhow::Result<String> {
    let path = Path::new("/proc").join(process_id.to_string()).join(file);
    std::fs::read_to_string(&path).with_context(|| format!("{} (numbers of a process need Linux)", path.display()))
}

fn memory_of(status: &str, name: &str) -> Option<f64> {
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    let kib: u32 = line.trim().strip_suffix(" kB")?.parse().ok()?;
    Some(f64::from(kib) / KIB_PER_MIB)
}

/// utime and stime, the 14th and 15th field; the second one is a name that may hold blanks and brackets.
fn ticks_of(stat: &str) -> Option<u32> {
    let (_, after_name) = stat.rsplit_once(") ")?;
    let mut fields = after_name.split(' ').skip(11);
    let mut next = || fields.next()?.parse::<u32>().ok();
    next()?.checked_add(next()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_read_in_mebibytes() {
        let status = "Name:\ttechleet\nVmHWM:\t   61440 kB\nVmRSS:\t   51200 kB\nThreads:\t9\n";
        assert_eq!(memory_of(status, "VmRSS:"), Some(50.0));
        assert_eq!(memory_of(status, "VmHWM:"), Some(60.0));
        assert_eq!(memory_of("Name:\ttechleet\n", "VmRSS:"), None);
    }

    #[test]
    fn processor_time_is_that_of_user_and_kernel_whatever_the_name() {
        let stat = "7 (a) b (c) S 1 7 7 0 -1 4194304 900 0 0 0 150 50 0 0 20 0 9 0 100";
        assert_eq!(ticks_of(stat), Some(200));
        assert_eq!(ticks_of("7 (a) S 1"), None);
    }

    #[test]
    fn this_process_has_memory() {
        assert!(rss_mib(std::process::id()).unwrap() > 0.0);
        assert!(cpu_seconds(std::process::id()).unwrap() >= 0.0);
    }
}
