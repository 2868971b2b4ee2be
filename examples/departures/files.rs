//! Files of comma-separated values, compressed or not.

use std::fs::File;
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};

use brooklet::Timestamp;
use csv::StringRecord;
use flate2::read::MultiGzDecoder;

pub type Error = Box<dyn std::error::Error + Send + Sync>;
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What the files have for a missing value.
pub const MISSING: &str = "NA";

/// The flights, and the folder with what is known of aircraft, weather and names.
pub struct Input {
    pub flights: PathBuf,
    folder: PathBuf,
}

impl Input {
    /// The files that come with the example.
    pub fn shipped() -> Result<Self> {
        Self::at(&Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/departures/data"))
    }

    /// The files of a folder, or a file of flights with the others beside it.
    pub fn at(path: &Path) -> Result<Self> {
        let is_file = std::fs::metadata(path)
            .map_err(|error| format!("{}: {error}", path.display()))?
            .is_file();
        let (flights, folder) = if is_file {
            let folder = path.parent().unwrap_or(Path::new("")).to_owned();
            (path.to_owned(), folder)
        } else {
            (find(path, "flights")?, path.to_owned())
        };
        Ok(Self { flights, folder })
    }

    /// The file of a name, beside the flights.
    pub fn file(&self, name: &str) -> Result<PathBuf> {
        find(&self.folder, name)
    }
}

fn find(folder: &Path, name: &str) -> Result<PathBuf> {
    ["csv.gz", "csv"]
        .iter()
        .map(|extension| folder.join(name).with_extension(extension))
        .find(|path| path.is_file())
        .ok_or_else(|| {
            let folder = folder.display();
            format!("{folder}: there is neither {name}.csv nor {name}.csv.gz").into()
        })
}

/// Calls `each` with some columns of every row, in the order of the file. An error says where.
pub fn for_each_row<const N: usize>(
    path: &Path,
    columns: [&str; N],
    each: impl FnMut([&str; N]) -> Result<()>,
) -> Result<()> {
    read(path, columns, each).map_err(|error| format!("{}: {error}", path.display()).into())
}

fn read<const N: usize>(
    path: &Path,
    columns: [&str; N],
    mut each: impl FnMut([&str; N]) -> Result<()>,
) -> Result<()> {
    let file = BufReader::new(File::open(path)?);
    let text: Box<dyn Read> = match path.extension() {
        Some(extension) if extension == "gz" => Box::new(MultiGzDecoder::new(file)),
        _ => Box::new(file),
    };
    let mut reader = csv::Reader::from_reader(text);
    let header = reader.headers()?;
    let mut indices = [0; N];
    for (index, column) in indices.iter_mut().zip(columns) {
        *index = header
            .iter()
            .position(|name| name == column)
            .ok_or_else(|| format!("there is no column {column}"))?;
    }
    let mut row = StringRecord::new();
    while reader.read_record(&mut row)? {
        each(indices.map(|index| &row[index])).map_err(|error| {
            let line = row.position().map_or(0, csv::Position::line);
            format!("line {line}: {error}")
        })?;
    }
    Ok(())
}

/// A number, unless it is missing.
pub fn number<T: std::str::FromStr>(text: &str) -> Result<Option<T>> {
    if text == MISSING {
        return Ok(None);
    }
    match text.parse() {
        Ok(number) => Ok(Some(number)),
        Err(_) => Err(format!("{text:?} is no number").into()),
    }
}

/// The hour of a time like `2013-01-01T10:00:00Z`, counted from 1970.
pub fn hour_of(time: &str) -> Result<u64> {
    match time.parse::<Timestamp>() {
        Ok(timestamp) => Ok(timestamp.as_secs() / 3600),
        Err(error) => Err(format!("{time:?}: {error}").into()),
    }
}
