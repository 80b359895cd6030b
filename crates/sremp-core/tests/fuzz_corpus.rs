//! Replays the corpora of the fuzz targets through the same functions.

#[path = "../../../fuzz/src/lib.rs"]
#[allow(unreachable_pub, reason = "a library there, a module here")]
mod fuzz;

use std::{fs, path::PathBuf};

fn fuzz_dir() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../fuzz")
}

#[test]
fn every_corpus_file_passes_its_target() {
    for (name, body) in fuzz::TARGETS {
        let dir = fuzz_dir().join("corpus").join(name);
        let mut count = 0;
        for entry in fs::read_dir(&dir).unwrap_or_else(|e| panic!("{}: {e}", dir.display())) {
            let path = entry.unwrap().path();
            println!("{}", path.display());
            body(&fs::read(path).unwrap());
            count += 1;
        }
        assert!(count > 0, "{} is empty", dir.display());
    }
}

#[test]
fn every_target_has_its_binary_and_no_corpus_is_left_over() {
    let manifest = fs::read_to_string(fuzz_dir().join("Cargo.toml")).unwrap();
    for (name, _) in fuzz::TARGETS {
        let source = fuzz_dir().join(format!("fuzz_targets/{name}.rs"));
        let source = fs::read_to_string(&source).unwrap_or_else(|e| panic!("{name}: {e}"));
        assert!(source.contains(&format!("run(\"{name}\"")), "{name}");
        assert!(manifest.contains(&format!("name = \"{name}\"")), "{name}");
    }
    for dir in ["corpus", "fuzz_targets"] {
        for entry in fs::read_dir(fuzz_dir().join(dir)).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_stem().unwrap().to_str().unwrap();
            assert!(fuzz::run(name, b""), "{} has no target", path.display());
        }
    }
}

#[test]
fn every_target_takes_noise() {
    use rand_chacha::{
        ChaCha8Rng,
        rand_core::{Rng as _, SeedableRng as _},
    };
    for (name, body) in fuzz::TARGETS {
        for seed in 0..40 {
            println!("{name} seed {seed}");
            let mut rng = ChaCha8Rng::seed_from_u64(seed);
            let mut noise = vec![0; (rng.next_u32() % 700) as usize];
            rng.fill_bytes(&mut noise);
            body(&noise);
        }
    }
}
