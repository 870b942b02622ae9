//! Damage: a flipped byte anywhere is reported, or harmless, and never a wrong answer.

use std::path::{Path, PathBuf};

use store::{Order, Store};

use super::{TEXTS, copy_files, open_store};

const ROWS: u64 = 400;

fn text(key: u64) -> String {
    format!(
        "the text of row {key}, long enough to fill a few blocks when there are many of its kind "
    )
    .repeat(3)
}

fn intact_database() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let store = open_store(folder.path()).unwrap();
    for key in 0..ROWS {
        store
            .write_blocking(|tx| tx.put(TEXTS, &key, &text(key).repeat(40)))
            .unwrap();
    }
    drop(store);
    // A little log on top of the files.
    let store = open_store(folder.path()).unwrap();
    store
        .write_blocking(|tx| tx.put(TEXTS, &ROWS, &text(ROWS).repeat(40)))
        .unwrap();
    drop(store);
    folder
}

#[test]
fn a_flipped_byte_is_reported_or_harmless() {
    let intact = intact_database();
    let files = data_files(intact.path());
    let mut reported = 0;
    for (turn, file) in files.iter().cycle().take(60).enumerate() {
        let copy = tempfile::tempdir().unwrap();
        copy_files(intact.path(), copy.path());
        flip_a_byte(&copy.path().join(file), turn as u64);
        match open_store(copy.path())
            .map_err(|error| error.to_string())
            .and_then(|store| read_all(&store))
        {
            Ok(()) => {}
            Err(why) => {
                assert!(
                    !why.contains("wrong"),
                    "{} in turn {turn}: {why}",
                    file.display()
                );
                reported += 1;
            }
        }
    }
    assert!(
        reported > 10,
        "only {reported} of 60 flipped bytes were noticed"
    );
}

fn data_files(folder: &Path) -> Vec<PathBuf> {
    let names = std::fs::read_dir(folder)
        .unwrap()
        .flatten()
        .map(|file| PathBuf::from(file.file_name()));
    let mut names: Vec<PathBuf> = names
        .filter(|name| name.extension().is_some_and(|end| end == "sst"))
        .collect();
    names.sort();
    assert!(!names.is_empty());
    names
}

fn flip_a_byte(file: &Path, turn: u64) {
    let mut bytes = std::fs::read(file).unwrap();
    let at = (turn.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 11) as usize % bytes.len();
    bytes[at] ^= 0x40;
    std::fs::write(file, bytes).unwrap();
}

fn read_all(store: &Store) -> Result<(), String> {
    let snapshot = store.snapshot();
    let mut rows = 0;
    for row in snapshot.scan(TEXTS, .., Order::Forward) {
        let (key, found) = row.map_err(|error| error.to_string())?;
        if found != text(key).repeat(40) {
            return Err(format!("wrong text in row {key}"));
        }
        rows += 1;
    }
    if rows == ROWS + 1 {
        Ok(())
    } else {
        Err(format!("wrong number of rows: {rows}"))
    }
}
