"""What erasing a person does to an account of this site with that address.

The account stays, because batches, versions and the audit name who made them. The address and the person's name go.
"""

from __future__ import annotations

from django.contrib.auth.models import User

from batches.people.searching import find_users
from batches.people.spelling import Spelling


def refuse_accounts(spelling: Spelling, refusal: type[Exception]) -> None:
    """Refuse to erase the only administrator, whose account would have to be closed.

    Raises:
        refusal: the address is the name of the last active superuser.
    """
    for user in find_users(spelling):
        others = User.objects.filter(is_superuser=True, is_active=True).exclude(pk=user.pk)
        if user.is_superuser and user.is_active and spelling.is_in(user.username) and not others.exists():
            raise refusal(
                f"This is the name of the only administrator, account {user.pk}. Make another administrator first."
            )


def strip_account(user: User, spelling: Spelling) -> str:
    """Remove the address from an account, and return a sentence that says what became of it.

    An account whose name is the address is closed: nobody could sign in with a name that is gone.
    """
    user.email = "" if spelling.is_in(user.email) else user.email
    user.first_name = user.last_name = ""
    if not spelling.is_in(user.username):
        user.save(update_fields=["email", "first_name", "last_name"])
        return f"The account {user.username} has no address and no names any more. Delete it if the person leaves."
    user.username = f"erased-{user.pk}"
    user.is_active = False
    user.set_unusable_password()
    user.save()
    return f"The account of that name is closed. It is called {user.username} now."
