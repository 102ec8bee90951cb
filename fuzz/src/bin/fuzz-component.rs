//! Keeps a found input of `engine_admission` as the component that it makes, which the ordinary tests
//! can show to the engine without knowing how it was made: `fuzz-component FILE`, in place.

use std::{env, fs, io};

fn main() -> io::Result<()> {
    let path = env::args_os()
        .nth(1)
        .ok_or_else(|| io::Error::other("usage: fuzz-component FILE"))?;
    let component = farebox_fuzz::engine::component(&fs::read(&path)?)
        .ok_or_else(|| io::Error::other("the input makes no component"))?;
    fs::write(path, [&[0], &component[..]].concat())
}
