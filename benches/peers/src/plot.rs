//! A picture of the ratios.
pub fn svg(_: &[crate::harness::Results]) -> Result<String, Box<dyn std::error::Error>> { Ok(String::new()) }
