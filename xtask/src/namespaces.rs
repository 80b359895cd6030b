//! Network namespaces in a private world of processes, mounts and networks (`unshare`), which the kernel
//! takes down with the process that made it, however that ends. Nothing of the machine's own network
//! is touched.

mod home;
mod talker;

use std::{
    borrow::Cow,
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

pub(crate) use self::{
    home::{Home, field},
    talker::Talker,
};
use crate::{
    process::{Outcome, cargo, output, run},
    tools::{self, ensure_build_tools, locked, selection},
};

/// Programs that every such test needs, and Debian's packages with them.
const PROGRAMS: [(&str, &str); 2] = [("ip", "iproute2"), ("unshare", "util-linux")];
/// Where the world's files are; nothing of it is on a disk.
const DIRECTORY: &str = "/run/sremp-test";

/// Where homes may be made.
pub(crate) fn directory() -> &'static Path {
    Path::new(DIRECTORY)
}

/// Installs what is missing, or says what it is, and builds the program.
pub(crate) fn ensure(programs: &[(&str, &str)]) -> Outcome {
    tools::ensure_programs(&[&PROGRAMS, programs].concat())?;
    ensure_build_tools()?;
    let package = ["-p".to_owned(), "sremp".to_owned()];
    run(cargo()
        .args(["build", "--package", "sremp"])
        .args(locked())
        .args(selection(&package)))
}

/// Runs a task of this program in a world of its own.
pub(crate) fn enter(args: &[String]) -> Outcome {
    let this = env::current_exe().map_err(|e| format!("where this program is: {e}"))?;
    run(Command::new("unshare")
        .args(["--net", "--mount", "--pid", "--fork", "--kill-child"])
        .arg("--mount-proc")
        .arg(this)
        .args(args))
    .map_err(|e| format!("{e}; namespaces need root and a kernel that allows them"))
}

/// Names of namespaces and files of this world are nobody else's.
pub(crate) fn prepare() -> Outcome {
    output(Command::new("mount").args(["-t", "tmpfs", "tmpfs", "/run"]))?;
    fs::create_dir(DIRECTORY).map_err(|e| format!("{DIRECTORY}: {e}"))
}

/// What `cargo build` has just put beside this program.
pub(crate) fn program(name: &str) -> Result<PathBuf, String> {
    let this = env::current_exe().map_err(|e| format!("where this program is: {e}"))?;
    let built = this.parent().map(|dir| dir.join(name));
    built
        .filter(|path| path.is_file())
        .ok_or(format!("{name} is not built"))
}

/// A network namespace.
pub(crate) struct Place(Cow<'static, str>);

impl Place {
    pub(crate) const fn named(name: &'static str) -> Self {
        Self(Cow::Borrowed(name))
    }

    pub(crate) const fn of(name: String) -> Self {
        Self(Cow::Owned(name))
    }

    pub(crate) fn name(&self) -> &str {
        &self.0
    }

    pub(crate) fn make(&self) -> Outcome {
        output(Command::new("ip").args(["netns", "add", self.name()])).map(drop)
    }

    /// One that was not made yet is not there.
    pub(crate) fn unmake(&self) {
        let _ = Command::new("ip")
            .args(["netns", "del", self.name()])
            .output();
    }

    /// A program that runs there.
    pub(crate) fn command(&self, program: impl AsRef<Path>) -> Command {
        let mut command = Command::new("ip");
        command
            .args(["netns", "exec", self.name()])
            .arg(program.as_ref());
        command
    }

    pub(crate) fn run(&self, program: &str, args: &str) -> Result<String, String> {
        output(self.command(program).args(args.split(' ')))
    }
}
