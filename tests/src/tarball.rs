//! Tar archives and OCI layouts byte by byte, also such as no writer makes.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

/// An archive being made.
#[derive(Clone, Default)]
pub struct Tarball {
    bytes: Vec<u8>,
}

/// A header, with its checksum.
pub fn header(name: &[u8], kind: u8, link: &[u8], size: u64) -> [u8; 512] {
    let mut block = [0; 512];
    let mut put = |at: usize, bytes: &[u8]| block[at..at + bytes.len()].copy_from_slice(bytes);
    put(0, name.get(..100).unwrap_or(name));
    put(100, if kind == b'5' { b"0000755\0" } else { b"0000644\0" });
    put(108, b"0000000\0");
    put(116, b"0000000\0");
    put(124, format!("{size:011o}\0").as_bytes());
    put(136, b"14000000000\0");
    put(156, &[kind]);
    put(157, link.get(..100).unwrap_or(link));
    put(257, b"ustar\x0000");
    sealed(block)
}

/// A header with its checksum made right.
pub fn sealed(mut block: [u8; 512]) -> [u8; 512] {
    block[148..156].fill(b' ');
    let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
    block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    block
}

impl Tarball {
    /// Bytes as they are, filled up to whole blocks.
    #[must_use]
    pub fn raw(mut self, bytes: &[u8]) -> Tarball {
        self.bytes.extend(bytes);
        self.bytes.resize(self.bytes.len().next_multiple_of(512), 0);
        self
    }

    /// An entry.
    #[must_use]
    pub fn entry(self, name: &str, kind: u8, link: &str, body: &[u8]) -> Tarball {
        self.raw(&header(name.as_bytes(), kind, link.as_bytes(), body.len() as u64)).raw(body)
    }

    /// A regular file.
    #[must_use]
    pub fn file(self, name: &str, body: &str) -> Tarball {
        self.entry(name, b'0', "", body.as_bytes())
    }

    /// A directory.
    #[must_use]
    pub fn dir(self, name: &str) -> Tarball {
        self.entry(name, b'5', "", b"")
    }

    /// A symbolic link.
    #[must_use]
    pub fn link(self, name: &str, target: &str) -> Tarball {
        self.entry(name, b'2', target, b"")
    }

    /// An extended header (`x`) or a global one (`g`).
    #[must_use]
    pub fn pax(self, kind: u8, records: &[(&str, &str)]) -> Tarball {
        let mut body = String::new();
        for (key, value) in records {
            let rest = key.len() + value.len() + 3;
            let mut length = rest + 1;
            while rest + length.to_string().len() != length {
                length += 1;
            }
            body += &format!("{length} {key}={value}\n");
        }
        self.entry("pax", kind, "", body.as_bytes())
    }

    /// The archive with its end.
    #[must_use]
    pub fn ended(mut self) -> Vec<u8> {
        self.bytes.extend([0; 1024]);
        self.bytes
    }

    /// The archive as far as it is.
    #[must_use]
    pub fn cut(self) -> Vec<u8> {
        self.bytes
    }
}

/// The sha256 of bytes, as digits.
pub fn sha256(bytes: &[u8]) -> String {
    use std::io::Write;
    let mut sum = Command::new("sha256sum")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("sha256sum runs");
    sum.stdin.take().expect("it is piped").write_all(bytes).expect("sha256sum reads");
    let output = sum.wait_with_output().expect("sha256sum ends");
    String::from_utf8_lossy(&output.stdout).split(' ').next().unwrap_or_default().to_owned()
}

/// Puts a blob into a layout, and gives its descriptor.
pub fn blob(dir: &Path, media_type: &str, bytes: &[u8]) -> String {
    let digits = sha256(bytes);
    let blobs = dir.join("blobs/sha256");
    fs::create_dir_all(&blobs).expect("the layout's directory is ours");
    fs::write(blobs.join(&digits), bytes).expect("the layout's directory is ours");
    format!(r#"{{"mediaType":"{media_type}","digest":"sha256:{digits}","size":{}}}"#, bytes.len())
}

/// An OCI layout with one image of these layers.
pub fn layout(dir: &Path, layers: &[Vec<u8>]) {
    layout_of(dir, layers, "application/vnd.oci.image.layer.v1.tar", layers);
}

/// The same, with the blobs of the layers apart from their archives.
pub fn layout_of(dir: &Path, archives: &[Vec<u8>], media_type: &str, blobs: &[Vec<u8>]) {
    let ids: Vec<String> = archives.iter().map(|layer| format!("\"sha256:{}\"", sha256(layer))).collect();
    let config = format!(
        r#"{{"os":"linux","architecture":"amd64","config":{{"Env":["A=b"]}},"rootfs":{{"type":"layers","diff_ids":[{}]}}}}"#,
        ids.join(",")
    );
    let config = blob(dir, "application/vnd.oci.image.config.v1+json", config.as_bytes());
    let layers: Vec<String> = blobs.iter().map(|layer| blob(dir, media_type, layer)).collect();
    let manifest = format!(r#"{{"schemaVersion":2,"config":{config},"layers":[{}]}}"#, layers.join(","));
    let manifest = blob(dir, "application/vnd.oci.image.manifest.v1+json", manifest.as_bytes());
    fs::write(dir.join("index.json"), format!(r#"{{"schemaVersion":2,"manifests":[{manifest}]}}"#))
        .expect("ours");
    fs::write(dir.join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#).expect("ours");
}
