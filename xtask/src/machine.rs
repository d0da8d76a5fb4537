//! On what something was measured: numbers mean little without it.

use std::fmt;

const KIB_PER_GIB: f64 = 1024.0 * 1024.0;

/// A machine, as far as it tells.
#[derive(Debug)]
pub(crate) struct Machine {
    model: Option<String>,
    cores: Option<usize>,
    memory_kib: Option<u32>,
}

impl Machine {
    /// This machine; only Linux tells the model and the memory.
    pub(crate) fn this() -> Self {
        let read = |path| std::fs::read_to_string(path).unwrap_or_default();
        Self {
            model: value(&read("/proc/cpuinfo"), "model name").map(str::to_owned),
            cores: std::thread::available_parallelism().ok().map(usize::from),
            memory_kib: value(&read("/proc/meminfo"), "MemTotal")
                .and_then(|value| value.strip_suffix(" kB")?.parse().ok()),
        }
    }
}

impl fmt::Display for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.model.as_deref().unwrap_or("unknown processor"))?;
        if let Some(cores) = self.cores {
            write!(f, ", cores: {cores}")?;
        }
        if let Some(kib) = self.memory_kib {
            write!(f, ", memory: {:.1} GiB", f64::from(kib) / KIB_PER_GIB)?;
        }
        write!(f, ", {} {}", std::env::consts::OS, std::env::consts::ARCH)
    }
}

/// The value of the first line `name: value`.
fn value<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    text.lines().find_map(|line| {
        let (found, value) = line.split_once(':')?;
        (found.trim() == name).then(|| value.trim())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_is_told_in_one_line() {
        let cpuinfo = "processor\t: 0\nmodel name\t: Some Processor\n\nprocessor\t: 1\nmodel name\t: Some Processor\n";
        let machine = Machine {
            model: value(cpuinfo, "model name").map(str::to_owned),
            cores: Some(2),
            memory_kib: Some(24 * 1024 * 1024),
        };
        assert!(machine.to_string().starts_with("Some Processor, cores: 2, memory: 24.0 GiB, "), "{machine}");
    }

    #[test]
    fn what_a_machine_does_not_tell_is_left_out() {
        let machine = Machine { model: None, cores: None, memory_kib: None };
        assert!(machine.to_string().starts_with("unknown processor, "), "{machine}");
    }
}
