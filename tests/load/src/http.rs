//! The minimal HTTP/1.1 for a measurement: one request and one answer at a time, on a persistent connection. Requests are
//! prepared bytes. Only the status, the length and the requested positions of an answer are read.

use std::io;
use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// The maximum length of an answer, in bytes: a page with a long list.
const ANSWER_BYTES: usize = 1024 * 1024;

pub struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
}

/// One answer, in the connection's buffer.
pub struct Answer<'a> {
    pub status: u16,
    pub head: &'a [u8],
    pub body: &'a [u8],
}

impl Connection {
    pub async fn open(address: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, buffer: vec![0; 4 * 1024] })
    }

    /// Sends one request and reads its answer.
    pub async fn call(&mut self, request: &[u8]) -> io::Result<Answer<'_>> {
        self.stream.write_all(request).await?;
        let mut filled = 0;
        let (mut head, mut total) = (0, usize::MAX);
        while filled < total {
            if filled == self.buffer.len() {
                self.grow()?;
            }
            let read = self.stream.read(&mut self.buffer[filled..]).await?;
            if read == 0 {
                return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the server closed the connection"));
            }
            filled += read;
            if head == 0
                && let Some(end) = end_of_head(&self.buffer[..filled])
            {
                head = end;
                total = end + content_length(&self.buffer[..end]).ok_or_else(no_length)?;
            }
        }
        let status = status(&self.buffer[..head]).ok_or_else(|| invalid("the answer has no status"))?;
        Ok(Answer { status, head: &self.buffer[..head], body: &self.buffer[head..total] })
    }

    fn grow(&mut self) -> io::Result<()> {
        if self.buffer.len() >= ANSWER_BYTES {
            return Err(invalid("the answer is too long"));
        }
        self.buffer.resize(self.buffer.len() * 2, 0);
        Ok(())
    }
}

impl Answer<'_> {
    /// The answer as text, for messages.
    pub fn text(&self) -> String {
        format!("{} {}", self.status, String::from_utf8_lossy(self.body))
    }
}

/// The start of the body.
pub fn end_of_head(bytes: &[u8]) -> Option<usize> {
    bytes.windows(4).position(|it| it == b"\r\n\r\n").map(|at| at + 4)
}

/// The length of the body according to the headers.
pub fn content_length(head: &[u8]) -> Option<usize> {
    const NAME: &[u8] = b"\ncontent-length:";
    let at = head.windows(NAME.len()).position(|it| it.eq_ignore_ascii_case(NAME))? + NAME.len();
    let digits = head[at..].iter().skip_while(|it| **it == b' ').take_while(|it| it.is_ascii_digit());
    let (value, count) =
        digits.fold((0, 0), |(value, count), digit| (value * 10 + usize::from(digit - b'0'), count + 1));
    (count > 0 && count < 10).then_some(value)
}

fn status(head: &[u8]) -> Option<u16> {
    let digits = head.strip_prefix(b"HTTP/1.1 ")?.get(..3)?;
    str::from_utf8(digits).ok()?.parse().ok()
}

fn no_length() -> io::Error {
    invalid("the answer has no content-length")
}

fn invalid(problem: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, problem)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_found_whatever_their_case() {
        assert_eq!(content_length(b"HTTP/1.1 302 Found\r\nContent-Length: 12\r\n\r\n"), Some(12));
        assert_eq!(content_length(b"HTTP/1.1 302 Found\r\nlocation: /\r\ncontent-length:0\r\n\r\n"), Some(0));
        assert_eq!(content_length(b"HTTP/1.1 302 Found\r\nx-content-length: 3\r\n\r\n"), None);
    }
}
