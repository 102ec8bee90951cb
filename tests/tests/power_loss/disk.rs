//! A disk that loses what was not synced, as an SQLite VFS around the real one.
//!
//! Every write goes to the real file and into a log. The log knows what a power cut would leave:
//! everything up to a file's last sync, and of what came after it any part, torn at sectors.
//! Cuts are taken at chosen operations, while the program runs on; any operation can also be made
//! to fail.

use rusqlite::ffi;
use std::collections::BTreeMap;
use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::path::Path;
use std::sync::Mutex;

const SECTOR: usize = 512;

/// A change of a file that is not synced yet.
#[derive(Clone)]
enum Change {
    Write(usize, Vec<u8>),
    Truncate(usize),
}

/// What is certain of a file, and what is not.
#[derive(Clone, Default)]
pub struct Image {
    synced: Vec<u8>,
    unsynced: Vec<Change>,
}

impl Change {
    fn apply(&self, bytes: &mut Vec<u8>, survives: &mut dyn FnMut() -> bool) {
        match self {
            Self::Truncate(size) => {
                if survives() {
                    bytes.truncate(*size);
                }
            }
            Self::Write(offset, data) => {
                for (nth, sector) in data.chunks(SECTOR).enumerate() {
                    if !survives() {
                        continue;
                    }
                    let begin = offset + nth * SECTOR;
                    if bytes.len() < begin + sector.len() {
                        bytes.resize(begin + sector.len(), 0);
                    }
                    bytes[begin..begin + sector.len()].copy_from_slice(sector);
                }
            }
        }
    }
}

impl Image {
    fn sync(&mut self) {
        for change in std::mem::take(&mut self.unsynced) {
            change.apply(&mut self.synced, &mut || true);
        }
    }

    /// What the disk holds after the cut. `survives` is asked for each sector.
    fn after_cut(&self, survives: &mut dyn FnMut() -> bool) -> Vec<u8> {
        let mut bytes = self.synced.clone();
        for change in &self.unsynced {
            change.apply(&mut bytes, survives);
        }
        bytes
    }
}

/// All files at a moment.
#[derive(Clone, Default)]
pub struct Files(BTreeMap<String, Image>);

impl Files {
    /// Writes what is left after a cut into `folder`. `luck(nth)` gives each file's rule.
    pub fn write_to(&self, folder: &Path, survives: &mut dyn FnMut() -> bool) {
        for (path, image) in &self.0 {
            let name = Path::new(path).file_name().unwrap();
            std::fs::write(folder.join(name), image.after_cut(survives)).unwrap();
        }
    }
}

/// What happens at the nth operation from now.
pub enum Plan {
    /// The power is cut: `.1` is called with what is on the disk, and the program runs on.
    Cut(Vec<u64>, Box<dyn FnMut(Files) + Send>),
    /// Operations of this range fail with this code.
    Fail(std::ops::Range<u64>, c_int),
}

#[derive(Default)]
struct Disk {
    files: Files,
    operations: u64,
    plan: Option<Plan>,
}

static DISK: Mutex<Option<Disk>> = Mutex::new(None);

fn with<T>(act: impl FnOnce(&mut Disk) -> T) -> T {
    let mut disk = DISK.lock().unwrap();
    act(disk.get_or_insert_default())
}

/// Forgets all files, and follows this plan from here on.
pub fn begin(plan: Plan) {
    with(|disk| {
        disk.operations = 0;
        disk.plan = Some(plan);
    });
}

/// How many operations there were since the plan began.
pub fn operations() -> u64 {
    with(|disk| disk.operations)
}

/// Ends the plan. How many operations there were.
pub fn end() -> u64 {
    with(|disk| {
        disk.plan = None;
        disk.operations
    })
}

/// Counts an operation. `Some`: it fails with this code.
fn operation() -> Option<c_int> {
    with(|disk| {
        disk.operations += 1;
        let now = disk.operations;
        match &mut disk.plan {
            Some(Plan::Fail(range, code)) => range.contains(&now).then_some(*code),
            Some(Plan::Cut(cuts, seen)) => {
                if cuts.contains(&now) {
                    seen(disk.files.clone());
                }
                None
            }
            None => None,
        }
    })
}

#[repr(C)]
struct File {
    base: ffi::sqlite3_file,
    /// A `Box<String>`; null for files that nobody keeps.
    path: *mut String,
    // The real file follows.
}

const HEADER: usize = size_of::<File>().next_multiple_of(16);

unsafe fn real(file: *mut ffi::sqlite3_file) -> *mut ffi::sqlite3_file {
    unsafe { file.cast::<u8>().add(HEADER).cast() }
}

unsafe fn path<'a>(file: *mut ffi::sqlite3_file) -> Option<&'a String> {
    unsafe { (*file.cast::<File>()).path.as_ref() }
}

macro_rules! forward {
    ($($name:ident($($arg:ident: $type:ty),*) = $method:ident;)*) => {$(
        unsafe extern "C" fn $name(file: *mut ffi::sqlite3_file, $($arg: $type),*) -> c_int {
            unsafe {
                let real = real(file);
                ((*(*real).pMethods).$method.unwrap())(real, $($arg),*)
            }
        }
    )*};
}

forward! {
    read(to: *mut c_void, amount: c_int, offset: i64) = xRead;
    file_size(size: *mut i64) = xFileSize;
    lock(level: c_int) = xLock;
    unlock(level: c_int) = xUnlock;
    check_reserved_lock(out: *mut c_int) = xCheckReservedLock;
    file_control(what: c_int, arg: *mut c_void) = xFileControl;
    sector_size() = xSectorSize;
    device_characteristics() = xDeviceCharacteristics;
    shm_map(page: c_int, size: c_int, extend: c_int, to: *mut *mut c_void) = xShmMap;
    shm_lock(offset: c_int, count: c_int, flags: c_int) = xShmLock;
    shm_unmap(delete: c_int) = xShmUnmap;
}

unsafe extern "C" fn shm_barrier(file: *mut ffi::sqlite3_file) {
    unsafe {
        let real = real(file);
        ((*(*real).pMethods).xShmBarrier.unwrap())(real);
    }
}

unsafe extern "C" fn close(file: *mut ffi::sqlite3_file) -> c_int {
    unsafe {
        let real = real(file);
        let code = if (*real).pMethods.is_null() {
            ffi::SQLITE_OK
        } else {
            ((*(*real).pMethods).xClose.unwrap())(real)
        };
        let path = std::mem::replace(&mut (*file.cast::<File>()).path, std::ptr::null_mut());
        if !path.is_null() {
            drop(Box::from_raw(path));
        }
        code
    }
}

unsafe extern "C" fn write(
    file: *mut ffi::sqlite3_file,
    from: *const c_void,
    amount: c_int,
    offset: i64,
) -> c_int {
    unsafe {
        let Some(path) = path(file) else {
            let real = real(file);
            return ((*(*real).pMethods).xWrite.unwrap())(real, from, amount, offset);
        };
        if let Some(code) = operation() {
            return code;
        }
        let bytes = std::slice::from_raw_parts(from.cast::<u8>(), amount as usize).to_vec();
        with(|disk| {
            let image = disk.files.0.entry(path.clone()).or_default();
            image.unsynced.push(Change::Write(offset as usize, bytes));
        });
        let real = real(file);
        ((*(*real).pMethods).xWrite.unwrap())(real, from, amount, offset)
    }
}

unsafe extern "C" fn truncate(file: *mut ffi::sqlite3_file, size: i64) -> c_int {
    unsafe {
        if let Some(path) = path(file) {
            if let Some(code) = operation() {
                return code;
            }
            with(|disk| {
                let image = disk.files.0.entry(path.clone()).or_default();
                image.unsynced.push(Change::Truncate(size as usize));
            });
        }
        let real = real(file);
        ((*(*real).pMethods).xTruncate.unwrap())(real, size)
    }
}

unsafe extern "C" fn sync(file: *mut ffi::sqlite3_file, _flags: c_int) -> c_int {
    // The real sync is left out: this disk decides what survives, and the test is faster for it.
    unsafe {
        if let Some(path) = path(file) {
            if let Some(code) = operation() {
                return code;
            }
            with(|disk| {
                if let Some(image) = disk.files.0.get_mut(path) {
                    image.sync();
                }
            });
        }
    }
    ffi::SQLITE_OK
}

static METHODS: ffi::sqlite3_io_methods = ffi::sqlite3_io_methods {
    iVersion: 2,
    xClose: Some(close),
    xRead: Some(read),
    xWrite: Some(write),
    xTruncate: Some(truncate),
    xSync: Some(sync),
    xFileSize: Some(file_size),
    xLock: Some(lock),
    xUnlock: Some(unlock),
    xCheckReservedLock: Some(check_reserved_lock),
    xFileControl: Some(file_control),
    xSectorSize: Some(sector_size),
    xDeviceCharacteristics: Some(device_characteristics),
    xShmMap: Some(shm_map),
    xShmLock: Some(shm_lock),
    xShmBarrier: Some(shm_barrier),
    xShmUnmap: Some(shm_unmap),
    xFetch: None,
    xUnfetch: None,
};

unsafe fn base_vfs(vfs: *mut ffi::sqlite3_vfs) -> *mut ffi::sqlite3_vfs {
    unsafe { (*vfs).pAppData.cast() }
}

unsafe extern "C" fn open(
    vfs: *mut ffi::sqlite3_vfs,
    name: *const c_char,
    file: *mut ffi::sqlite3_file,
    flags: c_int,
    out: *mut c_int,
) -> c_int {
    unsafe {
        let base = base_vfs(vfs);
        (*file).pMethods = std::ptr::null();
        (*file.cast::<File>()).path = std::ptr::null_mut();
        let code = ((*base).xOpen.unwrap())(base, name, real(file), flags, out);
        if code != ffi::SQLITE_OK {
            return code;
        }
        let kept = flags & (ffi::SQLITE_OPEN_MAIN_DB | ffi::SQLITE_OPEN_WAL) != 0;
        if kept && !name.is_null() {
            let path = CStr::from_ptr(name).to_str().unwrap().to_owned();
            (*file.cast::<File>()).path = Box::into_raw(Box::new(path));
        }
        (*file).pMethods = &raw const METHODS;
        code
    }
}

unsafe extern "C" fn delete(
    vfs: *mut ffi::sqlite3_vfs,
    name: *const c_char,
    sync_directory: c_int,
) -> c_int {
    unsafe {
        let path = CStr::from_ptr(name).to_str().unwrap();
        with(|disk| disk.files.0.remove(path));
        let base = base_vfs(vfs);
        ((*base).xDelete.unwrap())(base, name, sync_directory)
    }
}

macro_rules! forward_vfs {
    ($($name:ident($($arg:ident: $type:ty),*) -> $out:ty = $method:ident;)*) => {$(
        unsafe extern "C" fn $name(vfs: *mut ffi::sqlite3_vfs, $($arg: $type),*) -> $out {
            unsafe {
                let base = base_vfs(vfs);
                ((*base).$method.unwrap())(base, $($arg),*)
            }
        }
    )*};
}

forward_vfs! {
    access(name: *const c_char, flags: c_int, out: *mut c_int) -> c_int = xAccess;
    full_pathname(name: *const c_char, size: c_int, out: *mut c_char) -> c_int = xFullPathname;
    randomness(size: c_int, out: *mut c_char) -> c_int = xRandomness;
    sleep(micros: c_int) -> c_int = xSleep;
    current_time(out: *mut f64) -> c_int = xCurrentTime;
    current_time_64(out: *mut i64) -> c_int = xCurrentTimeInt64;
    last_error(size: c_int, out: *mut c_char) -> c_int = xGetLastError;
}

/// Makes this the disk of every database the process opens from here on.
pub fn install() {
    static ONCE: std::sync::Once = std::sync::Once::new();
    ONCE.call_once(|| unsafe {
        let base = ffi::sqlite3_vfs_find(std::ptr::null());
        let name = CString::new("power-loss").unwrap().into_raw();
        let vfs = Box::leak(Box::new(ffi::sqlite3_vfs {
            iVersion: 2,
            szOsFile: HEADER as c_int + (*base).szOsFile,
            mxPathname: (*base).mxPathname,
            pNext: std::ptr::null_mut(),
            zName: name,
            pAppData: base.cast(),
            xOpen: Some(open),
            xDelete: Some(delete),
            xAccess: Some(access),
            xFullPathname: Some(full_pathname),
            xDlOpen: None,
            xDlError: None,
            xDlSym: None,
            xDlClose: None,
            xRandomness: Some(randomness),
            xSleep: Some(sleep),
            xCurrentTime: Some(current_time),
            xGetLastError: Some(last_error),
            xCurrentTimeInt64: Some(current_time_64),
            xSetSystemCall: None,
            xGetSystemCall: None,
            xNextSystemCall: None,
        }));
        assert_eq!(ffi::sqlite3_vfs_register(vfs, 1), ffi::SQLITE_OK);
    });
}

/// Forgets every file it knew.
pub fn clear() {
    with(|disk| *disk = Disk::default());
}
