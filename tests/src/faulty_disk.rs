//! A file system for SQLite that fails on demand, for servers in this process: `?vfs=` in their URL selects it.
//!
//! It is SQLite's own file system with three replaced functions: open, write and sync.
#![expect(unsafe_code, reason = "a file system of SQLite is a table of C functions")]

use std::collections::HashMap;
use std::ffi::{CString, c_char, c_int, c_void};
use std::mem::size_of;
use std::sync::atomic::{AtomicU8, AtomicU32, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use libsqlite3_sys::{
    SQLITE_FULL, SQLITE_IOERR_FSYNC, SQLITE_IOERR_WRITE, SQLITE_OK, SQLITE_OPEN_CREATE, SQLITE_OPEN_MAIN_DB,
    SQLITE_OPEN_READONLY, SQLITE_OPEN_READWRITE, SQLITE_OPEN_WAL, sqlite3_file, sqlite3_initialize, sqlite3_io_methods,
    sqlite3_vfs, sqlite3_vfs_find, sqlite3_vfs_register,
};

/// The kind of failure.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum Fault {
    Nothing,
    /// The disk is full.
    Full,
    /// Writes to the WAL fail.
    WritingWal,
    /// Syncing the WAL fails: the last step of a commit.
    FlushingWal,
    /// The file system became read-only, as ext4 does after an error: open files cannot be written, and new ones open
    /// read-only.
    ReadOnly,
}

const FAULTS: [Fault; 5] = [Fault::Nothing, Fault::Full, Fault::WritingWal, Fault::FlushingWal, Fault::ReadOnly];

/// A disk. It stays registered with SQLite until the process ends.
#[derive(Clone, Copy)]
pub struct FaultyDisk(&'static State);

struct State {
    name: CString,
    fault: AtomicU8,
    failures: AtomicUsize,
    /// SQLite's default file system.
    base: &'static sqlite3_vfs,
}

// SAFETY: SQLite's file system is not changed after it is registered, and can be called from any thread.
unsafe impl Sync for State {}

/// Data of an open file, stored after the data of SQLite's own file system.
#[repr(C)]
struct Tail {
    state: &'static State,
    methods: &'static sqlite3_io_methods,
    is_wal: bool,
}

impl FaultyDisk {
    /// Registers a new disk without a fault.
    #[expect(clippy::new_without_default, reason = "each call creates another disk")]
    pub fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("faulty-{}", NEXT.fetch_add(1, Ordering::Relaxed));
        // SAFETY: SQLite finds its default file system, which exists as long as the process. It keeps the given
        // pointers, and both are leaked.
        unsafe {
            assert_eq!(sqlite3_initialize(), SQLITE_OK);
            let base = &*sqlite3_vfs_find(std::ptr::null());
            let state: &'static State = Box::leak(Box::new(State {
                name: CString::new(name).expect("no zero in it"),
                fault: AtomicU8::new(0),
                failures: AtomicUsize::new(0),
                base,
            }));
            let vfs = Box::leak(Box::new(sqlite3_vfs {
                szOsFile: (tail_offset(base) + size_of::<Tail>()) as c_int,
                pNext: std::ptr::null_mut(),
                zName: state.name.as_ptr(),
                pAppData: std::ptr::from_ref(state).cast_mut().cast::<c_void>(),
                xOpen: Some(open),
                ..*base
            }));
            assert_eq!(sqlite3_vfs_register(vfs, 0), SQLITE_OK);
            Self(state)
        }
    }

    /// A database URL with this disk.
    pub fn under(&self, url: &str) -> String {
        format!("{url}?vfs={}", self.0.name.to_str().expect("it is ASCII"))
    }

    /// Sets the fault of the following operations.
    pub fn set(&self, fault: Fault) {
        self.0.fault.store(fault as u8, Ordering::SeqCst);
    }

    /// The number of failures.
    pub fn failures(&self) -> usize {
        self.0.failures.load(Ordering::SeqCst)
    }
}

impl State {
    fn fault(&self) -> Fault {
        FAULTS[usize::from(self.fault.load(Ordering::SeqCst))]
    }

    fn fail(&self, code: c_int) -> c_int {
        self.failures.fetch_add(1, Ordering::SeqCst);
        code
    }
}

fn tail_offset(base: &sqlite3_vfs) -> usize {
    (base.szOsFile as usize).next_multiple_of(align_of::<Tail>())
}

unsafe extern "C" fn open(
    vfs: *mut sqlite3_vfs,
    name: *const c_char,
    file: *mut sqlite3_file,
    mut flags: c_int,
    out_flags: *mut c_int,
) -> c_int {
    // SAFETY: SQLite calls this with the registered file system, whose data is a State, and with room for a file
    // of the requested size: SQLite's own, then a Tail. The methods of an open file are never freed.
    unsafe {
        let state: &'static State = &*(*vfs).pAppData.cast::<State>();
        if state.fault() == Fault::ReadOnly && flags & SQLITE_OPEN_MAIN_DB != 0 {
            flags = flags & !(SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE) | SQLITE_OPEN_READONLY;
        }
        let base = std::ptr::from_ref(state.base).cast_mut();
        let opened = state.base.xOpen.expect("it opens files")(base, name, file, flags, out_flags);
        if opened == SQLITE_OK {
            let methods = &*(*file).pMethods;
            let tail = Tail { state, methods, is_wal: flags & SQLITE_OPEN_WAL != 0 };
            file.byte_add(tail_offset(state.base)).cast::<Tail>().write(tail);
            (*file).pMethods = patched(methods);
        }
        opened
    }
}

/// The methods of a file, two of them replaced.
fn patched(methods: &'static sqlite3_io_methods) -> &'static sqlite3_io_methods {
    static KNOWN: Mutex<Option<HashMap<usize, &'static sqlite3_io_methods>>> = Mutex::new(None);
    let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    let key = std::ptr::from_ref(methods) as usize;
    known.get_or_insert_default().entry(key).or_insert_with(|| {
        Box::leak(Box::new(sqlite3_io_methods { xWrite: Some(write), xSync: Some(sync), ..*methods }))
    })
}

/// # Safety
///
/// The file was opened by [`open`], on one of these disks.
unsafe fn tail(file: *mut sqlite3_file) -> &'static Tail {
    // SAFETY: all disks use the same underlying file system, so their tails are at the same offset.
    unsafe { &*file.byte_add(tail_offset(&*sqlite3_vfs_find(std::ptr::null()))).cast::<Tail>() }
}

unsafe extern "C" fn write(file: *mut sqlite3_file, data: *const c_void, bytes: c_int, offset: i64) -> c_int {
    // SAFETY: SQLite calls this for a file that `open` opened, as it would call the original method.
    unsafe {
        let Tail { state, methods, is_wal } = tail(file);
        match state.fault() {
            Fault::Full => state.fail(SQLITE_FULL),
            Fault::ReadOnly => state.fail(SQLITE_IOERR_WRITE),
            Fault::WritingWal if *is_wal => state.fail(SQLITE_IOERR_WRITE),
            _ => methods.xWrite.expect("files are written")(file, data, bytes, offset),
        }
    }
}

unsafe extern "C" fn sync(file: *mut sqlite3_file, flags: c_int) -> c_int {
    // SAFETY: as for `write`.
    unsafe {
        let Tail { state, methods, is_wal } = tail(file);
        match state.fault() {
            Fault::FlushingWal if *is_wal => state.fail(SQLITE_IOERR_FSYNC),
            _ => methods.xSync.expect("files are flushed")(file, flags),
        }
    }
}
