//! Keyset pages of the native API: so many rows after a known one.

/// Rows a page holds when the caller does not say.
pub const LIMIT_DEFAULT: u32 = 50;
/// Most rows a page holds.
pub const LIMIT_MAX: u32 = 500;

/// A request for one page, in ascending or descending order of id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PageRequest {
    /// 1…=[`LIMIT_MAX`].
    pub limit: u32,
    /// The id of the last row of the page before.
    pub after: Option<i64>,
}

impl Default for PageRequest {
    fn default() -> Self {
        Self { limit: LIMIT_DEFAULT, after: None }
    }
}

/// One page. `next` is the id to ask after if there is more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page<T> {
    pub rows: Vec<T>,
    pub next: Option<i64>,
}

impl<T> Page<T> {
    /// Makes a page of rows that were read with one more than the limit.
    #[must_use]
    pub fn of_one_more(mut rows: Vec<T>, limit: u32, id: impl Fn(&T) -> i64) -> Self {
        let limit = limit as usize;
        let more = rows.len() > limit;
        rows.truncate(limit);
        let next = if more { rows.last().map(id) } else { None };
        Self { rows, next }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_row_more_than_the_limit_tells_that_there_is_a_next_page() {
        assert_eq!(Page::of_one_more(vec![1, 2, 3], 2, |n| *n), Page { rows: vec![1, 2], next: Some(2) });
        assert_eq!(Page::of_one_more(vec![1, 2], 2, |n| *n), Page { rows: vec![1, 2], next: None });
        assert_eq!(Page::of_one_more(Vec::<i64>::new(), 2, |n| *n), Page { rows: vec![], next: None });
    }
}
