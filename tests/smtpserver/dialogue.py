"""The dialogue on a connection: SMTP (RFC 5321) and its faults.

Extensions: PIPELINING (RFC 2920), CHUNKING (3030), 8BITMIME (6152), SMTPUTF8 (6531), SIZE (1870),
ENHANCEDSTATUSCODES (2034), STARTTLS (3207) and AUTH (4954).
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable
from typing import TYPE_CHECKING

from tests.smtpserver.behaviour import Rule
from tests.smtpserver.peer import kill_client
from tests.smtpserver.session import CHUNK, CONTENT, Session

if TYPE_CHECKING:
    from tests.smtpserver.listener import Listener

PATH = re.compile(
    rb'^(?P<verb>MAIL FROM|RCPT TO):\s?<(?P<path>(?:[^"<>]|"(?:[^"\\]|\\.)*")*)>(?: (?P<parameters>.*))?$',
    re.IGNORECASE | re.DOTALL,
)
ENHANCED = re.compile(rb"^(\d{3}[ -])\d\.\d{1,3}\.\d{1,3} ", re.MULTILINE)
BAD_SEQUENCE = b"503 5.5.1 Bad sequence of commands"


class Dialogue(Session):
    """One method for each command, the state of one mail transaction, and the rules that make it fail."""

    host = b"recorder.test"
    has_greeted = False
    is_authenticated = False
    auth_step: Callable[[bytes], None] | None = None
    sender: str | None = None
    refusal: bytes | None = None
    """The refusal of the message whose bytes are still arriving; empty if a rule has already answered."""
    has_content_begun = False

    def __init__(self, listener: Listener, *, number: int) -> None:
        super().__init__(listener, number=number)
        self.recipients: list[str] = []
        self.chunks: list[bytes] = []

    # --- Faults ----------------------------------------------------------------------------------------

    def say(self, reply: bytes) -> None:
        if not self.listener.behaviour.enhanced_status_codes:
            reply = ENHANCED.sub(rb"\1", reply)
        super().say(reply)
        if reply.startswith(b"421"):
            self.drop()

    def struck(self, stage: str, *, recipient: str = "") -> bool:
        """Return whether a rule struck at this stage. If one did, its action has been carried out."""
        rule = self.listener.strike(self, stage, recipient=recipient)
        if rule is not None:
            self.carry_out(rule)
        return rule is not None

    def carry_out(self, rule: Rule) -> None:
        if rule.action == "kill":
            kill_client(self.transport)
            self.drop()
            return
        if rule.action not in ("drop", "hang"):
            self.say(rule.action.encode("utf-8", "surrogateescape"))
        end = rule.action if rule.action in ("drop", "hang") else rule.then
        if end == "drop":
            self.drop()
        elif end == "hang":
            self.is_silent = True

    # --- Opening ---------------------------------------------------------------------------------------

    def greet(self) -> None:
        listener = self.listener
        limit = listener.behaviour.max_connections
        if limit and len(listener.sessions) > limit:
            self.say(b"421 4.7.0 Too many connections")
        elif not self.struck("connect"):
            self.say(b"220 " + self.host + b" ESMTP recorder")

    def command(self, line: bytes, *, is_alone: bool) -> None:
        if self.auth_step is not None:
            self.auth_step(line)
            return
        verb = line.split(b" ", 1)[0].upper()
        handler = HANDLERS.get(verb)
        self.listener.stats.commands += 1
        if not is_alone and not (self.listener.behaviour.pipelining or verb == b"BDAT"):
            self.listener.stats.early_commands += 1
        if handler is None:
            self.say(b"500 5.5.2 Command not recognised")
        else:
            handler(self, line)

    def on_ehlo(self, line: bytes) -> None:
        if self.struck("ehlo"):
            return
        self.reset()
        self.has_greeted = True
        lines = [self.host, *self.extensions()] if line[:4].upper() == b"EHLO" else [self.host]
        for each in lines[:-1]:
            Session.say(self, b"250-" + each)
        Session.say(self, b"250 " + lines[-1])

    def extensions(self) -> list[bytes]:
        behaviour = self.listener.behaviour
        offered = [
            (behaviour.pipelining, b"PIPELINING"),
            (behaviour.chunking, b"CHUNKING"),
            (behaviour.eightbitmime, b"8BITMIME"),
            (behaviour.smtputf8, b"SMTPUTF8"),
            (behaviour.size > 0, b"SIZE %d" % behaviour.size),
            (behaviour.enhanced_status_codes, b"ENHANCEDSTATUSCODES"),
            (behaviour.starttls and not self.is_secure, b"STARTTLS"),
            (bool(behaviour.credentials) and not self.is_authenticated, b"AUTH PLAIN LOGIN"),
        ]
        return [name for is_offered, name in offered if is_offered]

    def on_starttls(self, line: bytes) -> None:
        if not self.listener.behaviour.starttls or self.is_secure:
            self.say(b"502 5.5.1 STARTTLS is not offered")
        elif not self.struck("starttls"):
            self.has_greeted = False
            self.discard_input()
            self.listener.secure(self)

    # --- AUTH (RFC 4954) -------------------------------------------------------------------------------

    def on_auth(self, line: bytes) -> None:
        words = line.split(b" ")
        mechanism = words[1].upper() if len(words) > 1 else b""
        if not self.listener.behaviour.credentials or mechanism not in (b"PLAIN", b"LOGIN"):
            self.say(b"504 5.5.4 Mechanism not offered")
            return
        self.listener.stats.logins += 1
        if not self.is_secure:
            self.listener.stats.clear_logins += 1
        step, question = {
            b"LOGIN": (self.take_login_user, b"334 VXNlcm5hbWU6"),
            b"PLAIN": (self.take_plain, b"334 "),
        }[mechanism]
        if len(words) > 2:
            step(words[2])
        else:
            self.auth_step = step
            self.say(question)

    def take_plain(self, line: bytes) -> None:
        _, _, rest = self.decode(line).partition(b"\0")
        user, _, password = rest.partition(b"\0")
        self.judge(user, password)

    def take_login_user(self, line: bytes) -> None:
        user = self.decode(line)
        self.auth_step = lambda answer: self.judge(user, self.decode(answer))
        self.say(b"334 UGFzc3dvcmQ6")

    def judge(self, user: bytes, password: bytes) -> None:
        self.auth_step = None
        if self.struck("auth"):
            return
        if (user + b":" + password).decode("utf-8", "replace") == self.listener.behaviour.credentials:
            self.is_authenticated = True
            self.say(b"235 2.7.0 Welcome")
        else:
            self.say(b"535 5.7.8 Authentication credentials invalid")

    @staticmethod
    def decode(line: bytes) -> bytes:
        try:
            return base64.b64decode(line, validate=True)
        except binascii.Error:
            return b""

    # --- A transaction ---------------------------------------------------------------------------------

    def reset(self) -> None:
        self.sender = None
        self.recipients = []
        self.chunks = []
        self.refusal = None
        self.has_content_begun = False

    def on_mail(self, line: bytes) -> None:
        behaviour = self.listener.behaviour
        found = PATH.match(line)
        if not self.has_greeted or self.sender is not None:
            self.say(BAD_SEQUENCE)
        elif behaviour.credentials and not self.is_authenticated:
            self.say(b"530 5.7.0 Authentication required")
        elif found is None or found["verb"].upper() != b"MAIL FROM":
            self.say(b"501 5.5.4 Syntax: MAIL FROM:<address>")
        elif (refusal := self.refuse_parameters(found["parameters"])) is not None:
            self.say(refusal)
        elif not self.struck("mail"):
            self.sender = found["path"].decode("utf-8", "replace")
            self.say(b"250 2.1.0 Ok")

    def refuse_parameters(self, parameters: bytes | None) -> bytes | None:
        """Read SIZE, BODY, SMTPUTF8 and AUTH. Return the refusal if one is not offered or the size is too big."""
        behaviour = self.listener.behaviour
        self.is_utf8 = self.is_eightbit = False
        for parameter in (parameters or b"").upper().split():
            name, _, value = parameter.partition(b"=")
            if name == b"SIZE" and behaviour.size and value.isdigit():
                if int(value) > behaviour.size:
                    return b"552 5.3.4 Message too big"
            elif name == b"BODY" and behaviour.eightbitmime and value in (b"7BIT", b"8BITMIME"):
                self.is_eightbit = value == b"8BITMIME"
            elif parameter == b"SMTPUTF8" and behaviour.smtputf8:
                self.is_utf8 = True
            elif not (name == b"AUTH" and behaviour.credentials):
                return b"555 5.5.4 Unsupported parameter: " + parameter
        return None

    def on_rcpt(self, line: bytes) -> None:
        found = PATH.match(line)
        if self.sender is None:
            self.say(BAD_SEQUENCE)
        elif found is None or found["verb"].upper() != b"RCPT TO" or not found["path"]:
            self.say(b"501 5.1.3 Syntax: RCPT TO:<address>")
        elif not self.is_utf8 and not found["path"].isascii():
            self.say(b"553 5.6.7 Address needs SMTPUTF8")
        else:
            self.judge_recipient(found["path"].decode("utf-8", "surrogateescape"))

    def judge_recipient(self, recipient: str) -> None:
        if self.listener.is_greylisted(recipient):
            self.say(b"450 4.2.0 Greylisted, come back later")
        elif not self.struck("rcpt", recipient=recipient):
            self.recipients.append(recipient)
            self.say(b"250 2.1.5 Ok")

    def on_data(self, line: bytes) -> None:
        if not self.recipients or self.chunks:
            self.say(BAD_SEQUENCE if self.sender is None else b"554 5.5.1 No valid recipients")
        elif not self.struck("data", recipient=self.recipients[0]):
            if len(self.buffer) > self.position:
                self.listener.stats.early_contents += 1
            self.mode = CONTENT
            self.say(b"354 End data with <CR><LF>.<CR><LF>")

    def on_bdat(self, line: bytes) -> None:
        words = line.split()
        if not self.listener.behaviour.chunking:
            self.say(b"500 5.5.2 Command not recognised")
            return
        if len(words) < 2 or not words[1].isdigit():
            self.say(b"501 5.5.4 Syntax: BDAT size [LAST]")
            self.drop()  # the bytes that follow cannot be distinguished from commands
            return
        self.chunk_bytes = int(words[1])
        self.is_last_chunk = len(words) > 2 and words[2].upper() == b"LAST"
        if not self.recipients and self.refusal is None:
            self.refusal = BAD_SEQUENCE if self.sender is None else b"554 5.5.1 No valid recipients"
        elif not self.chunks and self.refusal is None and self.struck("data", recipient=self.recipients[0]):
            self.refusal = b""
        self.mode = CHUNK

    def content_begun(self) -> None:
        """Apply the rules for the middle of a message, once for each message."""
        if self.has_content_begun:
            return
        self.has_content_begun = True
        if self.struck("middle", recipient=self.recipients[0]):
            self.refusal = b""

    def chunk_ended(self, content: bytes) -> None:
        """Answer one BDAT. Every chunk gets a reply, and after a refused chunk the later ones are refused too."""
        is_last, refusal = self.is_last_chunk, self.refusal
        if refusal is None:
            self.content_begun()
            refusal = self.refusal
        if refusal is not None:
            if refusal:
                self.say(refusal)
            # This chunk has its answer. The later chunks of the message still have to be refused.
            self.refusal = b"503 5.5.1 Message was refused"
        else:
            self.chunks.append(content)
            if not is_last:
                self.say(b"250 2.0.0 %d octets received" % len(content))
        if is_last:
            self.content_ended(b"".join(self.chunks))

    def content_ended(self, content: bytes) -> None:
        self.reset() if self.refusal is not None else self.finish(content)

    def finish(self, content: bytes) -> None:
        """End a message: refuse it, or record it and then answer."""
        recipients, sender, behaviour = self.recipients, self.sender or "", self.listener.behaviour
        if behaviour.size and len(content) > behaviour.size:
            self.say(b"552 5.3.4 Message too big")
        elif not self.struck("dot", recipient=recipients[0]):
            self.listener.accept(self, recipients=recipients, sender=sender, content=content)
            if not self.struck("reply", recipient=recipients[0]):
                self.say(b"250 2.0.0 Ok: recorded")
        self.reset()

    # --- The rest --------------------------------------------------------------------------------------

    def on_rset(self, line: bytes) -> None:
        self.reset()
        self.say(b"250 2.0.0 Ok")

    def on_noop(self, line: bytes) -> None:
        self.say(b"250 2.0.0 Ok")

    def on_vrfy(self, line: bytes) -> None:
        self.say(b"252 2.0.0 Send it and see")

    def on_help(self, line: bytes) -> None:
        self.say(b"214 2.0.0 See RFC 5321")

    def on_quit(self, line: bytes) -> None:
        self.say(b"221 2.0.0 Bye")
        self.drop()


HANDLERS: dict[bytes, Callable[[Dialogue, bytes], None]] = {
    b"EHLO": Dialogue.on_ehlo,
    b"HELO": Dialogue.on_ehlo,
    b"STARTTLS": Dialogue.on_starttls,
    b"AUTH": Dialogue.on_auth,
    b"MAIL": Dialogue.on_mail,
    b"RCPT": Dialogue.on_rcpt,
    b"DATA": Dialogue.on_data,
    b"BDAT": Dialogue.on_bdat,
    b"RSET": Dialogue.on_rset,
    b"NOOP": Dialogue.on_noop,
    b"VRFY": Dialogue.on_vrfy,
    b"HELP": Dialogue.on_help,
    b"QUIT": Dialogue.on_quit,
}
