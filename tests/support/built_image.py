"""The image, really built, and its processes run by its own configuration: files, user, environment and entry point.

An engine that starts containers isn't available everywhere where tests run. Buildah builds without one, and a mount
namespace with the image's files as a read-only root is what remains of a container.
"""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from tests.support.cache import cache_folder
from tests.support.image import DOCKERFILE, ROOT

PROGRAMS = ("buildah", "debootstrap", "unshare", "chroot")
BASE_PACKAGES = "python3,python3-venv,python3-pip,ca-certificates"
SUITE = "bookworm"
BUILD_SECONDS = 900

_START = """
mount --bind "$1" "$1"
mount -o remount,bind,ro "$1"
mount -t tmpfs -o mode=1777 tmpfs "$1/tmp"
mount --rbind /proc "$1/proc"
mount --rbind /dev "$1/dev"
root=$1 user=$2 folder=$3; shift 3
exec chroot --userspec="$user" "$root" /usr/bin/env -C "$folder" "$@"
"""


def why_impossible() -> str | None:
    """The missing part for building and running the image on this machine, and how to get it; None if nothing is
    missing.
    """
    if os.geteuid() != 0:
        return "THE IMAGE IS NOT TESTED: building it without a daemon takes root; run: sudo make image-test"
    if missing := [program for program in PROGRAMS if shutil.which(program) is None]:
        return f"THE IMAGE IS NOT TESTED: no {', '.join(missing)} here; run: apt-get install buildah debootstrap"
    return None


class Image:
    """An image and its files, mounted at `root`."""

    def __init__(self, root: Path, config: Mapping[str, Any]) -> None:
        """`config` is the image's, in the form of the OCI specification."""
        self.root = root
        self.config = config

    def environment(self, settings: Mapping[str, str]) -> dict[str, str]:
        """The image's own environment, with `settings` over it and nothing of this process."""
        return dict(each.split("=", 1) for each in self.config["Env"]) | dict(settings)

    def start(self, words: Sequence[str], settings: Mapping[str, str], **streams: IO[bytes] | int) -> Any:
        """Start the image with these words as its command."""
        where = [str(self.root), self.config["User"], self.config["WorkingDir"]]
        isolated = ["unshare", "--mount", "--propagation", "private", "sh", "-ec", _START, "start", *where]
        whole = [*isolated, *self.config["Entrypoint"], *words]
        return subprocess.Popen(whole, env=self.environment(settings), **streams)  # type: ignore[call-overload]

    def run(self, *words: str, settings: Mapping[str, str]) -> str:
        """Run the image to its end, which must be a success; returns its standard output."""
        process = self.start(words, settings, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        out, err = process.communicate(timeout=60)
        assert process.returncode == 0, err.decode()
        text: str = out.decode()
        return text

    def megabytes(self) -> float:
        """The image's size beyond its base, as `du -m` counts it."""
        ours = self.root / "opt/account-health"
        return sum(path.lstat().st_blocks for path in ours.rglob("*")) * 512 / 2**20


@contextmanager
def built_image(folder: Path) -> Iterator[Image]:
    """Build deploy/Dockerfile on a Debian with Python; `folder` holds images and containers until the end."""
    buildah = _Buildah(folder)
    try:
        base = os.environ.get("HEALTH_TEST_PYTHON_IMAGE") or buildah.import_base(_base_files())
        args = ["--build-arg", f"PYTHON_IMAGE={base}"]
        buildah.do("build", "--network", "host", "--file", str(DOCKERFILE), *args, "--tag", "account-health", str(ROOT))
        inspected = json.loads(buildah.do("inspect", "--type", "image", "account-health"))
        container = buildah.do("from", "account-health").strip()
        yield Image(Path(buildah.do("mount", container).strip()), inspected["OCIv1"]["config"])
    finally:
        buildah.do("rm", "--all")
        buildah.do("rmi", "--all", "--force")
        # Its overlay driver leaves its own folder mounted, which then can't be removed.
        subprocess.run(["umount", folder / "store" / "overlay"], capture_output=True, check=False)


class _Buildah:
    def __init__(self, folder: Path) -> None:
        self._where = ["--root", str(folder / "store"), "--runroot", str(folder / "run")]
        self._env = {"BUILDAH_ISOLATION": "chroot", "STORAGE_DRIVER": "vfs"} | os.environ

    def do(self, command: str, *words: str) -> str:
        whole = ["buildah", *self._where, command, *words]
        done = subprocess.run(whole, env=self._env, capture_output=True, text=True, timeout=BUILD_SECONDS, check=False)
        assert done.returncode == 0, f"{' '.join(whole)}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
        return done.stdout

    def import_base(self, files: Path) -> str:
        container = self.do("from", "scratch").strip()
        self.do("add", container, str(files), "/")
        self.do("commit", "--quiet", "--rm", container, "localhost/python-base")
        return "localhost/python-base"


def _base_files() -> Path:
    """Debian with Python and pip, as an archive; made once, which takes a minute or more, and cached."""
    kept = cache_folder() / f"image-base-{SUITE}.tar"
    if not kept.exists():
        root = cache_folder() / f"image-base-{SUITE}-{os.getpid()}"
        try:
            _bootstrap(root)
            unfinished = root.with_suffix(".tar")
            subprocess.run(["tar", "-C", root, "-cf", unfinished, "."], check=True, timeout=BUILD_SECONDS)
            unfinished.replace(kept)
        finally:
            shutil.rmtree(root, ignore_errors=True)
    return kept


def _bootstrap(root: Path) -> None:
    include = f"--include={BASE_PACKAGES}"
    done = subprocess.run(
        ["debootstrap", "--variant=minbase", include, SUITE, root],
        capture_output=True,
        text=True,
        timeout=BUILD_SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-3000:]
    # As in Docker's own images of Python, where pip may install.
    (root / "usr/bin/python").symlink_to("python3")
    for marker in (root / "usr/lib").glob("python3*/EXTERNALLY-MANAGED"):
        marker.unlink()
    _let_pip_reach_its_index(root)


def _let_pip_reach_its_index(root: Path) -> None:
    """Give the image's pip the configuration of this machine's."""
    listed = subprocess.run(
        [sys.executable, "-m", "pip", "config", "list"], capture_output=True, text=True, timeout=60, check=True
    )
    pairs = (line.split("=", 1) for line in listed.stdout.splitlines() if "=" in line)
    found = {name.rsplit(".", 1)[-1]: value.strip("'") for name, value in pairs}
    options = {
        name: found[name] for name in ("index-url", "extra-index-url", "proxy", "cert", "timeout") if name in found
    }
    if certificate := options.get("cert"):
        target = root / certificate.lstrip("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(certificate, target)
    lines = ["[global]", *(f"{name} = {value}" for name, value in options.items())]
    (root / "etc/pip.conf").write_text("\n".join(lines) + "\n")
