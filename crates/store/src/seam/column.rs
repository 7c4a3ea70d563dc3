//! Values that come out of a row: one cell ([`Column`]) and a whole row ([`Record`]).
//!
//! A record reads its columns by position, in the order of `COLUMNS`. Nothing is guessed: a cell of another type than the
//! field is an error, and `NULL` fits only an `Option`.

use jiff::Timestamp;
use rusqlite::types::ValueRef;
use tokio_postgres::types::{FromSql, Type, accepts};
use uuid::Uuid;

use super::error::{Error, Result, Source};
use super::value::POSTGRES_EPOCH;

/// A type that one column can hold.
pub trait Column: Sized {
    /// What the PostgreSQL driver reads for it.
    type Wire: for<'a> FromSql<'a>;

    fn from_postgres(wire: Self::Wire) -> Result<Self, Source>;

    fn from_sqlite(cell: ValueRef<'_>) -> Result<Self, Source>;
}

/// One row of an answer, on either engine.
#[derive(Debug)]
pub struct Row<'a>(pub(super) Cells<'a>);

pub(super) enum Cells<'a> {
    Sqlite(&'a rusqlite::Row<'a>),
    Postgres(&'a tokio_postgres::Row),
}

impl std::fmt::Debug for Cells<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Sqlite(_) => "Sqlite",
            Self::Postgres(_) => "Postgres",
        })
    }
}

impl Row<'_> {
    /// The value of the column at this position, counted from 0.
    pub fn get<T: Column>(&self, index: usize) -> Result<T> {
        let read = match &self.0 {
            Cells::Sqlite(row) => row.get_ref(index).map_err(Source::from).and_then(T::from_sqlite),
            Cells::Postgres(row) => row.try_get::<_, T::Wire>(index).map_err(Source::from).and_then(T::from_postgres),
        };
        read.map_err(|source| Error::other(format!("column {}: {source}", self.name(index))))
    }

    /// Reads the columns one after the other.
    #[must_use]
    pub fn reader(&self) -> Reader<'_> {
        Reader { row: self, next: 0 }
    }

    fn name(&self, index: usize) -> String {
        let name = match &self.0 {
            Cells::Sqlite(row) => row.as_ref().column_name(index).ok(),
            Cells::Postgres(row) => row.columns().get(index).map(tokio_postgres::Column::name),
        };
        name.map_or_else(|| index.to_string(), str::to_owned)
    }
}

/// A position in a row.
#[derive(Debug)]
pub struct Reader<'a> {
    row: &'a Row<'a>,
    next: usize,
}

impl Reader<'_> {
    /// The next column.
    pub fn take<T: Column>(&mut self) -> Result<T> {
        let index = self.next;
        self.next += 1;
        self.row.get(index)
    }
}

/// Whether a field of a record can be read from a PostgreSQL column of this type.
pub type Fits = fn(&Type) -> bool;

/// A type that one row can be read into. Written with [`record!`](crate::record).
pub trait Record: Sized + Send + 'static {
    /// The column names, for `{columns}` and for the check of the statement catalogue. Empty where there are none.
    const COLUMNS: &'static [&'static str];

    /// How many columns an answer must have.
    const WIDTH: usize = Self::COLUMNS.len();

    fn read(row: &Row<'_>) -> Result<Self>;

    /// The check of each column's PostgreSQL type, as far as known; used by the catalogue check only.
    #[must_use]
    fn fits() -> Vec<Fits> {
        Vec::new()
    }
}

/// Makes an existing struct a [`Record`]: `record!(Organization { id, uid, name });`, all fields, in column order.
#[macro_export]
macro_rules! record {
    ($name:ty { $($field:ident),+ $(,)? }) => {
        impl $crate::seam::Record for $name {
            const COLUMNS: &'static [&'static str] = &[$($crate::seam::column_name(stringify!($field))),+];

            fn read(row: &$crate::seam::Row<'_>) -> $crate::seam::Result<Self> {
                let mut cells = row.reader();
                Ok(Self { $($field: cells.take()?),+ })
            }

            fn fits() -> Vec<$crate::seam::Fits> {
                vec![$($crate::seam::fits_field(|record: &Self| &record.$field)),+]
            }
        }
    };
}

/// The column of a field: `r#type` is stored as `type`.
#[doc(hidden)]
#[must_use]
pub const fn column_name(field: &'static str) -> &'static str {
    match field.as_bytes() {
        [b'r', b'#', ..] => field.split_at(2).1,
        _ => field,
    }
}

#[doc(hidden)]
#[must_use]
pub fn fits_field<S, T: Column>(_: fn(&S) -> &T) -> Fits {
    fits_wire::<T>
}

fn fits_wire<T: Column>(found: &Type) -> bool {
    <T::Wire as FromSql<'_>>::accepts(found)
}

impl Record for () {
    const COLUMNS: &'static [&'static str] = &[];
    fn read(_: &Row<'_>) -> Result<Self> {
        Ok(())
    }
}

macro_rules! tuple_record {
    ($width:literal: $($name:ident),+) => {
        impl<$($name: Column + Send + 'static),+> Record for ($($name,)+) {
            const COLUMNS: &'static [&'static str] = &[];
            const WIDTH: usize = $width;
            fn read(row: &Row<'_>) -> Result<Self> {
                let mut cells = row.reader();
                Ok(($(cells.take::<$name>()?,)+))
            }
            fn fits() -> Vec<Fits> {
                vec![$(fits_wire::<$name>),+]
            }
        }
    };
}
tuple_record!(1: A);
tuple_record!(2: A, B);
tuple_record!(3: A, B, C);
tuple_record!(4: A, B, C, D);
tuple_record!(5: A, B, C, D, E);
tuple_record!(6: A, B, C, D, E, F);

/// Makes a column type a record of one column.
macro_rules! single_record {
    ($([$($generics:tt)*] $type:ty),+ $(,)?) => { $(
        impl<$($generics)*> $crate::seam::Record for $type {
            const COLUMNS: &'static [&'static str] = &[];
            const WIDTH: usize = 1;
            fn read(row: &$crate::seam::Row<'_>) -> $crate::seam::Result<Self> {
                row.get(0)
            }
            fn fits() -> Vec<$crate::seam::Fits> {
                <($type,) as $crate::seam::Record>::fits()
            }
        }
    )+ };
}
pub(super) use single_record;
single_record!([] i64, [] bool, [] f64, [] String, [] Vec<u8>, [] Uuid, [] Timestamp);
single_record!([T: Column + Send + 'static] Option<T>);

impl<T: Column> Column for Option<T> {
    type Wire = Option<T::Wire>;
    fn from_postgres(wire: Self::Wire) -> Result<Self, Source> {
        wire.map(T::from_postgres).transpose()
    }
    fn from_sqlite(cell: ValueRef<'_>) -> Result<Self, Source> {
        match cell {
            ValueRef::Null => Ok(None),
            cell => T::from_sqlite(cell).map(Some),
        }
    }
}

fn mismatch(wanted: &str, cell: ValueRef<'_>) -> Source {
    format!("expected {wanted}, found {}", cell.data_type()).into()
}

impl Column for bool {
    type Wire = Self;
    fn from_postgres(wire: Self) -> Result<Self, Source> {
        Ok(wire)
    }
    fn from_sqlite(cell: ValueRef<'_>) -> Result<Self, Source> {
        match cell {
            ValueRef::Integer(0) => Ok(false),
            ValueRef::Integer(1) => Ok(true),
            cell => Err(mismatch("0 or 1", cell)),
        }
    }
}

/// Any integer type of PostgreSQL: columns are bigint, but `length(x)` and its like are not.
#[derive(Debug)]
pub struct Integer(i64);

impl<'a> FromSql<'a> for Integer {
    fn from_sql(found: &Type, raw: &'a [u8]) -> Result<Self, Source> {
        Ok(Self(match *found {
            Type::INT2 => i16::from_sql(found, raw)?.into(),
            Type::INT4 => i32::from_sql(found, raw)?.into(),
            _ => i64::from_sql(found, raw)?,
        }))
    }
    accepts!(INT2, INT4, INT8);
}

macro_rules! integer_column {
    ($($type:ty),+) => { $(
        impl Column for $type {
            type Wire = Integer;
            fn from_postgres(wire: Integer) -> Result<Self, Source> {
                Ok(Self::try_from(wire.0)?)
            }
            fn from_sqlite(cell: ValueRef<'_>) -> Result<Self, Source> {
                match cell {
                    ValueRef::Integer(value) => Ok(Self::try_from(value)?),
                    cell => Err(mismatch("an integer", cell)),
                }
            }
        }
    )+ };
}
integer_column!(i64, i32, u32, u16);

impl Column for f64 {
    type Wire = Self;
    fn from_postgres(wire: Self) -> Result<Self, Source> {
        Ok(wire)
    }
    fn from_sqlite(cell: ValueRef<'_>) -> Result<Self, Source> {
        match cell {
            ValueRef::Real(value) => Ok(value),
            cell => Err(mismatch("a number", cell)),
        }
    }
}

impl Column for String {
    type Wire = Self;
    fn from_postgres(wire: Self) -> Result<Self, Source> {
        Ok(wire)
    }
    fn from_sqlite(cell: ValueRef<'_>) -> Result<Self, Source> {
        match cell {
            ValueRef::Text(text) => Ok(std::str::from_utf8(text)?.to_owned()),
            cell => Err(mismatch("text", cell)),
        }
    }
}

impl Column for Vec<u8> {
    type Wire = Self;
    fn from_postgres(wire: Self) -> Result<Self, Source> {
        Ok(wire)
    }
    fn from_sqlite(cell: ValueRef<'_>) -> Result<Self, Source> {
        match cell {
            ValueRef::Blob(bytes) => Ok(bytes.to_owned()),
            cell => Err(mismatch("bytes", cell)),
        }
    }
}

impl Column for Uuid {
    type Wire = Self;
    fn from_postgres(wire: Self) -> Result<Self, Source> {
        Ok(wire)
    }
    fn from_sqlite(cell: ValueRef<'_>) -> Result<Self, Source> {
        match cell {
            ValueRef::Blob(bytes) => Ok(Self::from_slice(bytes)?),
            cell => Err(mismatch("16 bytes", cell)),
        }
    }
}

/// A timestamptz as microseconds of PostgreSQL's epoch.
#[derive(Debug)]
pub struct Micros(i64);

impl<'a> FromSql<'a> for Micros {
    fn from_sql(_: &Type, raw: &'a [u8]) -> Result<Self, Source> {
        Ok(Self(i64::from_be_bytes(raw.try_into()?)))
    }
    accepts!(TIMESTAMPTZ);
}

impl Column for Timestamp {
    type Wire = Micros;
    fn from_postgres(wire: Micros) -> Result<Self, Source> {
        Ok(Self::from_microsecond(wire.0.saturating_add(POSTGRES_EPOCH))?)
    }
    fn from_sqlite(cell: ValueRef<'_>) -> Result<Self, Source> {
        match cell {
            ValueRef::Integer(micros) => Ok(Self::from_microsecond(micros)?),
            cell => Err(mismatch("microseconds", cell)),
        }
    }
}
