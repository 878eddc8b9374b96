"""Every page of a demo, in a real browser: what it shows, what can be done there, and that nothing leaves its origin.

usage: pages.py PROGRAM BROWSER DIRECTORY
"""

import contextlib
import csv
import hashlib
import json
import os
import re
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time
import unittest
import urllib.parse

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect, sync_playwright

PROGRAM, BROWSER, SEEN = sys.argv[1:4]
HERE = "http://127.0.0.1:8025"
SIZES = {"narrow": (320, 640), "medium": (768, 1024), "wide": (1440, 900)}
HOSTILE = "\"'><script>alert(1)</script><img src=x onerror=alert(2)>"
FORMULA = "=cmd|' /C calc'!A0"
PAGES = {
    "look-up": "/",
    "answer": "/?q=198.51.100.7",
    "answer-then": "/?q=198.51.100.60&at=30h+ago",
    "answer-nobody": "/?q=198.51.100.250",
    "several": "/?q=198.51.100.7+or+198.51.100.8",
    "subscriber": "/subscriber/home1003@isp.example",
    "subscriber-days": "/subscriber/alice@isp.example?days=7",
    "subscriber-nobody": "/subscriber/nobody",
    "messages": "/messages",
    "messages-few": "/messages?subscriber=alice@isp.example",
    "messages-none": "/messages?subscriber=nobody",
    "sessions": "/sessions",
    "story": "/story?address=198.51.100.60",
    "top": "/top",
    "top-bytes": "/top?by=bytes&since=2d+ago&until=1d+ago",
    "feeds": "/feeds",
    "cases": "/cases",
    "cases-closed": "/cases?state=closed&kind=complaint",
    "rules": "/rules",
    "suspensions": "/suspensions",
    "questions": "/questions?verify=yes",
}


class Demo:
    """The program, with its banner read."""

    def __init__(self):
        subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
        self.directory = tempfile.TemporaryDirectory()
        self.log = open(os.path.join(SEEN, "demo.log"), "w")
        environment = dict(os.environ, TMPDIR=self.directory.name, TZ="Europe/Berlin")
        self.process = subprocess.Popen(
            [PROGRAM, "serve", "--demo"], stdout=subprocess.PIPE, stderr=self.log, text=True, env=environment
        )
        banner = ""
        for line in self.process.stdout:
            banner += line
            if "Ctrl-C" in line:
                break
        self.socket = re.search(r"^ +API +(\S+)$", banner, re.M)[1]
        self.token = re.search(r"^ +(rw_\S+)$", banner, re.M)[1]
        self.secret = re.search(r"--secret '([^']+)'", banner)[1]

    def run(self, *arguments):
        done = subprocess.run([PROGRAM, *arguments, "--socket", self.socket], capture_output=True, text=True, check=True)
        return done.stdout

    def start(self, user, session, address):
        """A subscriber of this name comes online: RFC 2866, with any octets in it."""
        pairs = [(40, struct.pack("!I", 1)), (44, session.encode()), (1, user), (8, socket.inet_aton(address))]
        attributes = b"".join(bytes([kind, len(value) + 2]) + value for kind, value in pairs)
        head = struct.pack("!BBH", 4, 1, 20 + len(attributes))
        authenticator = hashlib.md5(head + bytes(16) + attributes + self.secret.encode()).digest()
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as radius:
            radius.settimeout(5)
            radius.sendto(head + authenticator + attributes, ("127.0.0.1", 1813))
            assert radius.recv(4096)[0] == 5

    def ask(self, **attributes):
        """A mail server asks; the answer without its word `action=`."""
        attributes = {"request": "smtpd_access_policy", "client_port": "40112", "helo_name": "x", **attributes}
        request = "".join(f"{name}={value}\n" for name, value in attributes.items()) + "\n"
        with socket.create_connection(("127.0.0.1", 10024)) as policy:
            policy.sendall(request.encode())
            answer = policy.recv(4096)
        assert answer.startswith(b"action="), answer
        return answer.decode().strip().removeprefix("action=")

    def message(self, **attributes):
        """A mail server asks at the end of a message."""
        self.ask(**{"protocol_state": "END-OF-MESSAGE", "recipient_count": "2", "size": "2048", **attributes})

    def end(self):
        self.process.send_signal(signal.SIGINT)
        assert self.process.wait(20) == 0
        self.process.stdout.close()
        self.log.close()
        self.directory.cleanup()


class Pages(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.demo = Demo()
        cls.playwright = sync_playwright().start()
        cls.browser = cls.playwright.chromium.launch(executable_path=BROWSER, args=["--no-sandbox"])

    @classmethod
    def tearDownClass(cls):
        cls.browser.close()
        cls.playwright.stop()
        cls.demo.end()

    def open(self, scripts=True, scheme="light", size="wide", token=None, path="/"):
        """A browser of somebody who has logged in; whatever is amiss with what it loads fails the test."""
        width, height = SIZES[size]
        context = self.browser.new_context(
            viewport={"width": width, "height": height}, color_scheme=scheme, java_script_enabled=scripts
        )
        context.set_default_timeout(15_000)
        self.addCleanup(context.close)
        page = context.new_page()
        self.amiss = []
        page.on("request", lambda request: None if request.url.startswith(HERE + "/") else self.amiss.append(request.url))
        page.on("console", lambda said: self.amiss.append(said.text) if said.type in ("error", "warning") else None)
        page.on("pageerror", lambda error: self.amiss.append(str(error)))
        page.on("dialog", lambda dialog: (self.amiss.append(dialog.message), dialog.dismiss()))
        page.goto(f"{HERE}/login?" + urllib.parse.urlencode({"next": path}))
        page.get_by_label("Token").fill(token or self.demo.token)
        page.get_by_role("button", name="Log in").click()
        return page

    @contextlib.contextmanager
    def looking(self, scripts):
        with self.subTest(scripts=scripts):
            page = self.open(scripts)
            yield page
            self.assertEqual(self.amiss, [])
            page.context.close()

    def look_up(self, page, what, at=""):
        page.goto(HERE + "/")
        page.get_by_label("Address, subscriber").fill(what)
        page.get_by_label("Time").fill(at)
        page.get_by_role("button", name="Look up").click()

    def test_every_page_loads_clean_at_every_size_in_light_and_dark(self):
        for scripts, scheme in ((True, "light"), (False, "dark")):
            for size in SIZES:
                page = self.open(scripts, scheme, size)
                for name, path in PAGES.items():
                    with self.subTest(path=path, scheme=scheme, size=size):
                        answer = page.goto(HERE + path)
                        self.assertEqual(answer.status, 200)
                        self.assertIn("default-src 'none'", answer.headers["content-security-policy"])
                        self.assertEqual(page.locator("h1").count(), 1)
                        self.assertEqual(page.locator("script, [style], [onclick]").count(), 0)
                        wide = size == "wide"
                        page.screenshot(path=f"{SEEN}/{name}-{scheme}-{size}.png", full_page=not wide)
                        self.assertEqual(self.amiss, [])
                        if scripts:
                            over = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
                            self.assertLessEqual(page.evaluate(over), 0, "the page itself does not scroll sideways")
                page.context.close()
        page = self.open()
        page.emulate_media(media="print")
        page.goto(HERE + PAGES["answer"])
        page.screenshot(path=f"{SEEN}/answer-print.png", full_page=True)

    def test_axe_finds_nothing_serious(self):
        axe = Axe()
        for scheme, size in (("light", "wide"), ("dark", "wide"), ("light", "narrow")):
            page = self.open(scheme=scheme, size=size)
            for path in [*PAGES.values(), "/login", "/messages?since=soon"]:
                with self.subTest(path=path, scheme=scheme, size=size):
                    page.goto(HERE + path)
                    for details in page.locator("summary").all():
                        details.click()
                    found = axe.run(page).response["violations"]
                    serious = [one for one in found if one["impact"] in ("serious", "critical")]
                    told = [(one["id"], [node["html"][:200] for node in one["nodes"][:3]]) for one in serious]
                    self.assertEqual(told, [])
            page.context.close()

    def test_an_address_is_looked_up_by_keyboard_alone_and_leads_to_its_subscriber(self):
        for scripts in (True, False):
            with self.looking(scripts) as page:
                page.goto(HERE + "/feeds")
                page.keyboard.press("Tab")
                skip = page.get_by_role("link", name="Skip to content")
                expect(skip).to_be_focused()
                page.goto(HERE + "/")
                expect(page.get_by_label("Address, subscriber")).to_be_focused()
                page.keyboard.type("198.51.100.7")
                page.keyboard.press("Enter")
                expect(page.locator("#whose")).to_have_text("alice@isp.example")
                expect(page.get_by_role("img", name="Who had 198.51.100.7")).to_be_visible()
                expect(page.locator(".answer .badge").first).to_contain_text("exact")
                page.locator("#whose a").focus()
                page.keyboard.press("Enter")
                expect(page.get_by_role("heading", level=1)).to_have_text("alice@isp.example")
                expect(page.get_by_role("img", name="Addresses of alice@isp.example")).to_be_visible()
                expect(page.get_by_role("img", name="Messages per hour")).to_be_visible()
                page.get_by_text("The same as a table").first.click()
                expect(page.get_by_role("region", name="Messages per hour")).to_be_visible()
                page.get_by_role("link", name="7 days").click()
                self.assertIn("days=7", page.url)

    def test_a_past_owner_is_told_with_the_gaps_around_and_the_story_why(self):
        rows = json.loads(self.demo.run("sessions", "-o", "json", "--limit", "1000"))
        ended = [row for row in rows if row["valid_until"] and row["subscriber"].startswith("home1")]
        row = ended[len(ended) // 2]
        address = row["addresses"][0]
        for scripts in (True, False):
            with self.looking(scripts) as page:
                self.look_up(page, f"{address}:25", row["valid_from"])
                expect(page.locator("#whose")).to_have_text(row["subscriber"])
                expect(page.locator(".facts")).to_contain_text(row["session"])
                expect(page.locator(".facts")).to_contain_text("Verdict now")
                self.assertGreaterEqual(page.locator("rect.gap").count(), 1)
                page.get_by_role("link", name="Why: the story").click()
                expect(page.get_by_role("region", name="Story")).to_contain_text("bound")

    def test_a_pasted_line_a_queue_id_a_token_and_a_subscriber_are_understood(self):
        message = json.loads(self.demo.run("messages", "--subscriber", "alice@isp.example", "-o", "json", "--limit", "1"))[0]
        line = f"{message['at']} mx1 postfix/smtpd[77]: connect from unknown[198.51.100.7]:{message['port']}"
        for scripts in (True, False):
            with self.looking(scripts) as page:
                self.look_up(page, line)
                expect(page.locator("#whose")).to_have_text("alice@isp.example")
                expect(page.locator(".about")).to_contain_text("as the line says")
                expect(page.locator(".facts")).to_contain_text("Verdict now")
                for word in (message["queue_id"], message["token"]):
                    self.look_up(page, word)
                    page.get_by_role("link", name=message["queue_id"]).click()
                    expect(page.get_by_role("heading", level=1)).to_contain_text(message["queue_id"])
                    facts = page.locator("dl.facts")
                    for value in (message["instance"], message["helo"], message["token"], "alice@isp.example"):
                        expect(facts).to_contain_text(value)
                self.look_up(page, "bob@isp.example")
                expect(page.get_by_role("heading", level=1)).to_have_text("bob@isp.example")
                self.look_up(page, "4711-never-seen")
                expect(page.locator(".empty")).to_contain_text("Nobody and nothing")
                self.look_up(page, "198.51.100.7 or 198.51.100.8")
                page.get_by_role("link", name="198.51.100.8").click()
                expect(page.locator("#whose")).to_have_text("bob@isp.example")

    def test_a_subscriber_is_suspended_and_released(self):
        for scripts in (True, False):
            with self.looking(scripts) as page:
                page.goto(HERE + "/subscriber/carol@isp.example")
                page.get_by_label("Reason").fill("case 7: <b>open proxy</b>")
                page.get_by_label("Until").fill("7d")
                page.get_by_role("button", name="Suspend").click()
                expect(page.locator(".title")).to_contain_text("suspended")
                expect(page.locator("main")).to_contain_text("case 7: <b>open proxy</b>")
                page.goto(HERE + "/?q=203.0.113.7")
                expect(page.locator(".answer")).to_contain_text("Suspended")
                page.goto(HERE + "/suspensions")
                page.get_by_label("Reason to release carol@isp.example").fill("cleaned")
                page.locator("tr", has_text="carol@isp.example").get_by_role("button", name="Release").click()
                expect(page.locator("tr", has_text="carol@isp.example")).to_have_count(0)
                page.get_by_label("Who", exact=True).fill("nobody-of-that-name")
                page.get_by_label("Reason, or the ticket").fill("x")
                page.get_by_role("button", name="Suspend").click()
                expect(page.get_by_role("heading", level=1)).to_have_text("Nobody of that name was ever seen")
                page.context.set_extra_http_headers({})
                self.amiss = [said for said in self.amiss if "404" not in said]

    def test_a_case_leads_to_its_evidence_and_its_subscriber_and_is_closed(self):
        report = (
            "From: <b>spam</b>@town.example\r\nMIME-Version: 1.0\r\n"
            'Content-Type: multipart/report; report-type=feedback-report; boundary="b"\r\n\r\n'
            "--b\r\nContent-Type: text/plain\r\n\r\nx\r\n--b\r\nContent-Type: message/feedback-report\r\n\r\n"
            "Feedback-Type: abuse\r\nUser-Agent: x/1\r\nVersion: 1\r\nSource-IP: 203.0.113.7\r\n"
            "Arrival-Date: {at}\r\n\r\n--b\r\nContent-Type: text/rfc822-headers\r\n\r\n"
            "Message-ID: <{id}@x>\r\n\r\n--b--\r\n"
        )
        for scripts in (True, False):
            at = time.strftime("%a, %d %b %Y %H:%M:%S +0000", time.gmtime(time.time() - 3600))
            path = os.path.join(self.demo.directory.name, "report.eml")
            with open(path, "w", newline="") as file:
                file.write(report.format(at=at, id=f"case-{scripts}"))
            self.demo.run("complaint", path)
            with self.looking(scripts) as page:
                page.goto(HERE + "/subscriber/carol@isp.example")
                page.get_by_role("link", name="Case").last.click()
                expect(page.get_by_role("heading", level=1)).to_contain_text("Case")
                expect(page.get_by_role("article").first).to_contain_text("203.0.113.7")
                page.screenshot(path=f"{SEEN}/case.png", full_page=True)
                page.get_by_label("What was done, or came of it").fill("<b>called</b>")
                page.get_by_role("button", name="Close").click()
                expect(page.get_by_role("region", name="History")).to_contain_text("<b>called</b>")
                self.assertEqual(page.locator("main b").count(), 0)
                page.goto(HERE + "/cases")
                page.get_by_role("link", name="closed").click()
                expect(page.locator("tbody")).to_contain_text("carol@isp.example")

    def test_a_case_from_its_signal_to_the_release(self):
        for scripts in (True, False):
            with self.looking(scripts) as page:
                page.goto(HERE + "/cases?kind=signal&state=open")
                row = page.locator("tbody tr", has_text="home1003@isp.example").first
                expect(row).to_contain_text("under new sender addresses to new domains")
                row.get_by_role("link").first.click()
                expect(page.get_by_role("heading", level=1)).to_contain_text("Case")
                expect(page.get_by_role("region", name="Signals")).to_contain_text("strangers")
                page.screenshot(path=f"{SEEN}/case-signal.png", full_page=True)
                page.get_by_label("Reason to hold back").fill("an infected machine")
                page.get_by_role("button", name="Suspend").click()
                standing = page.get_by_role("article", name="Standing of home1003@isp.example")
                expect(standing).to_contain_text("suspended")
                page.get_by_label("Reason to release home1003@isp.example").first.fill("cleaned")
                page.get_by_role("button", name="Release").first.click()
                expect(standing).to_have_count(0)
                expect(page.get_by_role("region", name="History")).to_contain_text("cleaned")

    def test_a_case_from_opening_to_release(self):
        for scripts in (True, False):
            with self.looking(scripts) as page:
                page.goto(HERE + "/cases")
                page.get_by_label("About", exact=True).fill("bob@isp.example")
                page.get_by_label("Reason", exact=True).fill("called: <b>his PC</b> sends by itself")
                page.get_by_label("Ticket").fill("T-17")
                page.get_by_role("button", name="Open").click()
                expect(page.get_by_role("heading", level=1)).to_contain_text("Case")
                number = page.get_by_role("heading", level=1).inner_text().split()[1]
                history = page.get_by_role("region", name="History")
                expect(history).to_contain_text("<b>his PC</b>")
                expect(history).to_contain_text("T-17")
                expect(page.locator("main")).to_contain_text("is not held back")
                page.get_by_label("What was done, or came of it").fill("no answer")
                page.get_by_role("button", name="Note").click()
                expect(history).to_contain_text("no answer")

                page.get_by_label("Reason to hold back").fill("until he calls back")
                page.get_by_role("button", name="Limit").click()
                standing = page.get_by_role("article", name="Standing of bob@isp.example")
                expect(standing).to_contain_text("limited")
                self.assertEqual(self.rcpt("198.51.100.8")[:3], "OK", "a limit stops nothing by itself")
                page.get_by_label("Reason to hold back").fill("open proxy")
                page.get_by_label("Until").fill("7d")
                page.get_by_role("button", name="Suspend").click()
                expect(standing.first).to_contain_text("suspended")
                self.assertIn("550 5.7.1", self.rcpt("198.51.100.8"))
                page.screenshot(path=f"{SEEN}/case-held.png", full_page=True)
                page.goto(HERE + "/suspensions")
                row = page.locator("tr", has_text="bob@isp.example").first
                expect(row).to_contain_text("suspended")
                row.get_by_role("link", name=number, exact=True).click()
                page.set_viewport_size({"width": 320, "height": 640})
                over = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
                if scripts:
                    self.assertLessEqual(page.evaluate(over), 0, "the page itself does not scroll sideways")
                    serious = [one for one in Axe().run(page).response["violations"] if one["impact"] in ("serious", "critical")]
                    self.assertEqual([one["id"] for one in serious], [])
                page.screenshot(path=f"{SEEN}/case-held-narrow.png", full_page=True)
                page.get_by_label("Reason to release bob@isp.example").first.fill("cleaned")
                page.get_by_role("button", name="Release").first.click()
                expect(standing).to_have_count(0)
                self.assertEqual(self.rcpt("198.51.100.8")[:3], "OK")
                page.get_by_label("What was done, or came of it").fill("cleaned")
                page.get_by_role("button", name="Close").click()
                expect(page.locator(".title")).to_contain_text("closed")
                told = [row.split("\t")[1].split()[0] for row in history.inner_text().splitlines()[1:] if "\t" in row]
                self.assertEqual(told, ["opened", "noted", "limited", "suspended", "released", "closed"])

    def rcpt(self, address):
        """What a mail server is told about a recipient; the same connection may ask on."""
        return self.demo.ask(protocol_state="RCPT", client_address=address, recipient="a@b.example")

    def test_hostile_names_and_messages_stay_inert(self):
        names = {"198.51.100.211": HOSTILE, "198.51.100.212": FORMULA, "198.51.100.213": "x" * 253, "198.51.100.214": "a\u202eb",
                 "198.51.100.215": b"\xff\xfe<b>", "198.51.100.216": "a\x1b[2Jb", "198.51.100.217": ".."}
        for number, (address, name) in enumerate(names.items()):
            octets = name if isinstance(name, bytes) else name.encode()
            self.demo.start(octets, f"hostile{number}", address)
        for address in ("198.51.100.211", "198.51.100.212"):
            self.demo.message(client_address=address, instance=address, queue_id="<i>q</i>", sender=HOSTILE, helo_name=FORMULA)
        for scripts in (True, False):
            with self.looking(scripts) as page:
                for number, address in enumerate(names):
                    page.goto(f"{HERE}/?q={address}")
                    page.locator("#whose a").click()
                    expect(page.get_by_role("img", name="Addresses of")).to_be_visible()
                    expect(page.locator("main")).to_contain_text(address)
                    self.assertEqual(page.locator("script, main img, main b, main i").count(), 0)
                    page.screenshot(path=f"{SEEN}/hostile-{number}.png")
                page.goto(f"{HERE}/messages?address=198.51.100.211")
                expect(page.locator("td", has_text="<script>alert(1)</script>").first).to_be_visible()
                page.get_by_role("link", name="<i>q</i>").first.click()
                expect(page.locator("dl.facts")).to_contain_text(FORMULA)
                page.goto(f"{HERE}/messages?address=198.51.100.212")
                with page.expect_download() as download:
                    page.get_by_role("link", name="CSV").click()
                with open(download.value.path(), newline="") as sheet:
                    rows = list(csv.DictReader(sheet))
                # Names of subscribers are kept in lower case.
                self.assertEqual({row["subscriber"] for row in rows}, {"'" + FORMULA.lower()})
                self.assertEqual({row["sender"] for row in rows}, {HOSTILE})
        narrow = self.open(size="narrow", path="/subscriber/" + "x" * 253)
        over = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
        self.assertLessEqual(narrow.evaluate(over), 0)

    def test_a_long_list_is_walked_to_its_end_and_is_there_as_json(self):
        everything = json.loads(self.demo.run("messages", "-o", "json", "--limit", "100000", "--until", "1h ago"))
        for scripts in (True, False):
            with self.looking(scripts) as page:
                page.goto(HERE + "/messages?until=1h+ago")
                rows, pages = page.locator("tbody tr").count(), 1
                while page.get_by_role("link", name="Older").count():
                    page.get_by_role("link", name="Older").click()
                    rows, pages = rows + page.locator("tbody tr").count(), pages + 1
                self.assertAlmostEqual(rows, len(everything), delta=60)
                self.assertGreater(pages, 20)
                page.get_by_role("link", name="Newest").click()
                page.get_by_role("link", name="JSON").click()
                self.assertIn("/v1/messages", page.url)

    def test_who_stands_out_is_first_and_feeds_are_told(self):
        for scripts in (True, False):
            with self.looking(scripts) as page:
                page.goto(HERE + "/top?since=3h+ago")
                first = page.locator("tbody tr").first
                expect(first).to_contain_text("home1003@isp.example")
                # Whether the home's owner wrote anything at these hours of the days before is the demo's chance.
                expect(first).to_contain_text(re.compile("never before|\\d{2,} × the usual"))
                page.get_by_role("link", name="recipients").click()
                expect(page.locator("tbody tr").first).to_contain_text("home1003@isp.example")
                page.goto(HERE + "/feeds")
                expect(page.locator("tbody th")).to_contain_text(["demo/127.0.0.11", "demo/127.0.0.12"])
                expect(page.locator("tbody")).to_contain_text("whole")

    def test_what_was_asked_is_there_for_auditors_and_for_nobody_else(self):
        viewer = self.demo.run("token", "create", "--role", "viewer", "--note", "a viewer")
        viewer = re.search(r"rw_\w+", viewer)[0]
        for scripts in (True, False):
            with self.looking(scripts) as page:
                page.goto(HERE + "/?q=198.51.100.8&purpose=ticket+42")
                page.get_by_role("link", name="All messages from it").click()
                self.assertIn("purpose=ticket%2042", page.url)
                page.goto(HERE + "/questions?about=198.51.100.8&verify=yes")
                expect(page.locator("tbody tr").first).to_contain_text("ticket 42")
                expect(page.get_by_role("status")).to_contain_text("The record is whole")
        page = self.open(token=viewer, path="/subscriber/alice@isp.example?days=7")
        self.assertEqual(page.url, HERE + "/subscriber/alice@isp.example?days=7")
        expect(page.get_by_role("link", name="Questions")).to_have_count(0)
        expect(page.get_by_role("button", name="Suspend")).to_have_count(0)
        self.assertEqual(page.goto(HERE + "/questions").status, 403)
        expect(page.get_by_role("heading", level=1)).to_have_text("Not permitted")

    def test_coming_in_and_going(self):
        for scripts in (True, False):
            with self.subTest(scripts=scripts):
                page = self.open(scripts)
                page.get_by_role("button", name="Log out").click()
                self.assertEqual(page.url, HERE + "/login")
                page.goto(HERE + "/suspensions")
                self.assertIn("/login?next=/suspensions", page.url)
                page.get_by_label("Token").fill("rw_wrong")
                page.get_by_role("button", name="Log in").click()
                expect(page.get_by_role("alert")).to_have_text("This token is not good.")
                page.get_by_label("Token").fill(self.demo.token)
                page.get_by_role("button", name="Log in").click()
                self.assertEqual(page.url, HERE + "/suspensions")
                page.context.close()


if __name__ == "__main__":
    unittest.main(argv=[sys.argv[0], *sys.argv[4:]], verbosity=2)
