//! A client's socket as the HTTP library sees it: writes that stall fail, and the library's own error replies, which
//! have no body, are held back so that a problem document can be sent in their place.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep};

/// A socket.
#[derive(Debug)]
pub struct Wire {
    stream: TcpStream,
    stall_timeout: Duration,
    /// Runs while a write waits for the client to read.
    stalled: Option<Pin<Box<Sleep>>>,
    /// Status of the library's own reply that was held back.
    held_back: Option<u16>,
}

impl Wire {
    /// A socket whose writes must make progress this often.
    pub fn new(stream: TcpStream, stall_timeout: Duration) -> Wire {
        Wire { stream, stall_timeout, stalled: None, held_back: None }
    }
    /// Status of the library's own error reply, if one was held back.
    pub fn held_back(&self) -> Option<u16> {
        self.held_back
    }
    /// The socket.
    pub fn stream(&mut self) -> &mut TcpStream {
        &mut self.stream
    }

    fn watch<T>(&mut self, cx: &mut Context<'_>, outcome: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if outcome.is_ready() {
            self.stalled = None;
            return outcome;
        }
        let until = Instant::now() + self.stall_timeout;
        let stalled = self.stalled.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(until)));
        match stalled.as_mut().poll(cx) {
            Poll::Ready(()) => Poll::Ready(Err(io::ErrorKind::TimedOut.into())),
            Poll::Pending => Poll::Pending,
        }
    }
}

/// The status of a reply that only the library writes: an error without a body. Ours always have one.
fn automatic(buffer: &[u8]) -> Option<u16> {
    let status = buffer.strip_prefix(b"HTTP/1.1 4").or_else(|| buffer.strip_prefix(b"HTTP/1.0 4"))?.get(..2)?;
    let end = buffer.windows(4).position(|window| window == b"\r\n\r\n")?;
    let empty = b"content-length: 0";
    let bare = buffer[..end].windows(empty.len()).any(|window| window.eq_ignore_ascii_case(empty));
    let status = std::str::from_utf8(status).ok()?.parse::<u16>().ok()?;
    bare.then_some(400 + status)
}

impl AsyncRead for Wire {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for Wire {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        if let Some(status) = automatic(buf) {
            self.held_back = Some(status);
            return Poll::Ready(Ok(buf.len()));
        }
        let outcome = Pin::new(&mut self.stream).poll_write(cx, buf);
        self.watch(cx, outcome)
    }
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }
    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_bare_errors_are_held_back() {
        let bare = b"HTTP/1.1 431 Request Header Fields Too Large\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";
        assert_eq!(automatic(bare), Some(431));
        for ours in [
            "HTTP/1.1 404 Not Found\r\ncontent-length: 11\r\n\r\n{\"a\":false}",
            "HTTP/1.1 204 No Content\r\n\r\n",
            "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n",
            "content-length: 0",
        ] {
            assert_eq!(automatic(ours.as_bytes()), None, "{ours}");
        }
    }
}
