//! A home of somebody, and `sremp` run in it.

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    path::{Path, PathBuf},
    process::{Child, ChildStdin, Command, Stdio},
    sync::mpsc::{self, Receiver},
    thread,
    time::{Duration, Instant},
};

use serde_json::Value;
use tempfile::TempDir;

/// The longest wait for anything.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// A directory for a home, with nothing of the tester's own environment.
pub(crate) struct Home {
    dir: TempDir,
}

/// A run that has ended.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Home {
    /// A place for a home.
    pub(crate) fn none() -> Self {
        let dir = TempDir::new().unwrap();
        Self { dir }
    }

    /// A home without a passphrase that listens on loopback.
    pub(crate) fn of(name: &str) -> Self {
        let home = Self::none();
        home.ok(&[
            "init",
            "--name",
            name,
            "--no-passphrase",
            "--listen",
            "127.0.0.1:0",
        ]);
        home
    }

    /// Changes the settings of a relay that was just made.
    pub(crate) fn set_relay(&self, from: &str, to: &str) {
        let settings = self.path().join("relay.toml");
        let made = std::fs::read_to_string(&settings).unwrap();
        assert!(made.contains(from), "{from:?} is not set");
        std::fs::write(&settings, made.replace(from, to)).unwrap();
    }

    /// Makes a relay that serves however full the disk is that tests run on.
    pub(crate) fn make_relay(&self, options: &[&str]) -> serde_json::Value {
        let init = ["relay", "init", "--listen", "127.0.0.1:0"];
        let made = self.json(&[&init, options].concat());
        self.set_relay("disk_full = 95", "disk_full = 100");
        made
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.dir.path().join("home")
    }

    /// A file beside the home.
    pub(crate) fn file(&self, name: &str, content: &str) -> PathBuf {
        let path = self.dir.path().join(name);
        std::fs::write(&path, content).unwrap();
        path
    }

    pub(crate) fn beside(&self) -> &Path {
        self.dir.path()
    }

    /// `sremp` with these arguments, in this home.
    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_sremp"));
        command
            .args(args)
            .env_clear()
            .env("HOME", self.dir.path())
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("SREMP_HOME", self.path())
            .stdin(Stdio::null());
        command
    }

    pub(crate) fn run(&self, args: &[&str]) -> Ran {
        Ran::of(&mut self.command(args))
    }

    pub(crate) fn run_with_input(&self, args: &[&str], input: &[u8]) -> Ran {
        let mut command = self.command(args);
        let mut child = piped(&mut command).spawn().unwrap();
        child.stdin.take().unwrap().write_all(input).unwrap();
        Ran::ended(child)
    }

    /// The output of a run that must succeed.
    #[track_caller]
    pub(crate) fn ok(&self, args: &[&str]) -> String {
        let ran = self.run(args);
        assert_eq!(ran.code, 0, "{args:?}: {ran:?}");
        ran.stdout
    }

    /// The one object that a run with `--json` prints.
    #[track_caller]
    pub(crate) fn json(&self, args: &[&str]) -> Value {
        let mut objects = self.objects(args);
        assert_eq!(objects.len(), 1, "{args:?}: {objects:?}");
        objects.remove(0)
    }

    /// The objects that a run with `--json` prints, one a line.
    #[track_caller]
    pub(crate) fn objects(&self, args: &[&str]) -> Vec<Value> {
        let all = [args, &["--json"]].concat();
        parse_lines(&self.ok(&all))
    }

    /// The texts of this kind in a conversation, in its order.
    #[track_caller]
    pub(crate) fn texts(&self, contact: &str, kind: &str) -> Vec<String> {
        let lines = self.objects(&["history", contact, "--limit", "1000"]);
        let lines = lines.iter().filter(|line| line["kind"] == kind);
        lines.map(|line| text(line, "text")).collect()
    }

    /// Sends a message that arrives within a minute; its id.
    #[track_caller]
    pub(crate) fn delivers(&self, contact: &str, message: &str) -> String {
        let wait = ["--wait", "device", "--timeout", "60"];
        let sent = self.json(&[&["send", contact, message][..], &wait].concat());
        assert_eq!(text(&sent, "status"), "on-device");
        text(&sent, "msg_id")
    }

    /// The event with this text, once it has come; it is acknowledged.
    #[track_caller]
    pub(crate) fn comes(&self, body: &str) -> Value {
        let from = Instant::now();
        while from.elapsed() < PATIENCE {
            let events = self.objects(&["recv", "--timeout", "20", "--ack"]);
            let mut texts = events.into_iter().filter(|event| event["text"] == body);
            if let Some(event) = texts.next() {
                return event;
            }
        }
        panic!("{body:?} did not come");
    }

    /// Where a backup of this home may be.
    pub(crate) fn backup_file(&self) -> String {
        let path = self.beside().join("sremp.backup");
        path.into_os_string().into_string().unwrap()
    }

    pub(crate) fn card(&self) -> String {
        text(&self.json(&["id"]), "card")
    }

    pub(crate) fn id(&self) -> String {
        text(&self.json(&["id"]), "id")
    }

    /// Starts something that goes on.
    pub(crate) fn start(&self, args: &[&str]) -> Running {
        Running::of(&mut self.command(args))
    }

    /// Starts the client and waits until it is ready.
    pub(crate) fn up(&self) -> Running {
        let running = self.start(&["up"]);
        let ready = running.line();
        assert!(ready.starts_with("up "), "{ready}");
        running
    }
}

/// Two people who have added each other.
pub(crate) fn acquainted() -> (Home, Home) {
    let (ann, ben) = (Home::of("Ann"), Home::of("Ben"));
    acquaint(&ann, &ben);
    (ann, ben)
}

/// The two add each other.
pub(crate) fn acquaint(ann: &Home, ben: &Home) {
    acquaint_as(ann, ben, ["ann", "ben"]);
}

/// The same, under these aliases.
pub(crate) fn acquaint_as(ann: &Home, ben: &Home, [to_ben, to_ann]: [&str; 2]) {
    ann.ok(&["add", &ben.card(), "--as", to_ann]);
    ben.ok(&["add", &ann.card(), "--as", to_ben]);
}

fn piped(command: &mut Command) -> &mut Command {
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
}

impl Ran {
    pub(crate) fn of(command: &mut Command) -> Self {
        let child = command.stdout(Stdio::piped()).stderr(Stdio::piped());
        Self::ended(child.spawn().unwrap())
    }

    fn ended(child: Child) -> Self {
        let output = child.wait_with_output().unwrap();
        Self {
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }

    /// Asserts a refusal: the code, one sentence on standard error, nothing on standard output.
    #[track_caller]
    pub(crate) fn refused(&self, code: i32, word: &str) {
        assert_eq!(self.code, code, "{self:?}");
        assert!(self.stderr.starts_with("sremp: "), "{self:?}");
        assert!(self.stderr.contains(word), "{self:?}");
        assert!(!self.stderr.contains("panicked"), "{self:?}");
        assert_eq!(self.stdout, "");
    }
}

/// A process that goes on; killed when dropped.
pub(crate) struct Running {
    child: Child,
    stdin: Option<ChildStdin>,
    lines: Receiver<String>,
}

impl Running {
    pub(crate) fn of(command: &mut Command) -> Self {
        let mut child = piped(command).spawn().unwrap();
        let (tell, lines) = mpsc::channel();
        let stdout = child.stdout.take().unwrap();
        thread::spawn(move || {
            for line in BufReader::new(stdout).lines() {
                if tell.send(line.unwrap()).is_err() {
                    break;
                }
            }
        });
        let stdin = child.stdin.take();
        Self {
            child,
            stdin,
            lines,
        }
    }

    /// The next line of standard output.
    #[track_caller]
    pub(crate) fn line(&self) -> String {
        self.lines
            .recv_timeout(PATIENCE)
            .expect("a line in time, from a process that still runs")
    }

    /// The next line that is an object for which this holds.
    #[track_caller]
    pub(crate) fn object(&self, wanted: impl Fn(&Value) -> bool) -> Value {
        loop {
            let object = serde_json::from_str(&self.line()).unwrap();
            if wanted(&object) {
                return object;
            }
        }
    }

    pub(crate) fn write(&mut self, line: &str) {
        let stdin = self.stdin.as_mut().unwrap();
        writeln!(stdin, "{line}").unwrap();
    }

    pub(crate) fn close_input(&mut self) {
        self.stdin = None;
    }

    /// The number of the process.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// As Ctrl-C or the system's shutdown do.
    pub(crate) fn signal(&self, name: &str) {
        let id = self.child.id().to_string();
        let status = Command::new("kill").args(["-s", name, &id]).status();
        assert!(status.unwrap().success());
    }

    /// Power loss, as far as a process can tell.
    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// The exit code and standard error once it has ended.
    pub(crate) fn end(mut self) -> (i32, String) {
        let mut stderr = String::new();
        let mut pipe = self.child.stderr.take().unwrap();
        pipe.read_to_string(&mut stderr).unwrap();
        let status = self.child.wait().unwrap();
        (status.code().unwrap_or(-1), stderr)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Whether a program is there; if not, that something was not tried is said.
pub(crate) fn answers(program: &str) -> bool {
    let mut command = Command::new(program);
    command.arg("--version").stdout(Stdio::null());
    let there = command.stderr(Stdio::null()).status().is_ok();
    if !there {
        eprintln!("not tried: {program} is not installed");
    }
    there
}

pub(crate) fn parse_lines(lines: &str) -> Vec<Value> {
    let objects = lines.lines().map(serde_json::from_str);
    objects.collect::<Result<_, _>>().unwrap()
}

#[track_caller]
pub(crate) fn text(object: &Value, key: &str) -> String {
    let value = object[key].as_str();
    value
        .unwrap_or_else(|| panic!("{key} in {object}"))
        .to_owned()
}

/// The keys of an object, in the order of the alphabet.
#[track_caller]
pub(crate) fn keys(object: &Value) -> Vec<&str> {
    let mut keys: Vec<&str> = object
        .as_object()
        .unwrap()
        .keys()
        .map(String::as_str)
        .collect();
    keys.sort_unstable();
    keys
}
