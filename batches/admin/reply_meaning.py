"""The page "What would this reply mean?": a relay's reply enters, and what the program would make of it is shown.

Nothing is stored or sent. A site's file of rules is read again for each question, so that an operator can try it out.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from django import forms
from django.conf import settings
from django.contrib import admin
from django.core.exceptions import PermissionDenied, ValidationError
from django.http import HttpRequest
from django.template.response import TemplateResponse
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from batches.outcomes import Outcome, ReplyMeaning
from batches.smtp import meanings
from batches.smtp.replies import TEXT_MAX_CHARS, Reply
from batches.smtp.reply_rules import STAGES, RuleError
from batches.smtp.verdicts import Verdict, judge
from batches.translations import say
from batches.waiting import say_period

STAGE_WORDS = {
    "rcpt": _("RCPT: the recipient's address"),
    "message": _("after the whole message"),
    "mail": _("MAIL: the sender's address"),
    "data": _("DATA or BDAT"),
    "connect": _("the greeting or EHLO"),
    "login": _("AUTH: the login"),
    "rset": "RSET",
}
"""The stages in the order in which they are offered: the most usual first."""

_FIRST_LINE = re.compile(r"\d{3}(?:[ -]|$)", re.ASCII)
_IN_LOG = re.compile(r"(?:^|[\s(:;\ufeff])([45][0-5]\d[ =-]\S.*)", re.ASCII)
"""A reply in a line of a log or a bounce, such as Postfix's ``said: 550 ...`` or Exim's ``host [...]: 550 ...``. The
second digit leaves out ports, such as 587."""
_AFTER_REPLY = re.compile(r" ?\(in reply to [^)]*\)\)?$")


class ReplyForm(forms.Form):
    """A reply as a log or a bounce shows it, of one line or several, and where it was said."""

    stage = forms.ChoiceField(choices=list(STAGE_WORDS.items()), label=_("Said to"))
    reply = forms.CharField(
        widget=forms.Textarea(attrs={"rows": 4, "cols": 80, "class": "vLargeTextField"}),
        help_text=_(
            "For example: 550 5.4.5 Daily user sending limit exceeded. A reply may have several lines, or be in "
            "a line of a log."
        ),
    )

    def clean_reply(self) -> Reply:
        """Read the reply. A line without the code, as a log folds it, belongs to the line before."""
        lines = [" ".join(line.split()) for line in self.cleaned_data["reply"].splitlines() if line.strip()]
        if not _FIRST_LINE.match(lines[0]):
            found = _IN_LOG.search(lines[0])
            if found is None:
                raise ValidationError(_("There is no code. Begin with the code of the reply, for example 550."))
            lines[0] = found[1]
        lines[-1] = _AFTER_REPLY.sub("", lines[-1])
        code = lines[0][:3]
        if not 400 <= int(code) <= 599:
            raise ValidationError(say(f"{code} is no refusal. Enter a reply whose code is from 400 to 599."))
        texts = [re.sub(rf"^{code}(?:[ =-]|$)", "", line) for line in lines]
        return Reply(int(code), " ".join(texts).encode())


@dataclass(frozen=True, kw_only=True, slots=True)
class Answer:
    """What the page says of one reply, in sentences."""

    meaning: str
    consequence: str
    rule: str
    note: str
    enhanced: str
    words: str
    is_cut: bool


def show_reply_meaning(request: HttpRequest) -> TemplateResponse:
    """Show the form, and the answer if the address has a reply. It is for those who may see relays.

    Raises:
        PermissionDenied: the user may not.
    """
    if not request.user.has_perm("batches.view_relay"):
        raise PermissionDenied(_("You may not see the relays. Ask an administrator for the permission."))
    meanings.refresh()
    form = ReplyForm(request.GET) if "reply" in request.GET else ReplyForm()
    context: dict[str, Any] = {
        **admin.site.each_context(request),
        "title": _("What would this reply mean?"),
        "form": form,
        "answer": _answer(form) if form.is_bound and form.is_valid() else None,
        "rule_count": len(meanings.current_rules().rules),
        "site_file": settings.SEND_REPLY_RULES,
        "fault": _find_fault(),
    }
    return TemplateResponse(request, "admin/batches/reply_meaning.html", context)


def _find_fault() -> str:
    try:
        meanings.load_rules()
    except RuleError as exc:
        return str(exc)
    return ""


def _answer(form: ReplyForm) -> Answer:
    stage, reply = STAGES[form.cleaned_data["stage"]][0], form.cleaned_data["reply"]
    verdict = judge(stage, reply)
    found = meanings.current_rules().find(stage, reply.code, reply.text)
    read = meanings.read_reply(reply.code, reply.text)
    return Answer(
        meaning=_say_meaning(verdict),
        consequence=say_consequence(verdict),
        rule=found.rule.place if found else "",
        note=found.rule.note if found else "",
        enhanced=read.enhanced,
        words=read.words,
        is_cut=len(reply.octets.decode()) > TEXT_MAX_CHARS,
    )


def _say_meaning(verdict: Verdict) -> str:
    if verdict.meaning is None:
        return gettext("Unknown: it may be about one recipient or about everybody.")
    label = say(verdict.meaning.label)
    sentence = f"{label[0].upper()}{label[1:]}."
    if verdict.outcome is Outcome.REQUEUED or verdict.is_recognised:
        return sentence
    same = gettext("The words are the same when only this recipient is refused.")
    return f"{sentence} {same}"


def say_consequence(verdict: Verdict) -> str:
    """Say in sentences what the program does after this verdict."""
    if verdict.outcome is Outcome.REQUEUED:
        return f"{say('No recipient is charged an attempt.')} {_say_pause(verdict)}"
    charged = say(
        f"The recipient is attempted again later, and fails after {settings.SEND_MAX_ATTEMPTS} attempts."
        if verdict.outcome is Outcome.DEFERRED
        else "The recipient fails."
    )
    if verdict.is_recognised and verdict.meaning is not ReplyMeaning.CONTENT:
        return charged
    alike = say("If the relay refuses many recipients alike, the job stops first, and nobody is charged.")
    return f"{charged} {alike}"


def _say_pause(verdict: Verdict) -> str:
    is_of_sender = verdict.meaning is ReplyMeaning.SENDER
    if verdict.wait_seconds:
        wait = say_period(round(verdict.wait_seconds))
        paused = (
            f"The relay is paused for mail of this sender for {wait}."
            if is_of_sender
            else f"The relay is paused for {wait}."
        )
    elif is_of_sender:
        paused = "The relay is paused for mail of this sender for a short time, longer after each failure."
    else:
        paused = "The relay is paused for a short time, longer after each failure."
    return f"{say(paused)} {say('Other relays go on. Then the email is attempted again.')}"
