"""Power cuts of a disk with ext4 on it, beneath programs at work: the bench of scripts/guard-power and scripts/outbox-power.

The disk is power_disk.py. As root, with loop devices, /dev/fuse and ext4; elsewhere `enter` raises Skip.
"""

import json
import math
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time

import power_disk

SKIPPED = 77
SIZE = 512 << 20  # from here on ext4's defaults are those of large disks: blocks of 4 KiB
LONGEST = 1500  # writes and flushes
CLONE_NEWNS, MS_REC, MS_PRIVATE, PR_SET_PDEATHSIG = 0x20000, 0x4000, 0x40000, 1
LIBC = power_disk.LIBC


class Skip(Exception):
    pass


def run(*command, **more):
    return subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, **more)


def must(*command):
    done = run(*command)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)}: {done.stderr.strip() or done.stdout.strip()}")
    return done.stdout


def die_with_parent():
    LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


class Bench:
    """The place where disks are made and cut: mounts in a namespace of its own, gone with this process."""

    def __init__(self, name):
        self.name, self.root = name, None

    def enter(self):
        if os.geteuid() != 0:
            raise Skip("root is needed to mount file systems")
        for what in ("/dev/fuse", "/dev/loop-control"):
            if not os.path.exists(what):
                run("modprobe", os.path.basename(what).removesuffix("-control"))
            if not os.path.exists(what):
                raise Skip(f"this machine has no {what}")
        for program in ("mkfs.ext4", "e2fsck", "mount", "umount", "cc"):
            if not shutil.which(program, path=os.environ["PATH"] + ":/usr/sbin:/sbin"):
                raise Skip(f"{program} is missing (Debian packages e2fsprogs, mount, gcc)")
        os.environ["PATH"] += ":/usr/sbin:/sbin"
        if LIBC.unshare(CLONE_NEWNS) or LIBC.mount(b"none", b"/", None, MS_REC | MS_PRIVATE, None):
            raise Skip("a mount namespace cannot be made here")
        self.root = tempfile.mkdtemp(prefix=f"{self.name}-")
        # In memory: what is measured is the order of writes, not a disk's speed. Goes with the namespace.
        must("mount", "-t", "tmpfs", "-o", "mode=0700,size=8g", self.name, self.root)
        for name in ("layer", "mnt", "home"):
            os.mkdir(self.path(name))
        try:
            self.format(self.path("empty"))
            self.mounted(self.path("empty"), lambda: None)
            os.close(power_disk.mount(self.path("layer")))
            self.unmount(self.path("layer"))
        except (OSError, RuntimeError) as error:
            raise Skip(f"FUSE or a loop device with ext4 cannot be mounted here: {error}") from error

    def leave(self):
        if self.root is None:
            return
        for name in ("mnt", "layer"):
            self.unmount(self.path(name))
        run("umount", "-l", self.root)
        shutil.rmtree(self.root, ignore_errors=True)

    def path(self, name):
        return os.path.join(self.root, name)

    def format(self, image):
        with open(image, "wb") as file:
            file.truncate(SIZE)
        # What a mount would do in the background during its first minutes is done at once.
        must("mkfs.ext4", "-q", "-F", "-E", "lazy_itable_init=0,lazy_journal_init=0", image)

    def copy(self, source, to):
        must("cp", "--sparse=always", source, to)

    def unmount(self, folder):
        for _ in range(400):
            if not os.path.ismount(folder):
                return
            if run("umount", folder).returncode:
                time.sleep(0.025)
        raise RuntimeError(f"{folder} stays busy")

    def boot(self, image):
        """Mounts `image` as it is, or mended by e2fsck. Gives whether it is mounted, and whether it was mended."""
        for mended in (False, True):
            done = run("mount", "-t", "ext4", "-o", "loop", image, self.path("mnt"))
            if done.returncode == 0:
                return True, mended
            if not mended:
                run("e2fsck", "-f", "-y", image)
        return False, False

    def mounted(self, image, body):
        """What `body` gives with `image` mounted, no power cut to come, and whether that needed mending."""
        mounted, mended = self.boot(image)
        if not mounted:
            raise RuntimeError("ext4 cannot be mounted, nor mended by e2fsck")
        try:
            return body(), mended
        finally:
            self.unmount(self.path("mnt"))

    def start_disk(self, image, cut_after, rng, lies):
        """The disk in a process of its own: this one waits in calls that need its answers."""
        live = self.path("live")
        self.copy(image, live)
        fuse = power_disk.mount(self.path("layer"))
        ours, theirs = socket.socketpair()
        child = os.fork()
        if child == 0:
            status = 1
            try:
                die_with_parent()
                signal.signal(signal.SIGINT, signal.SIG_IGN)
                ours.close()
                disk = power_disk.Disk(image, live, cut_after, rng, lies)
                disk.serve(fuse, theirs)
                theirs.sendall(json.dumps(disk.seen).encode())
                status = 0
            finally:
                os._exit(status)
        theirs.close()
        os.close(fuse)
        return child, ours

    def cut(self, image, cut_after, rng, work, lies=False):
        """One power cut: `work(control)` runs on the mounted disk, and `image` is then what the disk held. Gives what the disk
        saw."""
        child, control = self.start_disk(image, cut_after, rng, lies)
        layer, mnt = self.path("layer"), self.path("mnt")
        try:
            started, _ = self.boot(os.path.join(layer, "disk"))
            if started:
                work(control)
        finally:
            self.unmount(mnt)
            self.unmount(layer)
        heard = b""
        while piece := control.recv(4096):
            heard += piece
        control.close()
        _, status = os.waitpid(child, 0)
        if status:
            raise RuntimeError("the disk's own program failed")
        seen = json.loads(heard.decode().lstrip("c"))
        if not started and seen["cut_in"] not in ("write", "flush"):
            raise RuntimeError("ext4 cannot be mounted, nor mended by e2fsck, though the disk works")
        return {**seen, "mounted": started}

    def new_life(self):
        shutil.rmtree(self.path("home"))
        os.mkdir(self.path("home"), 0o700)
        self.copy(self.path("empty"), self.path("image"))


def moment(rng):
    """How many writes and flushes come before the cut: each number as likely, one time in three each order of magnitude."""
    return rng.randint(1, LONGEST) if rng.random() < 2 / 3 else round(math.exp(rng.uniform(0, math.log(LONGEST))))
