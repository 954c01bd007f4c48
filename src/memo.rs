//! What was computed earlier in this process, for those who ask for the same again.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard};

/// A value, once there is one; locked while it is made.
type Place<V> = Arc<Mutex<Option<V>>>;

/// The values last asked for, each by everything that it depends on.
pub struct Memo<K, V> {
    /// The one last asked for at the end.
    kept: Mutex<VecDeque<(K, Place<V>)>>,
    most: usize,
}

impl<K: PartialEq, V: Clone> Memo<K, V> {
    /// One that keeps `most` values.
    pub const fn new(most: usize) -> Self {
        Self {
            kept: Mutex::new(VecDeque::new()),
            most,
        }
    }

    /// The value made earlier, or by `make` now; what is `None` or fails is not kept. Who asks for a value that is being
    /// made waits for it.
    pub fn remembered<E>(
        &self,
        key: K,
        make: impl FnOnce() -> Result<Option<V>, E>,
    ) -> Result<Option<V>, E> {
        let place = self.place(key);
        let mut value = locked(&place);
        if value.is_none() {
            *value = make()?;
        }
        Ok(value.clone())
    }

    fn place(&self, key: K) -> Place<V> {
        let mut kept = locked(&self.kept);
        let found = kept.iter().position(|(k, _)| *k == key);
        let entry = match found.and_then(|i| kept.remove(i)) {
            Some(entry) => entry,
            None => (key, Place::default()),
        };
        let place = entry.1.clone();
        kept.push_back(entry);
        if kept.len() > self.most {
            kept.pop_front();
        }
        place
    }
}

/// A panic while a value was made leaves nothing half-made behind.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex
        .lock()
        .unwrap_or_else(|poisoned| poisoned.into_inner())
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[test]
    fn a_value_is_made_once_while_it_is_kept() {
        let memo = Memo::new(2);
        let made = AtomicUsize::new(0);
        let ask = |key: u32| {
            let found = memo.remembered(key, || {
                made.fetch_add(1, Ordering::SeqCst);
                Ok::<_, Infallible>(Some(10 * key))
            });
            assert_eq!(found, Ok(Some(10 * key)));
            made.load(Ordering::SeqCst)
        };
        assert_eq!([ask(1), ask(1), ask(2), ask(1)], [1, 1, 2, 2]);
        // The one that was not asked for the longest makes room.
        assert_eq!([ask(3), ask(1), ask(2)], [3, 3, 4]);
    }

    #[test]
    fn what_is_interrupted_or_fails_is_not_kept() {
        let memo = Memo::new(2);
        assert_eq!(memo.remembered(1, || Ok::<_, &str>(None)), Ok(None));
        assert_eq!(memo.remembered(1, || Err("broken")), Err("broken"));
        assert_eq!(memo.remembered(1, || Ok::<_, &str>(Some(5))), Ok(Some(5)));
    }

    #[test]
    fn who_asks_for_what_is_being_made_waits_for_it() {
        let memo = Memo::new(2);
        let made = AtomicUsize::new(0);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    let found = memo.remembered(7, || {
                        std::thread::yield_now();
                        made.fetch_add(1, Ordering::SeqCst);
                        Ok::<_, Infallible>(Some(7))
                    });
                    assert_eq!(found, Ok(Some(7)));
                });
            }
        });
        assert_eq!(made.into_inner(), 1);
    }
}
