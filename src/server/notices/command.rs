//! Tells a receiver by a program of this host: the document on its standard input, and whether it ended well.
//!
//! No shell is between; the environment is what stands here, and nothing else of ours. A program that hangs is ended with all it
//! has started.
//!
//! Knows: how it is started, bounded and ended. Must not know: when it is tried again.

use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::{Child, Command};

use super::{Answer, Sent};
use crate::notice::schedule::Said;

/// What a program says for "not now" (`EX_TEMPFAIL` of sysexits).
const NOT_NOW: i32 = 75;
/// So much of what it complains is kept for the log.
const COMPLAINT_OCTETS: usize = 1024;

/// Runs it once.
pub(super) async fn run(words: &[String], notice: &str, sent: &Sent<'_>, within: Duration) -> Answer {
    let Some((program, arguments)) = words.split_first() else {
        return Answer::new(Said::Refused, "no program");
    };
    let mut command = Command::new(program);
    command
        .args(arguments)
        .env_clear()
        .env("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
        .env("LANG", "C.UTF-8")
        .env("RELAYWARDEN_NOTICE", notice)
        .env("RELAYWARDEN_ID", sent.id)
        .env("RELAYWARDEN_EVENT", sent.event)
        .current_dir("/")
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .process_group(0)
        .kill_on_drop(true);
    let mut child = match command.spawn() {
        Ok(child) => Group(child),
        Err(error) => return Answer::new(Said::Refused, &format!("cannot be started: {error}")),
    };
    let mut complaint = Vec::new();
    let body = sent.body.as_bytes();
    let ended = tokio::time::timeout(within, finish(&mut child.0, body, &mut complaint)).await;
    let Ok(ended) = ended else {
        let words = format!("ended by us, as it was not done within {} s", within.as_secs());
        return Answer::new(Said::Refused, &words);
    };
    let status = match ended {
        Ok(status) => status,
        Err(error) => return Answer::new(Said::Refused, &error.to_string()),
    };
    let said = match status.code() {
        Some(0) => Said::Taken,
        Some(NOT_NOW) => Said::Later(None),
        _ => Said::Refused,
    };
    Answer::with_line(said, &status.to_string(), &complaint)
}

/// A program, and all it has started: whatever of it is left ends with this.
struct Group(Child);

impl Drop for Group {
    fn drop(&mut self) {
        let id = self.0.id().and_then(|id| i32::try_from(id).ok()).and_then(rustix::process::Pid::from_raw);
        // It was waited for: then its number may be somebody else's already.
        let Some(id) = id else { return };
        let _ = rustix::process::kill_process_group(id, rustix::process::Signal::KILL);
    }
}

async fn finish(
    child: &mut Child,
    body: &[u8],
    complaint: &mut Vec<u8>,
) -> std::io::Result<std::process::ExitStatus> {
    let (stdin, stderr) = (child.stdin.take(), child.stderr.take());
    let beside = async {
        let write = async {
            if let Some(mut stdin) = stdin {
                // One that does not care for it has closed it.
                let _ = stdin.write_all(body).await;
            }
        };
        let read = async {
            if let Some(stderr) = stderr {
                keep_first(stderr, complaint).await;
            }
        };
        tokio::join!(write, read);
    };
    tokio::pin!(beside);
    // What it has left behind may keep the pipe open: that is not waited for.
    tokio::select! {
        status = child.wait() => {
            let _ = tokio::time::timeout(Duration::from_millis(100), &mut beside).await;
            status
        }
        () = &mut beside => child.wait().await,
    }
}

async fn keep_first(mut from: impl AsyncRead + Unpin, kept: &mut Vec<u8>) {
    let mut piece = [0; 1024];
    while let Ok(count @ 1..) = from.read(&mut piece).await {
        let room = COMPLAINT_OCTETS.saturating_sub(kept.len());
        kept.extend_from_slice(piece.get(..count.min(room)).unwrap_or_default());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SENT: Sent<'static> =
        Sent { id: "7-suspended", event: "suspended", body: "{\"id\":\"7-suspended\"}" };

    fn shell(script: &str) -> Vec<String> {
        ["/bin/sh", "-c", script].map(str::to_owned).to_vec()
    }

    async fn ran(script: &str, within: Duration) -> Answer {
        run(&shell(script), "pager", &SENT, within).await
    }

    const LONG: Duration = Duration::from_secs(20);

    #[tokio::test]
    async fn it_reads_the_document_and_knows_what_it_is_of_and_nothing_of_ours() {
        let home = tempfile::tempdir().unwrap();
        let kept = home.path().join("kept");
        let script = format!("cat > {0}; env >> {0}; pwd >> {0}", kept.display());
        assert_eq!(ran(&script, LONG).await.said, Said::Taken);
        let text = std::fs::read_to_string(kept).unwrap();
        assert!(text.starts_with(SENT.body), "{text}");
        for line in ["RELAYWARDEN_NOTICE=pager", "RELAYWARDEN_ID=7-suspended", "RELAYWARDEN_EVENT=suspended"]
        {
            assert!(text.contains(line), "{line} is not in {text}");
        }
        assert!(!text.contains("CARGO") && !text.contains("HOME="), "{text}");
        assert!(text.ends_with("\n/\n"), "{text}");
    }

    #[tokio::test]
    async fn how_it_ends_says_whether_it_is_tried_again_and_it_may_say_why() {
        for (script, said) in [
            ("exit 0", Said::Taken),
            ("exit 75", Said::Later(None)),
            ("exit 1", Said::Refused),
            ("kill -9 $$", Said::Refused),
        ] {
            assert_eq!(ran(script, LONG).await.said, said, "{script}");
        }
        let words = ran("printf 'no ticket\\nmore' >&2; exit 1", LONG).await.words;
        assert!(words.ends_with(": no ticket"), "{words}");
        let words = run(&["/nonexistent".to_owned()], "pager", &SENT, LONG).await.words;
        assert!(words.starts_with("cannot be started: "), "{words}");
    }

    #[tokio::test]
    async fn one_that_hangs_is_ended_with_all_it_has_started() {
        let home = tempfile::tempdir().unwrap();
        let kept = home.path().join("child");
        let script = format!("sleep 600 & echo $! > {}; wait", kept.display());
        let answer = ran(&script, Duration::from_millis(500)).await;
        assert!(answer.said == Said::Refused && answer.words.starts_with("ended by us"), "{answer:?}");
        let child: i32 = std::fs::read_to_string(kept).unwrap().trim().parse().unwrap();
        let gone = || {
            let state = std::fs::read_to_string(format!("/proc/{child}/stat")).unwrap_or_default();
            state.is_empty() || state.contains(") Z ")
        };
        let deadline = std::time::Instant::now() + LONG;
        while !gone() {
            assert!(std::time::Instant::now() < deadline, "{child} is still there");
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test]
    async fn one_that_says_much_or_leaves_somebody_behind_is_not_waited_for() {
        let answer = ran("head -c 1000000 /dev/zero | tr '\\0' x >&2; exit 3", LONG).await;
        assert!(answer.said == Said::Refused && answer.words.len() < 300, "{answer:?}");
        let began = std::time::Instant::now();
        assert_eq!(ran("sleep 5 & exit 0", LONG).await.said, Said::Taken);
        assert!(began.elapsed() < Duration::from_secs(4));
    }
}
