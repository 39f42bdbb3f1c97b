"""List the senders that the caller may use, and describe the sender of a batch or a job."""

from __future__ import annotations

from django.contrib.auth.models import AnonymousUser, User
from django.http import HttpRequest
from ninja import Router

from batches.api.sender_schemas import ListedSender, SenderList, SenderOut
from batches.jobs.senders import SenderRefused, choose_sender, list_senders
from batches.models import DEFAULT_SENDER, EmailJob, EmailTemplate, Sender

router = Router(tags=["senders"])


@router.get("/senders", response=SenderList)
def get_senders(request: HttpRequest) -> SenderList:
    """The senders that you may name in a request, the default one first."""
    listed = [
        ListedSender(
            key=sender.key,
            name=sender.display_name,
            address=sender.address,
            replyTo=sender.reply_to,
            isDefault=sender.key == DEFAULT_SENDER,
        )
        for sender in list_senders(request.user)
    ]
    return SenderList(items=listed, next=None)


def describe_sender_of(job: EmailJob) -> SenderOut:
    """Describe the sender of a job, as it was when the job was made. Needs ``select_related("sender")``."""
    return {"key": job.sender.key if job.sender else None, "from": job.from_email, "replyTo": job.reply_to}


def find_choice(named: str | None, *, template: EmailTemplate | None, user: User | AnonymousUser) -> Sender | None:
    """Find the sender that a send would choose. None: nobody named one, and the user has none.

    Raises:
        SenderRefused: the user may not use the sender that the request names, or there is none of that name.
    """
    try:
        return choose_sender(named, template=template, user=user)
    except SenderRefused:
        if named:
            raise
        return None


def describe_sender(sender: Sender | None) -> SenderOut | None:
    """Describe a sender as it is now."""
    return {"key": sender.key, "from": str(sender.mailbox), "replyTo": sender.reply_to} if sender else None
