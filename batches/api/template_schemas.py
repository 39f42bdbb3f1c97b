"""The shapes of templates in answers."""

from __future__ import annotations

from datetime import datetime

from ninja import Field, Schema

from batches.models import TemplateKind


class TemplateOut(Schema):
    id: int
    key: str
    name: str
    subject: str
    kind: TemplateKind = Field(description="How its body is written: in Markdown, or as HTML and text.")
    isDefault: bool
    mergeFields: list[str]
    sender: str | None = Field(description="The key of the sender that is chosen if nobody names another, or null.")
    topic: str = Field(description="The key of the topic that it is about.")
    owner: str | None = Field(description="Who may change it, besides template editors. null: template editors only.")
    version: int = Field(description="The number of the last save.")
    updatedAt: datetime


class TemplateList(Schema):
    items: list[TemplateOut]
    next: str | None = Field(description="The cursor of the next page, or null.")


class PreviewOut(Schema):
    subject: str
    html: str
    text: str
