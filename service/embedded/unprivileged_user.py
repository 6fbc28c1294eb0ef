"""The account that Postgres runs as: it refuses to run as root, so for root it runs as `nobody`."""

import os
import pwd
from dataclasses import dataclass
from pathlib import Path
from typing import TypedDict

from service.embedded.acl import grant_search
from service.runtime.errors import HealthError

NAME = "nobody"


class PopenIdentity(TypedDict, total=False):
    """`subprocess`'s arguments for the user that runs a program."""

    user: int
    group: int
    extra_groups: list[int]


@dataclass(frozen=True)
class ServerAccount:
    """The user that a server runs as; without a name, the user who runs this program."""

    name: str | None = None
    uid: int = -1
    gid: int = -1

    def for_popen(self) -> PopenIdentity:
        """The arguments that make a new process run as this account."""
        return PopenIdentity(user=self.uid, group=self.gid, extra_groups=[]) if self.name else PopenIdentity()

    def own(self, path: Path) -> None:
        """Make `path` this account's."""
        if self.name:
            os.chown(path, self.uid, self.gid)

    def reach(self, path: Path) -> None:
        """Let this account, and no other, walk to `path`.

        Repositories and homes of root are often closed to others, root's home to begin with. Raises `HealthError` if
        permission for one account can't be given.
        """
        if not self.name:
            return
        for folder in path.parents:
            status = folder.stat()
            if status.st_uid == self.uid or status.st_mode & 0o001:
                continue
            try:
                grant_search(folder, self.uid)
            except OSError as error:
                raise HealthError(
                    f"Postgres can't run as root, and as {self.name} it can't enter {folder} ({error.strerror})",
                    "Run this as a user other than root, or from a folder that others may enter",
                ) from None


def postgres_account() -> ServerAccount:
    """The account that Postgres runs as: ours, unless we are root."""
    if os.geteuid() != 0:
        return ServerAccount()
    entry = pwd.getpwnam(NAME)
    return ServerAccount(NAME, entry.pw_uid, entry.pw_gid)
