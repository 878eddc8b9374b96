//! An rspamd of one's own: a proxy that speaks milter and scans by itself, without the network and without its usual rules.
//!
//! Knows: how rspamd is set up. Must not know: what a test wants to see. The system's own rspamd is never started.

use std::fs::{self, File};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Stdio};

use tempfile::TempDir;

use super::{eventually, free_port, peer};

/// The pattern of EICAR, found by a rule of ours in place of a scanner for viruses; and words for which a message is rejected, as
/// rspamd tells nobody of what it rejects by the pattern of GTUBE.
const RULES: &str = r"
local function says(text)
  return function(task)
    for _, part in ipairs(task:get_text_parts() or {}) do
      if tostring(part:get_content()):find(text, 1, true) then return true end
    end
    return false
  end
end
rspamd_config.UNWANTED = {
  callback = says('buy this watch now'),
  score = 20.0, group = 'content', description = 'What a bot would write',
}
rspamd_config.EICAR_VIRUS = {
  callback = says('EICAR-STANDARD-ANTIVIRUS-TEST-FILE'),
  score = 7.0, group = 'antivirus', description = 'The test pattern of EICAR',
}
";

/// A running rspamd.
pub(crate) struct Rspamd {
    home: TempDir,
    child: Child,
    /// Where it speaks milter.
    pub(crate) milter: SocketAddr,
}

/// Whether a test that needs rspamd may go on.
pub(crate) fn present() -> bool {
    peer::present(&[("rspamd", "rspamd")])
}

impl Rspamd {
    /// Starts one; with a place to tell verdicts, and a token for it.
    pub(crate) fn start(told: Option<(SocketAddr, &str)>) -> Rspamd {
        let home = tempfile::Builder::new().prefix("relaywarden-rspamd-").tempdir().expect("a directory");
        let milter = SocketAddr::from(([127, 0, 0, 1], free_port()));
        let own = |name: &str| home.path().join(name);
        fs::write(own("rules.lua"), RULES).expect("our own file");
        // The whole list of domains takes it half a minute to read.
        fs::write(own("tld"), "com\nnet\norg\nexample\n").expect("our own file");
        let exporter = told.map_or(String::new(), |(place, token)| {
            format!(
                r#"
modules {{ path = "/usr/share/rspamd/plugins/metadata_exporter.lua"; }}
metadata_exporter {{
  rules {{
    RELAYWARDEN {{
      backend = "http";
      url = "http://{place}/v1/verdicts";
      selector = "default";
      formatter = "json";
      user = "rspamd";
      password = "{token}";
    }}
  }}
}}
"#
            )
        });
        let text = format!(
            r#"
options {{
  pidfile = "{home}/pid";
  control_socket = "{home}/control mode=0600";
  filters = "regexp";
  enable_test_patterns = true;
  tempdir = "{home}";
  hs_cache_dir = "{home}";
  url_tld = "{home}/tld";
  local_addrs = [];
  dns {{ nameserver = ["127.0.0.1:9"]; timeout = 100ms; retransmits = 1; }}
}}
logging {{ type = "file"; filename = "{home}/log"; level = "info"; }}
lua = "{home}/rules.lua";
worker "rspamd_proxy" {{
  bind_socket = "{milter}";
  milter = yes;
  count = 1;
  timeout = 10s;
  upstream "local" {{ default = yes; self_scan = yes; }}
}}
actions {{ reject = 15; add_header = 6; }}
{exporter}
"#,
            home = home.path().display(),
        );
        fs::write(own("rspamd.conf"), text).expect("our own file");
        let output = File::create(own("output")).expect("our own file");
        let mut command = peer::command("rspamd");
        command.arg("--no-fork").arg("--config").arg(own("rspamd.conf"));
        if peer::is_root() {
            command.arg("--insecure");
        }
        let child = command
            .stdout(output.try_clone().expect("a second handle"))
            .stderr(Stdio::from(output))
            .spawn()
            .expect("rspamd starts");
        let mut rspamd = Rspamd { home, child, milter };
        eventually("rspamd to listen", || {
            if let Some(status) = rspamd.child.try_wait().expect("its status") {
                panic!("rspamd ended while starting ({status}):\n{}", rspamd.log());
            }
            TcpStream::connect(milter).ok()
        });
        rspamd
    }

    /// What it has written so far.
    pub(crate) fn log(&self) -> String {
        let read = |name: &str| fs::read_to_string(self.home.path().join(name)).unwrap_or_default();
        read("output") + &read("log")
    }
}

impl Drop for Rspamd {
    fn drop(&mut self) {
        use nix::sys::signal::{Signal, kill};
        use nix::unistd::Pid;
        // Its main process ends its workers.
        if let Ok(pid) = i32::try_from(self.child.id()) {
            let _ = kill(Pid::from_raw(pid), Signal::SIGTERM);
        }
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("--- rspamd's log\n{}", self.log());
        }
    }
}
