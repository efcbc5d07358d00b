//! Bytes to rendition, one file per format, in a sandboxed child process.
