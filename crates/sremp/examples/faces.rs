//! Measures faces at a running client: two people on this machine, Ann writes, and so many faces of Ben's
//! client hear of it, some of which never read.
//!
//! ```sh
//! cargo build --release --bin sremp --example faces
//! target/release/examples/faces RATE SECONDS FACES STUCK
//! ```

use std::{
    error::Error,
    ffi::OsString,
    fs,
    io::{BufRead as _, BufReader, Write as _},
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::mpsc::sync_channel,
    thread,
    time::{Duration, Instant},
};

use serde_json::{Value, json};

type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

/// Requests under way: the client takes 64.
const UNDER_WAY: usize = 48;
/// The longest wait for an event.
const PATIENCE: Duration = Duration::from_secs(60);

/// Somebody's home and client; the client ends with this.
struct Person {
    home: PathBuf,
    up: Child,
}

impl Drop for Person {
    fn drop(&mut self) {
        let _ = self.up.kill();
        let _ = self.up.wait();
    }
}

fn sremp(home: &Path) -> Result<Command> {
    let here = std::env::current_exe()?;
    let program = here.ancestors().nth(2).ok_or("no directory")?.join("sremp");
    let mut command = Command::new(program);
    command.env("SREMP_HOME", home).stderr(Stdio::inherit());
    Ok(command)
}

fn run(home: &Path, args: &[&str]) -> Result<Value> {
    let ran = sremp(home)?.args(args).arg("--json").output()?;
    if !ran.status.success() {
        return Err(format!("{args:?} failed").into());
    }
    Ok(serde_json::from_slice(&ran.stdout)?)
}

fn init(home: &Path, name: &str) -> Result<String> {
    let made = [
        "init",
        "--name",
        name,
        "--no-passphrase",
        "--listen",
        "127.0.0.1:0",
    ];
    run(home, &made)?;
    let card = run(home, &["id"])?["card"].take();
    Ok(card.as_str().unwrap_or_default().to_owned())
}

impl Person {
    fn start(home: &Path) -> Result<Self> {
        let mut up = sremp(home)?.arg("up").stdout(Stdio::piped()).spawn()?;
        let stdout = up.stdout.take().ok_or("no output")?;
        let person = Self {
            home: home.to_owned(),
            up,
        };
        BufReader::new(stdout).read_line(&mut String::new())?;
        Ok(person)
    }

    fn attach(&self) -> Result<BufReader<UnixStream>> {
        let stream = UnixStream::connect(self.home.join("sock"))?;
        stream.set_read_timeout(Some(PATIENCE))?;
        Ok(BufReader::new(stream))
    }

    fn subscribe(&self) -> Result<BufReader<UnixStream>> {
        let mut face = self.attach()?;
        let request = json!({"jsonrpc": "2.0", "id": 1, "method": "subscribe"});
        writeln!(face.get_mut(), "{request}")?;
        face.read_line(&mut String::new())?;
        Ok(face)
    }

    /// Processor time of the threads of this name so far, or of all together, in clock ticks of 10 ms.
    fn ticks(&self, thread: &str) -> Result<u64> {
        let process = PathBuf::from(format!("/proc/{}", self.up.id()));
        let parts = match thread {
            "" => vec![process],
            _ => {
                let tasks = fs::read_dir(process.join("task"))?;
                tasks.flatten().map(|task| task.path()).collect()
            }
        };
        let mut sum = 0;
        for part in parts {
            let stat = fs::read_to_string(part.join("stat")).unwrap_or_default();
            let Some((name, rest)) = stat.rsplit_once(") ") else {
                continue;
            };
            if name.ends_with(thread) {
                let mut times = rest.split(' ').skip(11).flat_map(str::parse::<u64>);
                sum += times.next().unwrap_or(0) + times.next().unwrap_or(0);
            }
        }
        Ok(sum)
    }
}

/// How late each of so many messages came, in microseconds, rising.
fn hear(mut face: BufReader<UnixStream>, messages: usize, began: Instant) -> Result<Vec<u64>> {
    let mut late = Vec::with_capacity(messages);
    let mut line = String::new();
    while late.len() < messages {
        line.clear();
        if face.read_line(&mut line)? == 0 {
            return Err("a face was let go".into());
        }
        let Some((_, after)) = line.split_once("\"text\":\"at ") else {
            continue;
        };
        let sent: u64 = after.split(' ').next().unwrap_or_default().parse()?;
        let now = u64::try_from(began.elapsed().as_micros())?;
        late.push(now.saturating_sub(sent));
    }
    late.sort_unstable();
    Ok(late)
}

/// Sends at a rate, or as fast as it goes with as many under way as may be.
fn send(ann: &Person, rate: f64, messages: usize, began: Instant) -> Result<()> {
    let mut face = ann.attach()?;
    let mut answers = BufReader::new(face.get_ref().try_clone()?);
    let (taken, room) = sync_channel(UNDER_WAY);
    let reading = thread::spawn(move || {
        let mut line = String::new();
        let mut refused = 0;
        for _ in 0..messages {
            line.clear();
            if answers.read_line(&mut line).unwrap_or(0) == 0 {
                break;
            }
            let _ = room.recv();
            refused += usize::from(line.contains("\"error\""));
        }
        refused
    });
    let first = Instant::now();
    for n in 0..messages {
        let due = Duration::from_secs_f64(n as f64 / rate);
        thread::sleep(due.saturating_sub(first.elapsed()));
        let text = format!("at {} and some more words", began.elapsed().as_micros());
        let params = json!({"contact": "ben", "text": text});
        let request = json!({"jsonrpc": "2.0", "id": n, "method": "send", "params": params});
        taken.send(())?;
        writeln!(face.get_mut(), "{request}")?;
    }
    match reading.join() {
        Ok(0) => Ok(()),
        refused => Err(format!("{refused:?} messages were refused").into()),
    }
}

fn main() -> Result<()> {
    let given: Vec<OsString> = std::env::args_os().skip(1).collect();
    let number = |n: usize| given.get(n).and_then(|g| g.to_str()?.parse::<f64>().ok());
    let (Some(rate), Some(seconds), Some(faces), Some(stuck)) =
        (number(0), number(1), number(2), number(3))
    else {
        return Err("give RATE SECONDS FACES STUCK".into());
    };
    let stage = tempfile::tempdir()?;
    let (ann, ben) = (stage.path().join("ann"), stage.path().join("ben"));
    let (to_ann, to_ben) = (init(&ann, "Ann")?, init(&ben, "Ben")?);
    run(&ann, &["add", &to_ben, "--as", "ben"])?;
    run(&ben, &["add", &to_ann, "--as", "ann"])?;
    let (ann, ben) = (Person::start(&ann)?, Person::start(&ben)?);
    run(&ann.home, &["send", "ben", "hello", "--wait", "device"])?;

    let messages = (rate * seconds) as usize;
    let began = Instant::now();
    let kept: Result<Vec<_>> = (0..stuck as usize).map(|_| ben.subscribe()).collect();
    let kept = kept?;
    let mut hearing = Vec::new();
    for _ in 0..faces as usize {
        let face = ben.subscribe()?;
        hearing.push(thread::spawn(move || hear(face, messages, began)));
    }
    // a face's own thread uses less than a tick: the whole process tells of those
    let threads = ["sremp-engine", "sremp-hub", "sremp-net", ""];
    let used = || threads.map(|thread| ben.ticks(thread).unwrap_or(0));
    let (before, start) = (used(), Instant::now());
    send(&ann, rate, messages, began)?;
    let mut p50 = Vec::new();
    let mut p99 = Vec::new();
    for face in hearing {
        let late = face.join().map_err(|_| "a face broke")??;
        let at = |part: f64| late.get((late.len() as f64 * part) as usize).copied();
        p50.extend(at(0.5));
        p99.extend(at(0.99));
    }
    let took = start.elapsed().as_secs_f64();
    let after = used();
    p50.sort_unstable();
    p99.sort_unstable();
    let share = |n: usize| (after[n] - before[n]) as f64 / took;
    let shares: Vec<(&str, f64)> = (0..threads.len()).map(|n| (threads[n], share(n))).collect();
    println!("{messages} messages in {took:.2} s to {faces} faces, {stuck} more that never read");
    println!(
        "p50 of a face, us: best {:?}, worst {:?}",
        p50.first(),
        p50.last()
    );
    println!(
        "p99 of a face, us: best {:?}, worst {:?}",
        p99.first(),
        p99.last()
    );
    println!("percent of a core: {shares:.1?}");
    drop(kept);
    Ok(())
}
