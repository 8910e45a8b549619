//! `cargo xtask new-room NAME`: the four places that a room of the core touches.

use crate::run;
use std::fs;

/// Writes the files of a new room and says what remains to be done by hand.
pub fn new_room(name: &str) -> Result<(), String> {
    if name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_lowercase()) {
        return Err(format!("{name:?} is no name of a room; use one word in lower case"));
    }
    let root = run::root();
    let directory = root.join("crates/core/src").join(name);
    if directory.exists() {
        return Err(format!("{} is there already", directory.display()));
    }
    let chapter = root.join("book").join(format!("{name}.md"));
    let scripts = root.join("scripts").join(name);
    let write = |path: &std::path::Path, text: String| {
        let parent = path.parent().expect("a file lies in a directory");
        fs::create_dir_all(parent)
            .and_then(|()| fs::write(path, text))
            .map_err(|error| format!("cannot write {}: {error}", path.display()))
    };
    write(&directory.join("mod.rs"), card(name))?;
    if !chapter.exists() {
        write(&chapter, format!("# The {name} room\n"))?;
    }
    fs::create_dir_all(&scripts).map_err(|error| format!("cannot make {}: {error}", scripts.display()))?;
    println!(
        "made {}, {} and {}\n\nby hand:\n  1 `pub mod {name};` in crates/core/src/lib.rs, a drawer in store.rs, a variant in node/mod.rs\n  2 its card: every promise names its test\n  3 a script, a judge and a mutant; {name:?} in ROOMS of xtask/src/text.rs",
        directory.display(),
        chapter.display(),
        scripts.display()
    );
    Ok(())
}

fn card(name: &str) -> String {
    format!(
        "//! # The {name} room: what it is in one line
//!
//! **The idea.** At most eight sentences.
//!
//! **Promises.**
//! - {letter}1 What always holds. (`name_of_its_test`)
//!
//! **Not here.** What a reader might look for in vain, and where it is.
//!
//! **Said and heard.** The messages; each says when it is sent and what is lost if it is lost.
//!
//! **On disk.** The drawer and the keys in it.
//!
//! **What breaks it.** The mutants.
//!
//! **Read next.** The files, in order.
",
        letter = name[..1].to_uppercase(),
    )
}
