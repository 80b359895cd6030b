//! `backup`, `restore` and `move` killed with -9 wherever they are, and the client that does it for them.

use std::{
    fs::{self, File},
    hash::{BuildHasher as _, RandomState},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use sremp_client::{home::Passphrase, store::StoreError};

use crate::support::{Home, PATIENCE, text};

/// Kills of a verb that does all by itself.
const KILLS: u32 = 24;
/// Kills of a client that does it.
const KILLS_OF_A_CLIENT: u32 = 8;

/// When runs are killed: one in each part of the time that a whole run takes.
struct Moments {
    whole: Duration,
    parts: u32,
    seed: u64,
    next: u32,
}

impl Moments {
    /// `run` tells how long a whole run takes.
    fn of(parts: u32, run: impl FnMut() -> Duration) -> Self {
        let whole = std::iter::repeat_with(run).take(3).max();
        let seed = RandomState::new().hash_one(parts);
        let moments = Self {
            whole: whole.unwrap_or_default(),
            parts,
            seed,
            next: 0,
        };
        eprintln!("seed {seed}, a whole run takes {:?}", moments.whole);
        moments
    }
}

impl Iterator for Moments {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        if self.next == self.parts {
            return None;
        }
        self.seed = self
            .seed
            .wrapping_mul(0x5851_f42d_4c95_7f2d)
            .wrapping_add(1);
        let within = (self.seed >> 33) as f64 / f64::from(1_u32 << 31);
        let moment = (f64::from(self.next) + within) / f64::from(self.parts);
        self.next += 1;
        Some(self.whole.mul_f64(moment))
    }
}

/// Runs it, and kills it after so long.
fn killed(command: &mut Command, after: Duration) {
    let silent = command.stdout(Stdio::null()).stderr(Stdio::null());
    let mut child = silent.spawn().unwrap();
    thread::sleep(after);
    child.kill().unwrap();
    child.wait().unwrap();
}

fn time(run: impl FnOnce()) -> Duration {
    let begin = Instant::now();
    run();
    begin.elapsed()
}

fn name(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// Whether the backup is there. It is whole then: its home is that of this identity.
fn is_whole(file: &Path, id: &str) -> bool {
    let there = file.exists();
    if there {
        let new = Home::none();
        assert_eq!(text(&new.json(&["restore", name(file)]), "id"), id);
    }
    there
}

/// The names in a directory that begin so.
fn beginning(directory: &Path, with: &str) -> Vec<String> {
    let entries = fs::read_dir(directory).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.filter(|name| name.starts_with(with)).collect()
}

fn copy(from: &Path, to: &Path) {
    if to.exists() {
        fs::remove_dir_all(to).unwrap();
    }
    fs::create_dir(to).unwrap();
    for file in ["key", "config.toml", "sremp.db"] {
        fs::copy(from.join(file), to.join(file)).unwrap();
    }
}

#[test]
fn a_killed_backup_leaves_no_file_or_a_whole_one_and_the_next_is_made() {
    let home = Home::of("Ann");
    let id = home.id();
    let file = |name: &str| home.beside().join(name);
    let whole = file("whole");
    let moments = Moments::of(KILLS, || {
        let _ = fs::remove_file(&whole);
        time(|| drop(home.ok(&["backup", name(&whole)])))
    });
    let (mut there, mut none) = (0, 0);
    for (n, moment) in moments.enumerate() {
        let file = file(&format!("file-{n}"));
        killed(&mut home.command(&["backup", name(&file)]), moment);
        match is_whole(&file, &id) {
            true => there += 1,
            false => {
                none += 1;
                home.ok(&["backup", name(&file)]);
                assert!(is_whole(&file, &id));
            }
        }
        // the next that opened the home has removed what it found there
        home.ok(&["id"]);
        assert_eq!(beginning(&home.path(), ".backup"), [""; 0]);
        assert_eq!(beginning(home.beside(), "file-").len(), n + 1);
    }
    eprintln!("{none} without a file, {there} with a whole one");
    assert!(none > 0);
}

#[test]
fn a_client_goes_on_when_a_backup_of_it_is_killed_and_a_killed_client_leaves_no_half_one() {
    let home = Home::of("Ann");
    let id = home.id();
    let file = |name: String| home.beside().join(name);
    let mut up = home.up();
    let mut n = 0;
    let moments = Moments::of(KILLS_OF_A_CLIENT, || {
        n += 1;
        let whole = file(format!("whole-{n}"));
        time(|| drop(home.ok(&["backup", name(&whole)])))
    });
    for (n, moment) in moments.enumerate() {
        let (of_verb, of_client) = (file(format!("verb-{n}")), file(format!("client-{n}")));
        killed(&mut home.command(&["backup", name(&of_verb)]), moment);
        is_whole(&of_verb, &id);
        home.ok(&["backup", name(&file(format!("next-{n}")))]);

        let verb = home.start(&["backup", name(&of_client)]);
        thread::sleep(moment);
        up.kill();
        verb.end();
        up = home.up();
        if !is_whole(&of_client, &id) {
            home.ok(&["backup", name(&of_client)]);
            assert!(is_whole(&of_client, &id));
        }
        assert_eq!(beginning(&home.path(), ".backup"), [""; 0]);
    }
}

#[test]
fn a_killed_restore_leaves_no_home_or_a_whole_one_and_the_next_removes_what_it_left() {
    let ann = Home::of("Ann");
    let file = ann.beside().join("file");
    ann.ok(&["backup", name(&file)]);
    let new = Home::none();
    let restore = ["restore", name(&file)];
    let moments = Moments::of(KILLS, || {
        let _ = fs::remove_dir_all(new.path());
        time(|| drop(new.ok(&restore)))
    });
    let (mut there, mut none, mut left) = (0, 0, 0);
    for moment in moments {
        fs::remove_dir_all(new.path()).unwrap();
        killed(&mut new.command(&restore), moment);
        left += beginning(new.beside(), ".home").len();
        match new.path().exists() {
            true => {
                there += 1;
                new.run(&restore).refused(5, "already holds");
            }
            false => {
                none += 1;
                new.ok(&restore);
            }
        }
        assert_eq!(beginning(new.beside(), ".home"), [""; 0]);
        assert_eq!(new.id(), ann.id());
    }
    eprintln!("{none} without a home ({left} with a draft of one), {there} with a whole one");
    assert!(none > 0);
}

/// A home that was killed in a move: it is closed and the file is whole, or moving again does it.
/// Whether it was closed.
fn is_closed_or_moves(home: &Home, id: &str, file: &Path) -> bool {
    let seen = home.run(&["id"]);
    let closed = seen.code != 0;
    match closed {
        true => seen.refused(5, "has moved elsewhere"),
        false => {
            is_whole(file, id);
            home.ok(&["move", name(file)]);
            home.run(&["id"]).refused(5, "has moved elsewhere");
        }
    }
    assert!(is_whole(file, id), "closed: {closed}");
    closed
}

#[test]
fn a_killed_move_never_leaves_a_closed_home_without_a_whole_file_and_the_next_finishes_it() {
    let home = Home::of("Ann");
    let (id, before) = (home.id(), home.beside().join("before"));
    let file = home.beside().join("file");
    let again = || {
        copy(&before, &home.path());
        let _ = fs::remove_file(&file);
    };
    copy(&home.path(), &before);
    let verb = ["move", name(&file)];
    let moments = Moments::of(KILLS, || {
        again();
        time(|| drop(home.ok(&verb)))
    });
    let (mut closed, mut open) = (0, 0);
    for moment in moments {
        again();
        killed(&mut home.command(&verb), moment);
        match is_closed_or_moves(&home, &id, &file) {
            true => closed += 1,
            false => open += 1,
        }
    }
    let moments = Moments::of(KILLS_OF_A_CLIENT, || {
        again();
        let _up = home.up();
        time(|| drop(home.ok(&verb)))
    });
    for moment in moments {
        again();
        let up = home.up();
        let verb = home.start(&verb);
        thread::sleep(moment);
        up.kill();
        verb.end();
        match is_closed_or_moves(&home, &id, &file) {
            true => closed += 1,
            false => open += 1,
        }
    }
    eprintln!("{open} still open, {closed} closed");
    assert!(open > 0);
}

#[test]
fn a_move_whose_file_gets_no_name_closes_nothing() {
    let home = Home::of("Ann");
    let before = home.beside().join("before");
    copy(&home.path(), &before);
    // somebody takes the name while the file is written; whether in time is tried anew
    for n in 0..50 {
        copy(&before, &home.path());
        let file = home.beside().join(format!("file-{n}"));
        let part = file.with_extension("part");
        let verb = home.start(&["move", name(&file)]);
        let begin = Instant::now();
        while !part.exists() && !file.exists() && begin.elapsed() < PATIENCE {
            thread::yield_now();
        }
        let took = File::create_new(&file).is_ok();
        let (code, said) = verb.end();
        if took {
            assert_eq!(code, 2, "{said}");
            assert!(said.contains("is there already"), "{said}");
            home.ok(&["id"]);
            assert_eq!(fs::read(&file).unwrap(), b"");
            assert!(!part.exists());
            return;
        }
    }
    panic!("never in time");
}

/// Does to a home what a move does before it is killed between the file and the closing.
fn note_move(home: &Home, file: &Path) {
    let home = sremp_client::home::Home::at(home.path());
    let lock = home.lock().unwrap();
    let mut store = home.open(&lock, &Passphrase::None).unwrap();
    let noted = store.transaction(|tx| {
        tx.set_setting("moving", name(file).as_bytes())?;
        Ok::<_, StoreError>(())
    });
    noted.unwrap();
}

/// A home, and a backup of it from before it had its contact.
fn backed_up() -> (Home, PathBuf) {
    let home = Home::of("Ann");
    let file = home.beside().join("file");
    home.ok(&["backup", name(&file)]);
    home.ok(&["add", &Home::of("Ben").card(), "--as", "ben"]);
    (home, file)
}

#[test]
fn a_move_that_was_killed_between_the_file_and_the_closing_is_finished_into_the_same_file() {
    let (home, file) = backed_up();
    note_move(&home, &file);
    home.ok(&["move", name(&file)]);
    home.run(&["id"]).refused(5, "has moved elsewhere");
    let new = Home::none();
    new.ok(&["restore", name(&file)]);
    // what it holds is of the second move, and it is not about to move itself
    assert_eq!(new.objects(&["contacts"]).len(), 1);
    new.run(&["move", name(&file)])
        .refused(2, "is there already");
}

#[test]
fn a_move_writes_over_nothing_but_what_a_killed_move_of_this_home_left() {
    let (home, file) = backed_up();
    let is_refused = |file: &Path| {
        let before = fs::read(file).unwrap();
        home.run(&["move", name(file)])
            .refused(2, "is there already");
        assert!(fs::read(file).unwrap() == before, "the file has changed");
        home.ok(&["id"]);
    };
    is_refused(&file);
    // noted, but the file under the name is another's by now
    let (_other, other_file) = backed_up();
    for other in [fs::read(&other_file).unwrap(), b"a diary".to_vec()] {
        note_move(&home, &file);
        fs::write(&file, other).unwrap();
        is_refused(&file);
    }
    // a backup was made under the name since
    note_move(&home, &file);
    fs::remove_file(&file).unwrap();
    home.ok(&["backup", name(&file)]);
    is_refused(&file);
    // the note is of another file
    note_move(&home, &other_file);
    is_refused(&file);
}
