"""The page of the frame of all letters, and the pictures that letters show.

A form of a template editor enters, or a file. The stored frame leaves, or a picture, which everybody may load: the
recipients of a letter have no account here.
"""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext
from django.views.decorators.http import require_http_methods, require_safe

from batches.letter_frames import find_frame, save_frame
from batches.models import LetterFrame, Picture
from batches.permissions import Permission, require
from batches.pictures import PICTURE_MAX_BYTES, PictureRefused, store_picture
from batches.rendering.footers import find_footer_fault
from batches.rendering.tags import TagFault
from batches.template_sources import make_frame, make_picture_url
from batches.web.middleware import message_policy
from batches.web.requests import SignedInRequest, posted_from
from batches.writing.frame import DEFAULT_ACCENT, is_accent
from batches.writing.markdown import write_letter

FOREVER = "public, max-age=31536000, immutable"
PICTURE_POLICY = "default-src 'none'; sandbox"


class FrameForm(forms.ModelForm):  # type: ignore[type-arg]  # Django's class takes no argument at run time
    """Logo, colour and footer."""

    picture = forms.FileField(
        label=gettext_lazy("Logo"),
        required=False,
        widget=forms.FileInput(attrs={"accept": "image/png,image/jpeg,image/gif,image/webp"}),
        help_text=gettext_lazy("A PNG or JPEG of up to 1 MB. It is shown at most 56 pixels high."),
    )
    no_logo = forms.BooleanField(label=gettext_lazy("No logo"), required=False)

    class Meta:
        model = LetterFrame
        fields = ["logo_words", "accent", "footer"]
        labels = {
            "logo_words": gettext_lazy("Words for the logo"),
            "accent": gettext_lazy("Colour"),
            "footer": gettext_lazy("Footer"),
        }
        help_texts = {
            "logo_words": gettext_lazy(
                "What people read where pictures are not shown, such as the name of your school."
            ),
            "accent": gettext_lazy("Of the line at the top, of links and buttons."),
            "footer": gettext_lazy("Below every letter, such as your name, postal address and telephone."),
        }
        widgets = {"accent": forms.TextInput(attrs={"type": "color"}), "footer": forms.Textarea(attrs={"rows": 4})}

    def clean_accent(self) -> str:
        accent: str = self.cleaned_data["accent"]
        if accent and not is_accent(accent):
            raise forms.ValidationError(_("Write a colour as # and six digits, such as #3d56d6."))
        return accent

    def clean_footer(self) -> str:
        return self._without_fields("footer")

    def clean_logo_words(self) -> str:
        return self._without_fields("logo_words")

    def _without_fields(self, name: str) -> str:
        words: str = self.cleaned_data[name]
        if fault := find_footer_fault(words):
            raise forms.ValidationError(fault)
        return words

    def clean_picture(self) -> Any:
        """Store the picture. One that nobody uses then harms nobody."""
        picture = self.cleaned_data["picture"]
        if not picture:
            return None
        try:
            return store_picture(picture.read(PICTURE_MAX_BYTES + 1), name=picture.name or "", by=self.user)
        except PictureRefused as exc:
            raise forms.ValidationError(str(exc)) from exc

    def __init__(self, *args: Any, user: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.user = user
        self.initial["accent"] = self.instance.accent or DEFAULT_ACCENT


@require_http_methods(["GET", "HEAD", "POST"])
@login_required
def edit_frame(request: SignedInRequest) -> HttpResponse:
    """Show and change the frame of all letters."""
    require(request.user, Permission.EDIT_ALL_TEMPLATES)
    frame = find_frame()
    form = FrameForm(request.POST or None, request.FILES or None, instance=frame, user=request.user)
    if request.method == "POST" and form.is_valid():
        if form.cleaned_data["picture"]:
            frame.logo = form.cleaned_data["picture"]
        elif form.cleaned_data["no_logo"]:
            frame.logo = None
        count = save_frame(frame, by=request.user)
        said = ngettext(
            "The frame was saved, and %(count)s letter with it. Batches that were already started keep the old one.",
            "The frame was saved, and %(count)s letters with it. Batches that were already started keep the old one.",
            count,
        )
        messages.success(request, said % {"count": count})
        return redirect("letter-frame")
    status = 422 if form.is_bound else 200
    return render(request, "batches/letter_frame.html", {"form": form, "frame": frame}, status=status)


@require_safe
@login_required
def preview_frame(request: SignedInRequest) -> HttpResponse:
    """Show a letter in the stored frame."""
    words = _("# A letter\n\nThese are the words of a letter, with [a link](https://example.org).\n\n"
              "**[A button](https://example.org)**")  # fmt: skip
    try:
        html = write_letter(words, make_frame(find_frame())).html
    except TagFault:  # a translation with a fault
        html = ""
    return HttpResponse(html, headers={"Content-Security-Policy": message_policy(request)})


@posted_from("templates")
def upload_picture(request: SignedInRequest) -> HttpResponse:
    """Store a picture for a letter. Answers with its address, or with the sentence of the refusal."""
    picture = request.FILES.get("picture")
    if picture is None:
        return JsonResponse({"detail": _("Choose a picture first.")}, status=422)
    try:
        stored = store_picture(picture.read(PICTURE_MAX_BYTES + 1), name=picture.name or "", by=request.user)
    except PictureRefused as exc:
        return JsonResponse({"detail": str(exc)}, status=422)
    address = make_picture_url(stored.digest, stored.content_type)
    return JsonResponse({"url": address, "name": stored.name.rpartition(".")[0]}, status=201)


@require_safe
def show_picture(request: HttpRequest, digest: str, kind: str) -> HttpResponse:
    """Serve a picture to everybody. Its address has the hash of its content, so nobody finds one by guessing."""
    picture = Picture.objects.filter(digest=digest, content_type=f"image/{kind}").first()
    if picture is None:
        raise Http404("There is no such picture.")
    headers = {
        "Cache-Control": FOREVER,
        "Content-Security-Policy": PICTURE_POLICY,
        "Cross-Origin-Resource-Policy": "cross-origin",  # mail programs in a browser show it on their own pages
    }
    return HttpResponse(bytes(picture.content), content_type=picture.content_type, headers=headers)
