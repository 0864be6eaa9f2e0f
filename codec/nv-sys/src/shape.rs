//! What the definitions are made of: integers with names, structures without padding, tables of functions.

/// `N` values that mean nothing yet. Zero unless a driver writes them.
#[repr(transparent)]
#[derive(Clone, Copy)]
pub struct Reserved<T, const N: usize>(pub [T; N]);

impl<T: Copy + Default, const N: usize> Default for Reserved<T, N> {
    fn default() -> Self {
        Self([T::default(); N])
    }
}

/// An integer type with some named values: what C calls an enumeration, without the promise that there are no others.
macro_rules! integer {
    ($(#[$meta:meta])* $name:ident($inner:ty) { $($(#[$each:meta])* $value:ident = $number:expr,)* }) => {
        $(#[$meta])*
        #[repr(transparent)]
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
        pub struct $name(pub $inner);
        $($(#[$each])* pub const $value: $name = $name($number);)*
    };
}

/// A C structure that is zero by default and has no byte outside its fields.
macro_rules! structure {
    ($(#[$meta:meta])* $name:ident { $($(#[$each:meta])* $field:ident: $type:ty,)* } $(const { $($bit:ident = $at:expr;)* })?) => {
        $(#[$meta])*
        #[repr(C)]
        #[derive(Clone, Copy, Default)]
        pub struct $name { $($(#[$each])* pub $field: $type,)* }
        const _: () = assert!(size_of::<$name>() == 0 $(+ size_of::<$type>())*, "padding would not be zeroed");
        $(impl $name { $(pub const $bit: u32 = 1 << $at;)* })?
    };
}

/// The functions of a library, each with its type, and the table of them that is filled when the library is opened.
macro_rules! functions {
    (
        $(#[$meta:meta])*
        $table:ident in $file:literal {
            $(fn $name:ident($($argument:ident: $type:ty),*) -> $result:ty;)*
        }
    ) => {
        /// The types of the functions.
        pub mod types {
            use super::*;
            $(pub type $name = unsafe extern "C" fn($($argument: $type),*) -> $result;)*
        }
        $(#[$meta])*
        #[derive(Clone, Copy)]
        pub struct $table {
            $(pub $name: types::$name,)*
        }
        impl $table {
            /// The file that has them.
            pub const FILE: &'static str = $file;

            /// Opens the library and looks all functions up.
            pub fn load(source: &crate::Source) -> Result<Self, crate::LoadError> {
                let library = crate::load::Library::open(source, Self::FILE)?;
                // The types above are those of the headers and manuals of this library.
                Ok(Self {
                    $($name: library.function(stringify!($name))?,)*
                })
            }
        }
    };
}

pub(crate) use {functions, integer, structure};
