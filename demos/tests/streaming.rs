//! Reading episode by episode holds one episode in memory, however many there are.
//!
//! Seen to fail: `DatasetReader::episodes` that collects before it hands out.

mod common;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use common::{episode, header};
use costate_demos::{DatasetReader, DatasetWriter, info};
use costate_envs::End;
use tempfile::tempdir;

struct Counting;

thread_local! {
    static LIVE: Cell<isize> = const { Cell::new(0) };
    static PEAK: Cell<isize> = const { Cell::new(0) };
}

fn count(bytes: isize) {
    LIVE.with(|live| {
        live.set(live.get() + bytes);
        PEAK.with(|peak| peak.set(peak.get().max(live.get())));
    });
}

// SAFETY: all calls go to the system's allocator; the counters neither allocate nor unwind.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size() as isize);
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        count(-(layout.size() as isize));
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// The most bytes in use beyond those before.
fn peak<R>(work: impl FnOnce() -> R) -> (isize, R) {
    let before = LIVE.with(Cell::get);
    PEAK.with(|p| p.set(before));
    let result = work();
    (PEAK.with(Cell::get) - before, result)
}

#[test]
fn memory_does_not_grow_with_the_episodes() {
    const WIDTH: usize = 200;
    let one = episode(WIDTH, 1, 50, true, End::Truncated);
    let bytes_of_one = (51 * WIDTH * size_of::<f32>()) as isize;
    let read = |episodes: usize| {
        let parent = tempdir().unwrap();
        let folder = parent.path().join("demos");
        let mut writer = DatasetWriter::create(&folder, header(WIDTH, 1, true)).unwrap();
        for _ in 0..episodes {
            writer.append(&one).unwrap();
        }
        writer.finish().unwrap();
        let reader = DatasetReader::open(&folder).unwrap();
        let (streamed, steps) = peak(|| {
            let lengths = reader.episodes().map(|e| e.unwrap().trajectory.len());
            lengths.sum::<usize>()
        });
        assert_eq!(steps, 50 * episodes);
        let (summarised, summary) = peak(|| info(&reader).unwrap());
        assert_eq!(summary.total_steps, steps);
        [streamed, summarised]
    };
    let (few, many) = (read(3), read(60));
    for (few, many) in few.into_iter().zip(many) {
        assert!(few > bytes_of_one, "{few} bytes do not hold an episode");
        assert!(
            many < few + bytes_of_one,
            "{few} bytes for 3, {many} for 60"
        );
    }
}
