//! Where requests and replies (RESP2) end.

use std::io::Read;

/// Calls `frame` for each whole request or reply until it returns `None` or the stream ends; and `read` after each read.
pub(crate) fn each(mut from: impl Read, read: impl Fn(), mut frame: impl FnMut(&[u8]) -> Option<()>) -> Option<()> {
    let mut bytes = Vec::new();
    let mut buffer = vec![0; 1 << 16];
    loop {
        let count = from.read(&mut buffer).ok().filter(|count| *count > 0)?;
        bytes.extend_from_slice(buffer.get(..count)?);
        read();
        let mut begin = 0;
        while let Some(length) = bytes.get(begin..).and_then(length) {
            frame(bytes.get(begin..begin + length)?)?;
            begin += length;
        }
        bytes.drain(..begin);
    }
}

/// How long the first one is; `None` if it isn't whole.
fn length(bytes: &[u8]) -> Option<usize> {
    let line = bytes.windows(2).position(|two| two == b"\r\n")?;
    let end = line + 2;
    let number = || std::str::from_utf8(bytes.get(1..line)?).ok()?.parse::<i64>().ok();
    match bytes.first()? {
        b'$' => {
            let whole = usize::try_from(number()?).map_or(end, |length| end + length + 2);
            (bytes.len() >= whole).then_some(whole)
        }
        b'*' => (0..number()?).try_fold(end, |at, _| Some(at + length(bytes.get(at..)?)?)),
        _ => Some(end),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames() {
        let all: &[&[u8]] = &[
            b"*2\r\n$3\r\nGET\r\n$2\r\n\r\n\r\n",
            b":12\r\n",
            b"$-1\r\n",
            b"*-1\r\n",
            b"*1\r\n*1\r\n+a\r\n",
            b"-E x\r\n",
        ];
        let bytes = all.concat();
        for cut in 0..=bytes.len() {
            let mut found = Vec::new();
            let from = bytes[..cut].chain(&bytes[cut..]);
            assert_eq!(
                each(
                    from,
                    || {},
                    |frame| {
                        found.push(frame.to_vec());
                        Some(())
                    }
                ),
                None
            );
            assert_eq!(found, all);
        }
    }
}
