//! The fuzz targets of the domain's parsers. What each of them promises stands in [`targets`].

pub mod targets;
