//! A table whose places are used again, so that sockets can be named by small numbers.

/// The table.
#[derive(Debug)]
pub struct Slab<T> {
    places: Vec<Option<T>>,
    free: Vec<usize>,
}

impl<T> Default for Slab<T> {
    fn default() -> Slab<T> {
        Slab { places: Vec::new(), free: Vec::new() }
    }
}

impl<T> Slab<T> {
    /// The place that the next value gets.
    pub fn next(&self) -> usize {
        self.free.last().copied().unwrap_or(self.places.len())
    }
    /// Keeps a value; gives its place.
    pub fn insert(&mut self, value: T) -> usize {
        match self.free.pop() {
            Some(at) => {
                self.places[at] = Some(value);
                at
            }
            None => {
                self.places.push(Some(value));
                self.places.len() - 1
            }
        }
    }
    /// The value at a place.
    pub fn get(&self, at: usize) -> Option<&T> {
        self.places.get(at)?.as_ref()
    }
    /// The value at a place.
    pub fn get_mut(&mut self, at: usize) -> Option<&mut T> {
        self.places.get_mut(at)?.as_mut()
    }
    /// Takes the value away from its place.
    pub fn remove(&mut self, at: usize) -> Option<T> {
        let value = self.places.get_mut(at)?.take()?;
        self.free.push(at);
        Some(value)
    }
    /// How many values there are.
    pub fn count(&self) -> usize {
        self.places.len() - self.free.len()
    }
    /// The values with their places.
    pub fn iter(&self) -> impl Iterator<Item = (usize, &T)> {
        self.places.iter().enumerate().filter_map(|(at, place)| Some((at, place.as_ref()?)))
    }
    /// The values with their places.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = (usize, &mut T)> {
        self.places.iter_mut().enumerate().filter_map(|(at, place)| Some((at, place.as_mut()?)))
    }
}
