//! placeholder
use std::path::Path;
use crate::Failure;
pub(crate) fn write(_results: &Path, _file: &Path) -> Result<(), Failure> { Ok(()) }
